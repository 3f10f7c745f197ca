"""Who holds a GPU's memory: models by name, other processes, the reserve."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from gpumon.app.state.records import GpuRecord, RunnerRecord
from gpumon.app.state.state import State
from gpumon.app.views.runners import runner_name
from gpumon.collectors.samples import GpuMemory, GpuProcess
from gpumon.collectors.servers.registry import REGISTRY
from gpumon.widgets.views import BarSegment, SegmentKind


class Holder(NamedTuple):
    """What a process on a GPU is called, and whether it holds a model."""

    label: str
    kind: SegmentKind


def memory_segments(record: GpuRecord, state: State) -> tuple[BarSegment, ...]:
    """Return who holds the memory: models, other processes, what no process accounts for, the reserve."""
    memory = record.reading.memory
    if memory is None or memory.used_bytes is None:
        return ()
    segments = _process_segments(record.reading.processes or (), state)
    accounted = sum(segment.size_bytes for segment in segments)
    if memory.unified or accounted > memory.used_bytes:
        return tuple(segments) if accounted <= memory.total_bytes else ()
    return (*segments, *_remainder(memory, accounted))


def holder_of(process: GpuProcess, state: State, runners: Mapping[int, RunnerRecord]) -> Holder:
    """Name a process on a GPU: by the model it holds, by its own name, or by its PID."""
    if runner := runners.get(process.pid):
        return Holder(runner_name(runner, state), "model")
    holder = state.holders.get(process.pid)
    name = process.name or (holder.name if holder else None)
    if name is not None and any(name.startswith(kind.program_starts) for kind in REGISTRY.kinds()):
        return Holder(name, "model")
    return Holder(name or f"pid {process.pid}", "process")


def runners_by_pid(state: State) -> dict[int, RunnerRecord]:
    """Return the runners that are there now by PID."""
    return {key.pid: runner for key, runner in state.runners.items()}


def _process_segments(processes: tuple[GpuProcess, ...], state: State) -> list[BarSegment]:
    """Add up processes by name, models before all others, the largest first."""
    runners = runners_by_pid(state)
    sizes: dict[Holder, int] = defaultdict(int)
    for process in processes:
        sizes[holder_of(process, state, runners)] += process.vram_bytes or 0
    segments = [BarSegment(holder.label, size, holder.kind) for holder, size in sizes.items() if size]
    return sorted(segments, key=lambda segment: (segment.kind != "model", -segment.size_bytes))


def _remainder(memory: GpuMemory, accounted: int) -> list[BarSegment]:
    segments = []
    if rest := (memory.used_bytes or 0) - accounted:
        segments.append(BarSegment("other" if accounted else "in use", rest, "process"))
    if memory.reserved_bytes:
        segments.append(BarSegment("reserved", memory.reserved_bytes, "reserved"))
    return segments
