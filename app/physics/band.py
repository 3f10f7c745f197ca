"""An estimate: never one number."""

from __future__ import annotations

from typing import NamedTuple


class Band(NamedTuple):
    """An estimated value with the range in which about nine of ten measurements lie."""

    low: float
    expected: float
    high: float
