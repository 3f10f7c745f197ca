"""A copy of what is known, as bytes in memory: written in milliseconds, and thawed as often as one likes."""

from __future__ import annotations

import io
import pickle
from typing import Any

from gpumon.collectors.servers.kind import RunnerKind, ServerKind
from gpumon.collectors.servers.registry import kind_named, runner_named


def _server_kind(name: str) -> ServerKind:
    return kind_named(name)


def _runner_kind(name: str) -> RunnerKind:
    return runner_named(name)


class _Pickler(pickle.Pickler):
    """Writes kinds of servers by their names: there is one of each in the program."""

    def reducer_override(self, value: object) -> Any:  # noqa: ANN401 - what pickle takes
        """Return how to find a kind again; everything else is copied."""
        if isinstance(value, ServerKind):
            return _server_kind, (value.name,)
        if isinstance(value, RunnerKind):
            return _runner_kind, (value.name,)
        return NotImplemented


def freeze(*parts: object) -> bytes:
    """Return ``parts`` as they are now; what they share stays shared."""
    written = io.BytesIO()
    _Pickler(written, pickle.HIGHEST_PROTOCOL).dump(parts)
    return written.getvalue()


def thaw(frozen: bytes) -> tuple[Any, ...]:
    """Return the parts again, each time others; only what this process has frozen is ever read."""
    parts: tuple[Any, ...] = pickle.loads(frozen)  # noqa: S301 - our own, and never outside of this process
    return parts
