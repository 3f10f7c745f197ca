"""A source: how it is, and when it last gave values."""

from __future__ import annotations

from msgspec import Struct

from gpumon.collectors.samples import (
    HEALTHY_STATES,
    SourceHealth,
)

STALE_AFTER_SECONDS = 10.0
"""Values of a healthy source are drawn as current up to this age."""


class SourceRecord(Struct):
    """A source: how it is, since when, and when it last gave values."""

    name: str
    health: SourceHealth
    since: float
    """When ``health.state`` became what it is."""
    answered: float | None = None
    """Time of the last sample with a healthy state."""
    silent_seconds: float | None = None
    """How long the poll under way has been waiting, if it is late."""
    silent_since: float | None = None
    """When that poll began."""
    version: str | None = None
    runtime: str | None = None
    """Name of its ``ServerKind``, of a server that has answered as one."""
    is_pointless: bool = False
    """Whether there is nothing to tell: the log of servers that have stopped."""
    clock_offset_seconds: float = 0.0
    """The server's clock minus ours; 0 where it is within the resolution of the ``Date`` header."""

    @property
    def healthy(self) -> bool:
        """Whether it answers and says what was asked."""
        return self.health.state in HEALTHY_STATES and self.silent_seconds is None

    def age(self, now: float) -> float | None:
        """Return the age in seconds of its last values where they are no longer current, else ``None``."""
        if self.answered is None:
            return None
        age = now - self.answered
        return None if self.healthy and age <= STALE_AFTER_SECONDS else age
