"""A fake KoboldCpp 1.101: its own routes, and those of an Ollama with fixed figures (koboldcpp.py)."""

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
        self.asked: list[tuple[str, str]] = []
        """Method and path of each request."""
        self.perf: dict[str, object] = {
            "last_process_time": 0.5,
            "last_eval_time": 4.0,
            "last_process_speed": 800.0,
            "last_eval_speed": 31.5,
            "last_input_count": 400,
            "last_token_count": 126,
            "total_gens": 7,
        }
        """What it says of its last request."""
        self.imitates = True
        self.answer_all: Answer | None = None
        """In the place of every right answer."""
        self.idle = 1
        self.model = f"koboldcpp/{NAME}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                self.asked.append((request.method, request.path))
                writer.write((self.answer_all or self._answer(request.path)).encoded())
                await writer.drain()
        finally:
            writer.close()

    def _answer(self, path: str) -> Answer:
        bodies: dict[str, object] = {
            "/api/extra/version": {"result": "KoboldCpp", "version": "1.101", "llm": True},
            "/api/v1/model": {"result": self.model},
            "/api/extra/true_max_context_length": {"value": 8192},
            "/api/extra/perf": {"idle": self.idle, "queue": 2, **self.perf},
        }
        if self.imitates:
            bodies |= {"/api/ps": {"models": [ROW, ROW]}, "/api/version": {"version": "0.7.0"}}
            bodies |= {"/system_stats": {"system": {"comfyui_version": "v0.3.4"}}, "/sdapi/v1/options": {}}
        return Answer(body=json.dumps(bodies[path]).encode()) if path in bodies else text(404, "no")
