"""What holds a GPU or the machine back: throttling, a link below its best, traffic to swap."""

from __future__ import annotations

from collections.abc import Iterable

from gpumon.app.insight.wording import gpu_label
from gpumon.app.state.hindrances import SEVERE_REASONS
from gpumon.app.state.records import GpuRecord
from gpumon.collectors.samples import GpuReading, SystemSample
from gpumon.text.safe import visible

HARMLESS_REASONS = ("idle", "application", "display", "sync boost", "reliability")
"""Parts of reasons that are the user's choice, or that a healthy card at full speed gives."""
LINK_BUSY_PERCENT = 50.0
"""GPU utilisation from which the PCIe link must be at its best; idle links run slower on purpose."""


def costly_reasons(reading: GpuReading) -> tuple[str, ...] | None:
    """Return what costs speed of what holds the clocks down; ``None`` where the driver does not say."""
    if reading.throttle_reasons is None:
        return None
    return tuple(reason for reason in reading.throttle_reasons if not _has(reason, HARMLESS_REASONS))


def slowdown_words(gpu: GpuRecord, reasons: Iterable[str]) -> str:
    """Say what holds a GPU's clocks down: ``GPU 0 is slowed down: power cap``."""
    return f"{gpu_label(gpu)} is slowed down: {', '.join(map(visible, reasons))}"


def is_severe(reasons: Iterable[str]) -> bool:
    """Tell whether heat or the board's own protection is among the reasons."""
    return any(_has(reason, SEVERE_REASONS) for reason in reasons)


def link_below_best(gpu: GpuRecord) -> tuple[str, ...]:
    """Return in what the PCIe link is below its maximum, as last read: ``width 4 of 16``."""
    slow = gpu.reading.slow
    if slow is None:
        return ()
    pairs = (
        ("width", slow.pcie_width, gpu.facts.pcie_width_max),
        ("generation", slow.pcie_generation, gpu.facts.pcie_generation_max),
    )
    return tuple(
        f"{word} {now} of {best}"
        for word, now, best in pairs
        if now is not None and best is not None and now < best
    )


def swap_rate(system: SystemSample) -> float | None:
    """Return bytes per second to and from swap; ``None`` before the second sample."""
    swap_in, swap_out = system.swap_in_bytes_per_second, system.swap_out_bytes_per_second
    return None if swap_in is None or swap_out is None else swap_in + swap_out


def _has(reason: str, words: tuple[str, ...]) -> bool:
    return any(word in reason.lower() for word in words)
