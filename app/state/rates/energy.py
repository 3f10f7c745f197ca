"""What a GPU takes over a time, from looks at its power. Pure: samples say the time."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

POINTS_KEPT = 2000
LONGEST_GAP_SECONDS = 5.0
"""Between two looks that are further apart nobody knows what it took."""


class EnergyTrack:
    """Adds up the power of one GPU, straight from look to look; what comes before a gap is forgotten."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=POINTS_KEPT)
        """Time, and joules since the first."""
        self._watts = 0.0

    def add(self, time: float, watts: float | None) -> None:
        """Take in a look; one without a power is a gap."""
        if watts is None or watts < 0 or (self._points and not self._follows(time)):
            self._points.clear()
        if watts is None or watts < 0:
            return
        if self._points:
            before, joules = self._points[-1]
            self._points.append((time, joules + (time - before) * (watts + self._watts) / 2))
        else:
            self._points.append((time, 0.0))
        self._watts = watts

    def joules(self, since: float, until: float) -> float | None:
        """Return what it took; ``None`` where it was not looked at all the time."""
        begun, ended = self._at(since), self._at(until)
        return None if begun is None or ended is None or until < since else max(0.0, ended - begun)

    def _follows(self, time: float) -> bool:
        return 0 < time - self._points[-1][0] <= LONGEST_GAP_SECONDS

    def _at(self, time: float) -> float | None:
        """Return the joules up to a time; after the latest look its power goes on for a moment."""
        points = self._points
        if not points or not points[0][0] <= time <= points[-1][0] + LONGEST_GAP_SECONDS:
            return None
        place = bisect_right(points, (time, float("inf")))
        before, joules = points[place - 1]
        if place == len(points):
            return joules + (time - before) * self._watts
        after, more = points[place]
        return joules + (more - joules) * (time - before) / (after - before)
