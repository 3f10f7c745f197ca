"""The page of a load in progress, and what is kept of one that is over."""

from __future__ import annotations

from collections.abc import Mapping

from gpumon.app.state.records import PHASES, FinishedLoad, Load, LoadPhase, RunnerKey
from gpumon.app.state.state import State
from gpumon.app.views.loads import PHASE_WORDS, load_row_key, phase_words, time_left_words
from gpumon.app.views.page import GPUMON, NVML, PROC, PageView
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact, VerdictView


def load_page(row_key: str, state: State) -> PageView:
    """Build the page of a load from the key of its row."""
    load = next((load for load in state.loads.values() if load_row_key(load) == row_key), None)
    if load is None:
        return PageView(VerdictView("unknown", "this load is over"))
    words = [f"loading {visible(load.name)}: {phase_words(load)}", time_left_words(load)]
    verdict = VerdictView("ok", ", ".join(filter(None, words)))
    return PageView(verdict, tuple(_load_facts(load, state)))


def finished_load_facts(key: RunnerKey | None, state: State) -> list[Fact]:
    """Return how the load of a runner went, where it was seen."""
    load = next((load for load in reversed(state.finished_loads) if load.key == key), None)
    if load is None:
        return []
    return [
        Fact("load took", units.duration(load.total_seconds), GPUMON),
        *_phases(load.phase_seconds),
        Fact("VRAM at its peak", units.size(load.peak_vram_bytes), NVML),
        *_room_made(load),
    ]


def _load_facts(load: Load, state: State) -> list[Fact]:
    rate = units.byte_rate(load.bytes_per_second)
    return [
        Fact("process", str(load.key.pid), PROC),
        Fact("loading for", units.duration(state.now - load.started), GPUMON),
        Fact("time left", time_left_words(load) or units.UNKNOWN, "estimate" if load.estimated else GPUMON),
        Fact("weights", f"{units.size(load.loaded_bytes)} of {units.size(load.target_bytes)}", PROC),
        Fact("rate", rate, PROC),
        *_by_gpu(load.vram_by_gpu, state),
        Fact("RAM resident", units.size(load.ram_bytes), PROC),
        *_phases(load.phase_seconds),
        *_room_made(load),
    ]


def _by_gpu(vram_by_gpu: Mapping[str, int], state: State) -> list[Fact]:
    return [
        Fact(f"VRAM on GPU {state.gpus[uuid].reading.index}", units.size(size), NVML)
        for uuid, size in vram_by_gpu.items()
        if uuid in state.gpus
    ]


def _phases(phase_seconds: Mapping[LoadPhase, float]) -> list[Fact]:
    return [
        Fact(f"  {PHASE_WORDS[phase]}", units.duration(phase_seconds[phase]), GPUMON)
        for phase in PHASES
        if phase in phase_seconds
    ]


def _room_made(load: Load | FinishedLoad) -> list[Fact]:
    return [Fact("made room for it", visible(", ".join(load.evicted)), GPUMON)] if load.evicted else []
