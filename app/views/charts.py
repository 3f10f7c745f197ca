"""History charts from the series."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.app.state.records import GpuRecord, ModelRecord
from gpumon.app.state.series import Series
from gpumon.app.state.state import State
from gpumon.text.units import GIB
from gpumon.widgets.views import ChartSeries, ChartView, Trend

WINDOWS_SECONDS: tuple[float, ...] = (300.0, 3600.0, 86400.0)
"""What the history charts can show: 5 minutes, an hour, a day."""

CHART_CELLS = 150

PEAKS_FROM_SECONDS = 1800.0
"""From this window on a cell covers so many samples that the peaks are drawn as well."""


def vram_chart(state: State, seconds: float) -> ChartView:
    """Return used VRAM of every GPU."""
    gpus = sorted(state.gpus.values(), key=lambda gpu: gpu.reading.index)
    capacities = [gpu.total_bytes for gpu in gpus if gpu.total_bytes]
    series = [_line(f"GPU {gpu.reading.index}", gpu.vram, state.now, seconds, GIB) for gpu in gpus]
    ceiling = max(capacities) / GIB if capacities else None
    return ChartView("VRAM in use", "GiB", seconds, tuple(series), ceiling)


def gpu_charts(record: GpuRecord, now: float, seconds: float) -> tuple[ChartView, ...]:
    """Return the charts of a GPU's page."""
    total, slowdown = record.total_bytes, record.facts.slowdown_celsius
    limit = record.reading.power_limit_watts
    return (
        _chart("VRAM in use", "GiB", record.vram, now, seconds, total / GIB if total else None, GIB),
        _chart("utilisation", "%", record.utilization, now, seconds, 100.0),
        _chart("power", "W", record.power, now, seconds, limit),
        _chart("temperature", "°C", record.temperature, now, seconds, slowdown),
    )


def model_charts(record: ModelRecord, now: float, seconds: float) -> tuple[ChartView, ...]:
    """Return the charts of a model's page."""
    size = record.claim.size_bytes
    parts = []
    if record.claims_memory:
        parts += [
            _line("VRAM claimed", record.vram, now, seconds, GIB),
            _line("RAM claimed", record.ram, now, seconds, GIB),
        ]
    if record.measured_vram.last_time is not None:
        parts.append(_line("VRAM measured", record.measured_vram, now, seconds, GIB))
    charts = (
        [ChartView("memory", "GiB", seconds, tuple(parts), size / GIB if size else None)] if parts else []
    )
    if record.decode.last_time is not None:
        charts.append(_chart("decode rate", "tok/s", record.decode, now, seconds, None))
    if record.prefill.last_time is not None:
        charts.append(_chart("prefill rate", "tok/s", record.prefill, now, seconds, None))
    return tuple(charts)


def _chart(
    title: str,
    unit: str,
    series: Series,
    now: float,
    seconds: float,
    ceiling: float | None,
    scale: float = 1.0,
) -> ChartView:
    line = _line(title, series, now, seconds, scale)
    return ChartView(title, unit, seconds, (line,), ceiling)


def _line(label: str, series: Series, now: float, seconds: float, scale: float = 1.0) -> ChartSeries:
    cells = min(CHART_CELLS, int(seconds))
    buckets = series.window(now, seconds, cells)
    means = _scaled([bucket.mean if bucket else None for bucket in buckets], scale)
    if seconds < PEAKS_FROM_SECONDS:
        return ChartSeries(label, means)
    maxima = _scaled([bucket.maximum if bucket else None for bucket in buckets], scale)
    return ChartSeries(label, means, maxima)


def _scaled(values: Sequence[float | None], scale: float) -> Trend:
    return tuple(None if value is None else value / scale for value in values)
