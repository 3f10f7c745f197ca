"""The slope of a growing count over the last moments."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 2.0
SHORTEST_SECONDS = 0.2
"""A rate over less is noise."""


class Window:
    """Points of one count, the newest of those that are ``WINDOW_SECONDS`` old and all later ones."""

    def __init__(self, shortest_seconds: float = SHORTEST_SECONDS) -> None:
        self._shortest_seconds = shortest_seconds
        self._points: deque[tuple[float, float]] = deque()

    def add(self, time: float, count: float) -> None:
        """Note the count at ``time``, which comes after those before."""
        self._points.append((time, count))
        while len(self._points) > 2 and self._points[1][0] <= time - WINDOW_SECONDS:
            self._points.popleft()

    def clear(self) -> None:
        """Forget what was."""
        self._points.clear()

    @property
    def last(self) -> float | None:
        """The newest count."""
        return self._points[-1][1] if self._points else None

    @property
    def rate(self) -> float | None:
        """Counts per second, ``None`` where there is too little to tell."""
        if len(self._points) < 2:
            return None
        (first_time, first), (last_time, last) = self._points[0], self._points[-1]
        seconds = last_time - first_time
        return max(last - first, 0.0) / seconds if seconds >= self._shortest_seconds else None
