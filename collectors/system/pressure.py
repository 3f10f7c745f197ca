"""Pressure stall information: how much time tasks lost waiting for memory (Documentation/accounting/psi)."""

from __future__ import annotations

from pathlib import Path

from gpumon.collectors.samples import MemoryPressure

MEMORY_PRESSURE_FILE = Path("/proc/pressure/memory")


def read_memory_pressure(file: Path = MEMORY_PRESSURE_FILE) -> MemoryPressure | None:
    """Return the averages over 10 s; ``None`` where the kernel has none (Linux < 4.20, ``psi=0``)."""
    try:
        return parse_memory_pressure(file.read_text(encoding="ascii"))
    except (OSError, UnicodeError):
        return None


def parse_memory_pressure(text: str) -> MemoryPressure | None:
    """Read ``some avg10=0.12 avg60=… avg300=… total=…`` and the ``full`` line that follows."""
    averages = {words[0]: _average(words[1]) for line in text.splitlines() if len(words := line.split()) > 1}
    some = averages.get("some")
    if some is None:
        return None
    return MemoryPressure(some_percent=some, full_percent=averages.get("full"))


def _average(word: str) -> float | None:
    name, _, value = word.partition("=")
    try:
        percent = float(value) if name == "avg10" else None
    except ValueError:
        return None
    return percent if percent is not None and 0 <= percent <= 100 else None
