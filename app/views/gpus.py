"""GPU rows from the state."""

from __future__ import annotations

from collections import defaultdict

from gpumon.app.state.records import GpuRecord
from gpumon.app.state.series import Series
from gpumon.app.state.state import State
from gpumon.app.views.levels import Levels
from gpumon.collectors.samples import GpuMemory, GpuProcess
from gpumon.widgets.views import BarSegment, GpuRow, Trend

TREND_SECONDS = 120.0
TREND_CELLS = 24

RUNNER_NAMES = frozenset({"llama-server", "ollama", "ollama_llama_server", "ollama_llama_se"})
"""Executables that hold model weights (the last is the kernel's 15-character cut)."""


def gpu_rows(state: State, levels: Levels) -> tuple[GpuRow, ...]:
    """Return one row per GPU in the driver's order."""
    records = sorted(state.gpus.values(), key=lambda record: record.reading.index)
    return tuple(gpu_row(record, state, levels) for record in records)


def gpu_row(record: GpuRecord, state: State, levels: Levels) -> GpuRow:
    """Return the row of one GPU."""
    reading, memory = record.reading, record.reading.memory
    return GpuRow(
        key=reading.uuid,
        index=reading.index,
        name=reading.name or "unnamed GPU",
        level=levels.of(reading.uuid, known=memory is not None),
        total_bytes=memory.total_bytes if memory else None,
        used_bytes=memory.used_bytes if memory else None,
        free_bytes=memory.free_bytes if memory else None,
        segments=memory_segments(memory, reading.processes),
        unified=memory.unified if memory else False,
        utilization_percent=reading.utilization_percent,
        utilization_trend=trend(record.utilization, state.now),
        vram_trend=trend(record.vram, state.now),
        power_watts=reading.power_watts,
        power_limit_watts=reading.power_limit_watts,
        temperature_celsius=reading.temperature_celsius,
        slowdown_celsius=record.facts.slowdown_celsius,
        fan_percent=reading.fan_percent,
        notes=notes(record),
        age_seconds=age(state),
    )


def age(state: State) -> float | None:
    """Return how old the driver's figures are, where they are no longer current."""
    source = state.sources.get("nvml")
    return source.age(state.now) if source else None


def notes(record: GpuRecord) -> tuple[str, ...]:
    """Return what the row must say in words, most important first."""
    reading, slow, facts = record.reading, record.slow, record.facts
    words: list[str] = [] if reading.state == "ok" else [reading.state]
    words += reading.throttle_reasons or ()
    if slow.ecc_uncorrected:
        words.append(f"{slow.ecc_uncorrected} ECC errors")
    busy = (reading.utilization_percent or 0) >= 50
    if busy and slow.pcie_width and facts.pcie_width_max and slow.pcie_width < facts.pcie_width_max:
        words.append(f"PCIe x{slow.pcie_width} of x{facts.pcie_width_max}")
    if slow.mig_mode:
        words.append("MIG on")
    return tuple(words)


def memory_segments(
    memory: GpuMemory | None, processes: tuple[GpuProcess, ...] | None
) -> tuple[BarSegment, ...]:
    """Return who holds the memory: runners, other processes, what no process accounts for, the reserve."""
    if memory is None or memory.used_bytes is None:
        return ()
    segments = _process_segments(processes or ())
    accounted = sum(segment.size_bytes for segment in segments)
    if memory.unified or accounted > memory.used_bytes:
        return tuple(segments) if accounted <= memory.total_bytes else ()
    if rest := memory.used_bytes - accounted:
        segments.append(BarSegment("other" if accounted else "in use", rest, "process"))
    if memory.reserved_bytes:
        segments.append(BarSegment("reserved", memory.reserved_bytes, "reserved"))
    return tuple(segments)


def _process_segments(processes: tuple[GpuProcess, ...]) -> list[BarSegment]:
    """Add up processes by name, the largest first, runners before all others."""
    sizes: dict[str, int] = defaultdict(int)
    for process in processes:
        sizes[process.name or f"pid {process.pid}"] += process.vram_bytes or 0
    segments = [
        BarSegment(name, size, "model" if name in RUNNER_NAMES else "process")
        for name, size in sizes.items()
        if size
    ]
    return sorted(segments, key=lambda segment: (segment.kind != "model", -segment.size_bytes))


def trend(series: Series, now: float, seconds: float = TREND_SECONDS, cells: int = TREND_CELLS) -> Trend:
    """Return the means of the last ``seconds`` as one value per cell."""
    return tuple(bucket.mean if bucket else None for bucket in series.window(now, seconds, cells))
