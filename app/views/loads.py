"""Loads in progress: their rows among the models, their page, and what is kept of one that is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gpumon.app.picture.load import PHASE_WORDS, LoadPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.records import PHASES, FinishedLoad, LoadPhase
from gpumon.app.views.page import GPUMON, NVML, PROC, PageView
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact, ModelRow, VerdictView


def load_rows(pictures: Pictures, filter_text: str = "") -> tuple[ModelRow, ...]:
    """Return a row for each load that no server claims yet and whose name contains ``filter_text``."""
    wanted = filter_text.casefold()
    return tuple(load_row(load) for load in pictures.loads() if wanted in load.name.casefold())


def load_row(load: LoadPicture) -> ModelRow:
    """Return the row of one load."""
    return ModelRow(
        key=load.id,
        name=load.name,
        level="ok",
        gpu_bytes=load.gpu_bytes,
        context_length=load.context_length,
        state=load.phase_words,
        until=load.time_left,
        load_fraction=load.fraction,
        notes=tuple(_notes(load)),
    )


def _notes(load: LoadPicture) -> Iterator[str]:
    """Say how long it has been loading, how fast, of how much, and who had to go."""
    yield f"loading for {units.duration(load.seconds)}"
    if load.bytes_per_second:
        yield units.byte_rate(load.bytes_per_second)
    if load.loaded_bytes is not None and load.target_bytes is not None:
        yield f"{units.gib(load.loaded_bytes)} of {units.gib(load.target_bytes)} GiB"
    if load.evicted:
        yield f"{', '.join(load.evicted)} made room"


def load_page(row_key: str, pictures: Pictures) -> PageView:
    """Build the page of a load from the key of its row."""
    load = pictures.load(row_key)
    if load is None:
        return PageView(VerdictView("unknown", "this load is over"))
    words = [f"loading {visible(load.name)}: {load.phase_words}", load.time_left]
    indices = {gpu.uuid: gpu.index for gpu in pictures.gpus()}
    return PageView(VerdictView("ok", ", ".join(filter(None, words))), tuple(_load_facts(load, indices)))


def finished_load_facts(load: FinishedLoad | None) -> list[Fact]:
    """Return how the load of a model went, where it was seen."""
    if load is None:
        return []
    return [
        Fact("load took", units.duration(load.total_seconds), GPUMON),
        *_phases(load.phase_seconds),
        Fact("VRAM at its peak", units.size(load.peak_vram_bytes), NVML),
        *_room_made(load.evicted),
    ]


def _load_facts(load: LoadPicture, gpu_indices: Mapping[str, int]) -> Iterator[Fact]:
    yield Fact("process", str(load.pid), PROC)
    yield Fact("loading for", units.duration(load.seconds), GPUMON)
    yield Fact("time left", load.time_left or units.UNKNOWN, "estimate" if load.is_estimate else GPUMON)
    yield Fact("weights", f"{units.size(load.loaded_bytes)} of {units.size(load.target_bytes)}", PROC)
    yield Fact("rate", units.byte_rate(load.bytes_per_second), PROC)
    for uuid, size_bytes in load.vram_by_gpu.items():
        if uuid in gpu_indices:
            yield Fact(f"VRAM on GPU {gpu_indices[uuid]}", units.size(size_bytes), NVML)
    yield Fact("RAM resident", units.size(load.ram_bytes), PROC)
    yield from _phases(load.phase_seconds)
    yield from _room_made(load.evicted)


def _phases(phase_seconds: Mapping[LoadPhase, float]) -> list[Fact]:
    return [
        Fact(f"  {PHASE_WORDS[phase]}", units.duration(phase_seconds[phase]), GPUMON)
        for phase in PHASES
        if phase in phase_seconds
    ]


def _room_made(evicted: Sequence[str]) -> list[Fact]:
    return [Fact("made room for it", visible(", ".join(evicted)), GPUMON)] if evicted else []
