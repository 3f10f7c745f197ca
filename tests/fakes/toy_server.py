"""The server of ``toy_kind``: real HTTP, invented JSON, tokens that are generated as time passes."""

from __future__ import annotations

import asyncio
import json
import time

from tests.fakes.http import Answer, Listening, Request, read_request, text

COUNTED = "toy-7b"
"""Says how many tokens it has generated, and claims no memory."""
CLAIMED = "toy-claims"
"""States its rate, and claims memory: a quarter of it in RAM."""
TOKENS_PER_SECOND = 50.0
STATED_RATE = 12
GIB = 1024**3


class ToyServer(Listening):
    """Generates without a pause from its start on."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names or (COUNTED,)
        self.requests: list[Request] = []
        self.status_code = 200
        self._began = time.monotonic()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                self.requests.append(request)
                writer.write(self._answer(request.path).encoded())
                await writer.drain()
        finally:
            writer.close()

    def _answer(self, path: str) -> Answer:
        if self.status_code != 200:
            return text(self.status_code, "no")
        if path != "/toy/status":
            return text(404, "no toy here")
        rows = [self._counted() if name == COUNTED else self._claimed(name) for name in self.names]
        return Answer(body=json.dumps({"program": "toyserve", "version": "2.1", "models": rows}).encode())

    def _counted(self) -> dict[str, object]:
        generated = round((time.monotonic() - self._began) * TOKENS_PER_SECOND)
        return {"name": COUNTED, "context": 4096, "generated": generated, "active": 1}

    def _claimed(self, name: str) -> dict[str, object]:
        claim = {"bytes": 4 * GIB, "bytes_on_gpu": 3 * GIB}
        return {"name": name, "context": 2048, "tokens_per_second": STATED_RATE, **claim}
