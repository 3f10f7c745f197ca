"""The conversation with Ollama's own runners: one small answer that says how far loading is."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import Reply
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import LoadFacts, ModelState, Said
from gpumon.collectors.servers.port import ForeignProgramError, Port
from gpumon.collectors.source import Clock

REST_SECONDS = 10.0
"""Between two looks at a runner that is ready."""

_NUMBER: msgspec.json.Decoder[float] = msgspec.json.Decoder(float)
_STATUS: msgspec.json.Decoder[int | str] = msgspec.json.Decoder(int | str)

STATES: dict[int | str, ModelState] = {
    0: "ready",
    1: "ready",  # no slot is free
    2: "loading",  # launched, told no model yet
    3: "loading",
    4: "failing",  # not responding
    5: "failing",
    "ok": "ready",
    "no slot available": "ready",
    "loading model": "loading",
    "error": "failing",
}
"""``status`` of ``GET /health`` (ollama v0.24: llm/server.go, ServerStatus; up to v0.4 in words)."""


class Dialect(Struct, frozen=True):
    """How one kind of runner says it."""

    path: str = "/health"
    status_key: str = "status"
    progress_key: str = "progress"
    whole: float = 1.0
    """The progress of a finished load."""
    refused_state: ModelState = "starting"


MLX = Dialect("/v1/status", "Status", "Progress", whole=100.0, refused_state="loading")
"""It listens only when it has loaded (ollama: x/mlxrunner/server.go)."""


def dialect_of(kind: str) -> Dialect:
    """Return how a kind of runner other than llama-server is asked."""
    return MLX if kind == "mlx_runner" else Dialect()


class StatusRunner:
    """Asks at every turn while loading, then every 10 s."""

    def __init__(self, port: Port, clock: Clock, dialect: Dialect) -> None:
        self._port = port
        self._clock = clock
        self._dialect = dialect
        self._next_at = float("-inf")
        self.refused_state = dialect.refused_state

    def forget(self) -> None:
        """Ask at the next turn."""
        self._next_at = float("-inf")

    async def close(self) -> None:
        """Nothing is open but the port."""

    async def ask(self, _active: bool | None, /) -> Said | None:
        """Return what it says now, ``None`` while it is ready; raise ``RequestError``."""
        if self._clock.now() < self._next_at:
            return None
        said = parse_status(await self._port.get(self._dialect.path), self._dialect)
        if said is None and not self._port.trusted:
            raise ForeignProgramError
        said = said or Said("failing", "its status could not be understood")
        if said.state == "ready":
            self._next_at = self._clock.now() + REST_SECONDS
        return said


def parse_status(reply: Reply, dialect: Dialect) -> Said | None:
    """Return what a status says; ``None`` if the body is none."""
    values = fields.read(reply.body, fields.OBJECT) or {}
    status = fields.field(values, dialect.status_key, _STATUS)
    state = None if status is None else STATES.get(status)
    if state is None:
        return None
    progress = fields.field(values, dialect.progress_key, _NUMBER) if state == "loading" else None
    return Said(
        state,
        f"its status is {status}" if state == "failing" else None,
        progress=None if progress is None else min(max(progress / dialect.whole, 0.0), 1.0),
        facts=_facts(values) if state == "ready" else None,
    )


def _facts(values: RawObject) -> LoadFacts | None:
    context_length = fields.amount(values, "ContextLength")
    return LoadFacts(context_length=context_length) if context_length else None
