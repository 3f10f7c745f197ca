"""An estimate: never one number."""

from __future__ import annotations

from typing import NamedTuple


class Band(NamedTuple):
    """An estimated value with the range in which about nine of ten measurements lie."""

    low: float
    expected: float
    high: float

    def scaled(self, factor: float) -> Band:
        """Return the band with every value multiplied."""
        return Band(self.low * factor, self.expected * factor, self.high * factor)
