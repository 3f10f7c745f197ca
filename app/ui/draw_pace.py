"""How often the screen is drawn: once an interval, at once for an alert, seldom where nobody looks."""

from __future__ import annotations

GATHER_SECONDS = 0.05
"""Samples that come within this time of each other are drawn together."""

SHORTEST_SECONDS = 0.2
LONGEST_SECONDS = 3.0
"""However long the interval, a picture comes within this, unfocused twice that; keys draw at once."""

UNFOCUSED_FACTOR = 2.0


class DrawPace:
    """Says when the next picture is due. Times are those of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._drawn = float("-inf")

    def drew(self, now: float) -> None:
        """Note that the screen has been drawn."""
        self._drawn = now

    def delay(self, now: float, interval: float | None, *, focused: bool, urgent: bool) -> float:
        """Return seconds until the next picture; ``interval`` is that of polls, ``None`` for a recording."""
        if urgent:
            return GATHER_SECONDS
        distance = min(max(0.9 * (interval or SHORTEST_SECONDS), SHORTEST_SECONDS), LONGEST_SECONDS)
        if not focused:
            distance *= UNFOCUSED_FACTOR
        return max(GATHER_SECONDS, self._drawn + distance - now)
