"""The memory row from the state."""

from __future__ import annotations

from gpumon.app.state.state import State
from gpumon.app.views.gpus import trend
from gpumon.app.views.levels import Levels
from gpumon.widgets.views import MemoryRow


def memory_row(state: State, levels: Levels) -> MemoryRow:
    """Return RAM, swap and CPU; everything unknown before the first sample."""
    if state.system is None:
        return MemoryRow()
    sample = state.system.sample
    source = state.sources.get(sample.source)
    return MemoryRow(
        level=levels.of("system"),
        total_bytes=sample.ram_total_bytes,
        used_bytes=sample.ram_used_bytes,
        available_bytes=sample.ram_available_bytes,
        model_bytes=spilled_bytes(state),
        swap_total_bytes=sample.swap_total_bytes,
        swap_used_bytes=sample.swap_used_bytes,
        swap_in_bytes_per_second=sample.swap_in_bytes_per_second,
        swap_out_bytes_per_second=sample.swap_out_bytes_per_second,
        cpu_percent=sample.cpu_percent,
        cpu_trend=trend(state.system.cpu, state.now),
        cpu_count=len(sample.cpu_percent_by_core) if sample.cpu_percent_by_core else None,
        load_average=sample.load_average[0] if sample.load_average else None,
        pressure_percent=sample.pressure.some_percent if sample.pressure else None,
        age_seconds=source.age(state.now) if source else None,
    )


def spilled_bytes(state: State) -> int | None:
    """Return the bytes that loaded models claim in RAM, ``None`` where no model says."""
    parts = [model.split.ram_bytes for model in state.models.values()]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
