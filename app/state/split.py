"""How much of a model is on the GPU, by Ollama's own arithmetic (cmd/cmd.go: ListRunningHandler)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple


class Split(NamedTuple):
    """The two parts of a model in bytes, and their share; all ``None`` where the claim makes no sense."""

    gpu_bytes: int | None
    ram_bytes: int | None
    spill_fraction: float | None
    """RAM part / all, 0 to 1."""


UNKNOWN_SPLIT = Split(None, None, None)


@lru_cache(maxsize=256)
def split_of(size_bytes: int | None, size_vram_bytes: int | None) -> Split:
    """Split a claim into its GPU and RAM parts."""
    if size_bytes is None or size_vram_bytes is None or size_bytes <= 0:
        return UNKNOWN_SPLIT
    if not 0 <= size_vram_bytes <= size_bytes:
        return UNKNOWN_SPLIT
    ram_bytes = size_bytes - size_vram_bytes
    return Split(size_vram_bytes, ram_bytes, ram_bytes / size_bytes)


def processor_words(size_bytes: int | None, size_vram_bytes: int | None) -> str:
    """Write the PROCESSOR column exactly as ``ollama ps`` does, the order of its cases included."""
    if size_bytes is None or size_vram_bytes is None:
        return "Unknown"
    if size_vram_bytes == 0:
        return "100% CPU"
    if size_vram_bytes == size_bytes:
        return "100% GPU"
    if size_vram_bytes > size_bytes or size_bytes == 0:
        return "Unknown"
    cpu_percent = go_round(float(size_bytes - size_vram_bytes) / float(size_bytes) * 100)
    return f"{cpu_percent}%/{100 - cpu_percent}% CPU/GPU"


def go_round(value: float) -> int:
    """Round half away from zero as Go's ``math.Round`` does; Python's ``round`` goes to even."""
    whole = math.floor(abs(value))
    return int(math.copysign(whole + (abs(value) - whole >= 0.5), value))
