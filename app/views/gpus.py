"""GPU rows from the state."""

from __future__ import annotations

from gpumon.app.state.records import GpuRecord
from gpumon.app.state.series import Series
from gpumon.app.state.state import State
from gpumon.app.views.levels import Levels
from gpumon.app.views.segments import memory_segments
from gpumon.collectors.samples import GpuReading
from gpumon.text.safe import visible
from gpumon.widgets.views import GpuRow, Trend

TREND_SECONDS = 120.0
TREND_CELLS = 24


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
        segments=memory_segments(record, state),
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
    words: list[str] = [] if reading.state == "ok" else [_state_words(reading)]
    words += reading.throttle_reasons or ()
    if slow.ecc_uncorrected:
        words.append(f"{slow.ecc_uncorrected} ECC errors")
    busy = (reading.utilization_percent or 0) >= 50
    if busy and slow.pcie_width and facts.pcie_width_max and slow.pcie_width < facts.pcie_width_max:
        words.append(f"PCIe x{slow.pcie_width} of x{facts.pcie_width_max}")
    if slow.mig_mode:
        words.append("MIG on")
    return tuple(words)


def _state_words(reading: GpuReading) -> str:
    detail = visible(reading.detail or "")
    return reading.state if not detail or reading.state in detail else f"{reading.state}: {detail}"


def trend(series: Series, now: float, seconds: float = TREND_SECONDS, cells: int = TREND_CELLS) -> Trend:
    """Return the means of the last ``seconds`` as one value per cell."""
    return tuple(bucket.mean if bucket else None for bucket in series.window(now, seconds, cells))
