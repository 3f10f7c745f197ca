"""Rows of loads in progress: they stand among the models until a server claims them."""

from __future__ import annotations

from gpumon.app.insight.health import unclaimed_loads
from gpumon.app.state.records import Load, LoadPhase
from gpumon.app.state.state import State
from gpumon.text import units
from gpumon.widgets.views import ModelRow

LOAD_PREFIX = "load "
"""Begins the keys of loads: no URL, with which the keys of models begin, starts like this."""

PHASE_WORDS: dict[LoadPhase, str] = {
    "starting": "starting",
    "fitting": "fitting",
    "weights": "weights",
    "context": "context",
    "warm_up": "warm-up",
    "ready": "ready",
}


def load_rows(state: State, filter_text: str = "") -> tuple[ModelRow, ...]:
    """Return a row for each load that no server claims yet and whose name contains ``filter_text``."""
    wanted = filter_text.casefold()
    loads = [load for load in unclaimed_loads(state) if wanted in load.name.casefold()]
    return tuple(load_row(load, state.now) for load in loads)


def load_row(load: Load, now: float) -> ModelRow:
    """Return the row of one load."""
    return ModelRow(
        key=load_row_key(load),
        name=load.name,
        level="ok",
        gpu_bytes=sum(load.vram_by_gpu.values()) if load.vram_by_gpu else None,
        context_length=load.settings.context_length,
        state=phase_words(load),
        until=time_left_words(load),
        load_fraction=load.fraction,
        notes=load_notes(load, now),
    )


def load_row_key(load: Load) -> str:
    """Return the key of a load's row: its process."""
    return f"{LOAD_PREFIX}{load.key.pid} {load.key.started}"


def phase_words(load: Load) -> str:
    """Say what is going on, and how far it is where that is known: ``weights 43%``."""
    words = PHASE_WORDS[load.phase]
    return words if load.fraction is None else f"{words} {load.fraction * 100:.0f}%"


def time_left_words(load: Load) -> str:
    """Write the time left; one that rests on a rule of thumb is marked."""
    if load.seconds_left is None:
        return ""
    return f"{'~' if load.estimated else ''}{units.duration(load.seconds_left)} left"


def load_notes(load: Load, now: float) -> tuple[str, ...]:
    """Say how long it has been loading, how fast, of how much, and who had to go."""
    notes = [f"loading for {units.duration(now - load.started)}"]
    if load.bytes_per_second:
        notes.append(units.byte_rate(load.bytes_per_second))
    if load.loaded_bytes is not None and load.target_bytes is not None:
        notes.append(f"{units.gib(load.loaded_bytes)} of {units.gib(load.target_bytes)} GiB")
    if load.evicted:
        notes.append(f"{', '.join(load.evicted)} made room")
    return tuple(notes)
