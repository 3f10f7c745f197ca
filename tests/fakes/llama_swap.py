"""A fake llama-swap: what a real one has answered, for whatever models it is told to run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.fakes.http import Answer, Listening, as_json, read_request, text

RECORDINGS = Path(__file__).parents[1] / "recordings" / "llama-swap"


def recorded(name: str, path: str) -> bytes:
    """Return the body that a real one gave for a path."""
    parts = (RECORDINGS / name).read_text().split("### GET ")
    part = next(part for part in parts if part.partition("\n")[0] == path)
    return part.partition("\n\n")[2].strip().encode()


class FakeLlamaSwap(Listening):
    """Lists what runs; notes every question that would have loaded or unloaded a model."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[dict[str, Any]] = []
        self.activity: list[dict[str, Any]] = []
        self.key: str | None = None
        self.answer_all: Answer | None = None
        """In the place of every right answer."""
        self.lacks: set[str] = set()
        """Paths that an older build does not have."""
        self.paths: list[str] = []
        self.careless: list[str] = []

    def run(self, name: str, port: int, cmd: str, state: str = "ready") -> None:
        """List a model, as ``busy-model.txt`` has it."""
        row = json.loads(recorded("busy-model.txt", "/running"))["running"][0]
        self.running.append(
            row | {"model": name, "state": state, "cmd": cmd, "proxy": f"http://localhost:{port}"}
        )

    def finish(self, name: str, tokens: int, rate: float, prompt: int = 5) -> None:
        """End a request, as ``after-one-request.txt`` has it."""
        row = json.loads(recorded("after-one-request.txt", "/api/metrics/activity"))["data"][0]
        said = row["tokens"] | {"input_tokens": prompt, "output_tokens": tokens, "tokens_per_second": rate}
        self.activity.insert(0, row | {"id": len(self.activity) + 1, "model": name, "tokens": said})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                self.paths.append(request.path)
                allowed = self.key is None or request.headers.get("authorization") == f"Bearer {self.key}"
                missing = text(404, "404 page not found") if request.path in self.lacks else None
                right = self.answer_all or missing or self._answer(request.path)
                answer = right if allowed else as_json({"error": "unauthorized"}, 401)
                writer.write(answer.encoded())
                await writer.drain()
        except (ValueError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str) -> Answer:
        if path.startswith(("/props?", "/upstream/", "/unload")):
            self.careless.append(path)
        match path:
            case "/running":
                return as_json({"running": self.running})
            case "/api/metrics/activity":
                return as_json({"data": self.activity[:25], "page": 1, "limit": 25})
            case "/v1/models" | "/api/version" | "/health":
                return Answer(body=recorded("idle.txt", path))
            case "/props":
                return as_json({"error": "no model id could be identified", "src": "llama-swap"}, 404)
            case "/":
                return Answer(302, b"", headers={"Location": "/ui/"})
        return text(404, "404 page not found")
