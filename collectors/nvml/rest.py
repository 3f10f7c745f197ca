"""Leaves an idle GPU alone that could sleep: being polled keeps it awake.

On a laptop this costs 5 to 7 W (beszel-docs#35). A GPU that does not fall asleep when left alone is read
again, and not left alone anew before it has been busy.
"""

from __future__ import annotations

from gpumon.collectors.samples import GpuReading

IDLE_SECONDS = 10.0
"""How long a GPU is idle before it is left alone."""
REST_SECONDS = 10.0
"""How long it is given to fall asleep."""


class Rest:
    """Whether one GPU that can sleep is left alone just now."""

    def __init__(self) -> None:
        self._idle_since: float | None = None
        self._given_up = False

    def slept(self) -> None:
        """Note that it sleeps: after it wakes, it may be left alone again."""
        self._idle_since = None
        self._given_up = False

    def read(self, reading: GpuReading, now: float) -> None:
        """Note what a reading says."""
        if not _idle(reading):
            self._idle_since = None
            self._given_up = False
        elif self._idle_since is None:
            self._idle_since = now

    def resting(self, now: float) -> bool:
        """Tell whether to leave it alone at ``now``."""
        if self._idle_since is None or self._given_up:
            return False
        idle_seconds = now - self._idle_since
        self._given_up = idle_seconds >= IDLE_SECONDS + REST_SECONDS
        return not self._given_up and idle_seconds >= IDLE_SECONDS


def _idle(reading: GpuReading) -> bool:
    """Tell whether nothing computes and nothing holds memory to compute with."""
    computing = any(process.kinds != ("graphics",) for process in reading.processes or ())
    return reading.state == "ok" and not computing and not reading.utilization_percent
