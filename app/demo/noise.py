"""Unevenness without chance: the same moment gives the same figure in every run."""

from __future__ import annotations

import hashlib
import math


def wobble(seed: int, seconds: float) -> float:
    """Return a value from -1 to 1 that changes from second to second without a visible period."""
    return (
        math.sin(seconds * 1.31 + seed)
        + math.sin(seconds * 0.43 + seed * 2.7)
        + math.sin(seconds * 2.9 + seed)
    ) / 3


def hexadecimal(name: str, length: int) -> str:
    """Return ``length`` hex digits (at most 64) that belong to ``name``: digests, identifiers."""
    return hashlib.sha256(name.encode()).hexdigest()[:length]
