"""The picture of a load in progress."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from gpumon.app.insight.health import Level
from gpumon.app.insight.wording import kind_label, model_id
from gpumon.app.picture.memory import ModelSeries, series_of
from gpumon.app.state.holders.addresses import server_of
from gpumon.app.state.records import Load, LoadPhase, Mark, ModelKey, RunnerKey
from gpumon.app.state.state import State
from gpumon.collectors.servers.registry import kind_named
from gpumon.text import units
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from gpumon.app.diagnosis.forecast import Forecast

LOAD_PREFIX = "load "
"""Begins the identities of loads: no URL, with which those of models begin, starts like this."""

PHASE_WORDS: dict[LoadPhase, str] = {
    "starting": "starting",
    "fitting": "fitting",
    "weights": "weights",
    "context": "context",
    "warm_up": "warm-up",
    "ready": "ready",
}


class LoadPicture(Struct, frozen=True, kw_only=True):
    """All that is said of a load at one instant; ``None`` is unknown."""

    id: str
    """That of the model's row, where it is known which it is and none has that row."""
    series: ModelSeries | None = None
    """Of the model, in its loads before and of this one, where it is known which it is."""
    marks: tuple[Mark, ...] = ()
    sighted: float = 0.0
    """When the model was first seen in this run."""
    name: str
    """As it is known from outside; not harmless to draw."""
    model: ModelKey | None = None
    """The model that it is, where its server is known."""
    runtime_label: str = ""
    """What will serve it: ``Ollama``; empty where that is not known."""
    pid: int
    phase: LoadPhase
    phase_words: str
    """What is going on, and how far it is where that is known: ``weights 43%``."""
    fraction: float | None
    """0 to 1; of the bytes, or of the time where no bytes can be seen."""
    seconds: float
    """So far."""
    seconds_left: float | None
    is_estimate: bool
    """Whether ``seconds_left`` rests on a rule of thumb."""
    time_left: str
    """``8s left``, ``~8s left`` for a rule of thumb; empty where it cannot be told."""
    loaded_bytes: int | None
    target_bytes: int | None
    bytes_per_second: float | None
    gpu_bytes: int | None
    """What it has taken so far on all GPUs."""
    vram_by_gpu: dict[str, int]
    ram_bytes: int | None
    context_length: int | None
    evicted: tuple[str, ...]
    """Models that were unloaded to make room for it."""
    phase_seconds: dict[LoadPhase, float]
    """How long each phase that is over has lasted."""
    forecast: Forecast | None = None
    """What will have come of it at its end, where that can be reckoned."""
    level: Level = "ok"
    """``watch`` where a part of it will be in RAM."""
    sentence: str = ""
    """What is said of it: that it loads, and what it will not have room for."""


def load_id(key: RunnerKey) -> str:
    """Return the identity of the load of a process."""
    return f"{LOAD_PREFIX}{key.pid} {key.started}"


def load_picture(
    load: Load, state: State, forecast: Forecast | None = None, *, stands_for_model: bool = False
) -> LoadPicture:
    """Put together what is said of one load; one that ``stands_for_model`` bears the identity of that.

    ``forecast`` says what will come of it.
    """
    will_spill = forecast is not None and forecast.spills
    words = forecast.words if forecast is not None and will_spill else f"{visible(load.name)} is loading"
    now, model = state.now, load.model if stands_for_model else None
    history = state.histories.get(load.model) if load.model else None
    return LoadPicture(
        id=model_id(model) if model else load_id(load.key),
        sighted=load.watched if history is None else min(history.first_seen, load.watched),
        series=None if history is None else series_of(history),
        marks=() if history is None else tuple(history.marks),
        name=load.name,
        model=load.model,
        runtime_label=_runtime_label(load, state),
        pid=load.key.pid,
        phase=load.phase,
        phase_words=_phase_words(load),
        fraction=load.fraction,
        seconds=now - load.started,
        seconds_left=load.seconds_left,
        is_estimate=load.estimated,
        time_left=_time_left(load),
        loaded_bytes=load.loaded_bytes,
        target_bytes=load.target_bytes,
        bytes_per_second=load.bytes_per_second,
        gpu_bytes=sum(load.vram_by_gpu.values()) if load.vram_by_gpu else None,
        vram_by_gpu=dict(load.vram_by_gpu),
        ram_bytes=load.ram_bytes,
        context_length=load.settings.context_length,
        evicted=load.evicted,
        phase_seconds=dict(load.phase_seconds),
        forecast=forecast,
        level="watch" if will_spill else "ok",
        sentence=words,
    )


def _runtime_label(load: Load, state: State) -> str:
    """Name what has started the process, else what it is itself."""
    runner = state.runners.get(load.key)
    if runner is None:
        return ""
    server = server_of(state, runner)
    return kind_label(runner.server_kind if server is None else kind_named(server.kind))


def _phase_words(load: Load) -> str:
    words = PHASE_WORDS[load.phase]
    return words if load.fraction is None else f"{words} {load.fraction * 100:.0f}%"


def _time_left(load: Load) -> str:
    if load.seconds_left is None:
        return ""
    return f"{'~' if load.estimated else ''}{units.duration(load.seconds_left)} left"
