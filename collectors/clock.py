"""The clock that stamps samples: Unix time that never goes back."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What a collector needs to know about time; tests hand in their own."""

    def now(self) -> float:
        """Return seconds since the Unix epoch, never less than before."""
        ...


def _elapsed() -> float:
    """Return seconds of a clock that ignores steps of the wall clock and, on Linux, counts suspension."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class SystemClock:
    """Wall-clock time at the start plus elapsed time since: a stepped wall clock does not move samples."""

    def __init__(self) -> None:
        self._offset = time.time() - _elapsed()

    def now(self) -> float:
        """Return seconds since the Unix epoch as of the start of this run."""
        return self._offset + _elapsed()
