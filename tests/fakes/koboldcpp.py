"""A fake KoboldCpp: its own routes, and those of an Ollama with fixed figures."""

from __future__ import annotations

import asyncio
import json

from tests.fakes.http import Answer, Listening, read_request, text

NAME = "gemma-3-27b-it-Q4_K_M"
ROW = {
    "name": "koboldcpp",
    "model": "koboldcpp",
    "digest": "0",
    "size": 394998579,
    "size_vram": 394998579,
    "details": {"parameter_size": "128M", "quantization_level": "Q4_0"},
}


class FakeKoboldCpp(Listening):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.imitates = True
        self.answer_all: Answer | None = None
        """In the place of every right answer."""
        self.idle = 1
        self.model = f"koboldcpp/{NAME}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                self.asked.append(request.path)
                writer.write((self.answer_all or self._answer(request.path)).encoded())
                await writer.drain()
        finally:
            writer.close()

    def _answer(self, path: str) -> Answer:
        bodies: dict[str, object] = {
            "/api/extra/version": {"result": "KoboldCpp", "version": "1.101", "llm": True},
            "/api/v1/model": {"result": self.model},
            "/api/extra/true_max_context_length": {"value": 8192},
            "/api/extra/perf": {"idle": self.idle, "queue": 2, "last_eval_speed": 31.5, "total_gens": 7},
        }
        if self.imitates:
            bodies |= {"/api/ps": {"models": [ROW, ROW]}, "/api/version": {"version": "0.7.0"}}
        return Answer(body=json.dumps(bodies[path]).encode()) if path in bodies else text(404, "no")
