"""Since when requests wait for a place at a server, where that is no moment. Pure: samples say the time."""

from __future__ import annotations

from gpumon.collectors.samples import WorkSample

BEGUN_SECONDS = 10.0
"""Somebody must have waited at each look for so long: a request that waits for another's end is no queue."""
OVER_SECONDS = 5.0
"""It is over when nobody has waited for so long: where requests queue up there are moments without one."""
STANDS_SECONDS = 30.0
"""So long it stands without a look: a server that computes a long batch does not answer."""


class WaitTrack:
    """Follows who waits for one model; takes its samples in time order."""

    def __init__(self) -> None:
        self._first: float | None = None
        """The first look that found one waiting, of those since nobody did."""
        self._last = float("-inf")
        """The latest such look."""
        self._seen = float("-inf")
        self._is_on = False
        self.count = 0
        """How many waited at the latest look."""

    def feed(self, sample: WorkSample) -> None:
        """Take in one look; one that does not say who waits changes nothing."""
        waiting = sample.counters.requests_deferred if sample.counters else None
        if waiting is None:
            return
        if sample.time - self._seen > STANDS_SECONDS:
            self._end()
        self._seen, self.count = sample.time, waiting
        if waiting > 0:
            self._last = sample.time
            self._first = sample.time if self._first is None else self._first
            self._is_on = self._is_on or sample.time - self._first >= BEGUN_SECONDS
        elif not self._is_on or sample.time - self._last >= OVER_SECONDS:
            self._end()

    def since(self, now: float) -> float | None:
        """Return since when requests have been waiting; ``None`` where they do not, or not for long."""
        return self._first if self._is_on and now - self._seen <= STANDS_SECONDS else None

    def _end(self) -> None:
        self._first, self._is_on = None, False
