"""Figures as evidence, and the phrases that verdicts, causes and remedies share; all harmless to draw."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.app.diagnosis.diagnosis import Evidence
from gpumon.app.diagnosis.room import Occupant
from gpumon.app.insight.wording import amount
from gpumon.app.physics.hardware import Band
from gpumon.text import units
from gpumon.text.safe import visible

PS = "/api/ps"
NVML = "NVML"
COMMAND_LINE = "command line"
ARITHMETIC = "arithmetic"
LOG = "server log"
SLOTS = "/slots"
METRICS = "/metrics"
GPUMON = "gpumon"
ESTIMATE = "estimate"
DAY_SECONDS = 86400.0


def size_evidence(name: str, size_bytes: int, source: str) -> Evidence:
    """Return an amount of memory as evidence."""
    return Evidence(name, amount(size_bytes), source)


def tokens_evidence(name: str, tokens: int, source: str) -> Evidence:
    """Return a number of tokens as evidence."""
    return Evidence(name, f"{tokens} tokens", source)


def band_words(band: Band) -> str:
    """Write an estimated rate with its range: ``about 18 tok/s (15 to 22)``."""
    return f"about {units.rate(band.expected)} ({_number(band.low)} to {_number(band.high)})"


def about(band: Band) -> str:
    """Write the middle of an estimated rate without its unit: ``about 18``."""
    return f"about {_number(band.expected)}"


def needs_words(need_bytes: int, free_bytes: int) -> str:
    """Write why something fits: ``needs 11.2 of 11.4 GiB free``."""
    return f"needs {units.gib(need_bytes)} of {units.gib(free_bytes)} GiB free"


def occupant_words(occupants: Sequence[Occupant]) -> str:
    """Name who holds memory, with how much: ``qwen3:8b (6.1 GiB) and steam (1.2 GiB)``."""
    named = [f"{visible(one.name)} ({amount(one.vram_bytes)})" for one in occupants]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def closed_words(occupants: Sequence[Occupant]) -> str:
    """Name what is to be closed so that it can be found: ``steam (1.2 GiB, pid 4242)``."""
    named = [
        f"{visible(one.name)} ({amount(one.vram_bytes)}{f', pid {one.pid}' if one.pid else ''})"
        for one in occupants
    ]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"


def clock_words(time: float, now: float) -> str:
    """Write when something was, to the minute; with the date where that was not in the last day."""
    return units.clock(time, units.TO_THE_MINUTE if now - time < DAY_SECONDS else "%d %b %H:%M")


def gpu_words(labels: Sequence[str]) -> str:
    """Name the GPUs: ``GPU 0``, ``the 2 GPUs``."""
    return labels[0] if len(labels) == 1 else f"the {len(labels)} GPUs"


def _number(rate: float) -> str:
    return units.rate(rate).removesuffix(" tok/s")
