"""How models come and go: a load, whether it is a reload and why; why a model is no longer loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from gpumon.app.events.event import HappeningKind, Said, named
from gpumon.app.insight.wording import model_id
from gpumon.app.picture.load import load_id
from gpumon.app.state.holders.joins import blobs_of
from gpumon.app.state.loads.endings import NOTICED_WITHIN_SECONDS, are_loads_seen, reload_of
from gpumon.app.state.records import FinishedLoad, Load, ModelKey, ModelRecord, RunnerKey, SettingChange
from gpumon.app.state.servers import MODELS_END_WITH
from gpumon.app.state.state import State
from gpumon.text import units
from gpumon.text.safe import visible

RELOADED_WITHIN_SECONDS = 15.0
"""A model that is loaded again so soon after it left was reloaded."""
HELD_SECONDS = 3.0
"""So long nothing is said of a model that left for no visible reason: it comes with the next look."""
ASKED_SECONDS = 60.0
"""So long after the user asked for it a model leaves for that."""
LOST_SECONDS = 60.0
"""So long a server may list a model whose card is gone."""


class Departure(Struct):
    """A model that left, until it is known why."""

    model: ModelRecord
    gone: float
    with_server: bool = False
    """Whether its server was not there any more."""
    is_told: bool = False
    """Whether what is told of its server names it."""
    number: int | None = None
    """That of its event, once there is one."""


class Why(NamedTuple):
    """Why a model left, as far as is known now."""

    kind: HappeningKind | None
    """``None`` where another event says so: its reload, the loss of its card, the end of its server."""
    clause: str = ""
    """What follows its name."""
    other: str = ""
    """A name in that, harmless to draw."""
    is_plain: bool = True
    """Whether nothing better is to be expected."""


def said_of_departure(name: str, why: Why) -> Said:
    """Put into words that a model left."""
    briefly = why.clause.removeprefix("left: ")
    said = named(name, why.clause, briefly, f"left for {why.other}" if why.kind == "evicted" else briefly)
    return said._replace(names=(name, why.other)) if why.other else said


def departure_of(model: ModelRecord, state: State) -> Departure:
    """Note that a model has just left."""
    source = state.sources.get(model.key.source)
    gone_server = source is None or source.health.state in MODELS_END_WITH
    return Departure(model, state.now, with_server=gone_server and model.process is None)


def why_left(
    departure: Departure, state: State, asked: Mapping[ModelKey, float], ended: Collection[str]
) -> Why:
    """Return why a model left, as far as is known now.

    ``asked`` holds when the user asked gpumon to unload a model, ``ended`` the names of models whose own
    processes were told to have ended.
    """
    model, gone = departure.model, departure.gone
    if departure.with_server or went_with_gpu(model, state) or model.claim.name in ended:
        return Why(None)
    if gone - asked.get(model.key, -ASKED_SECONDS) < ASKED_SECONDS:
        return Why("unloaded", "unloaded by you")
    for load in loads_near(state, gone):
        if model.claim.name in load.evicted:
            by, is_known = visible(load.name), isinstance(load, FinishedLoad)
            return Why("evicted", f"left: made room for {by}", by, is_plain=is_known)
    others = [load for load in loads_near(state, gone) if load.started <= gone + NOTICED_WITHIN_SECONDS]
    if any(is_of(state, model, load) for load in loads_near(state, gone)):
        return Why(None)
    return _of_itself(model, gone, state, others)


def _of_itself(model: ModelRecord, gone: float, state: State, others: Sequence[Load | FinishedLoad]) -> Why:
    """Return why a model left that no other is known to have made leave."""
    if model.stop_asked:
        return Why("unloaded", "unloaded on request")
    if _has_expired(model, gone, state):
        return Why("expired", "left: expired")
    if model.runner_ended is not None and gone - model.runner_ended > HELD_SECONDS:
        return Why("left", "left: its process had ended")
    if others:  # perhaps for it, though there was room beside it
        by = visible(min(others, key=lambda load: abs(load.started - gone)).name)
        return Why("left", f"left as {by} was loaded", by, is_plain=False)
    is_early = model.claim.expires_at is not None and state.now - gone >= NOTICED_WITHIN_SECONDS
    if is_early and are_loads_seen(model, state):
        return Why("unloaded", "unloaded on request")  # nothing else unloads a model before its time
    return Why("left", "left", is_plain=False)


def _has_expired(model: ModelRecord, gone: float, state: State) -> bool:
    source, expires_at = state.sources.get(model.key.source), model.claim.expires_at
    offset = source.clock_offset_seconds if source else 0.0
    return expires_at is not None and expires_at - offset <= gone


def went_with_gpu(model: ModelRecord, state: State) -> bool:
    """Return whether a model was on a GPU that was lost a moment before it left."""
    pid, gone = pid_of(model), state.now if model.gone is None else model.gone
    lost = (gpu for gpu in state.gpus.values() if pid in gpu.lost_pids and gpu.lost_at is not None)
    return pid is not None and any(abs(gone - (gpu.lost_at or 0.0)) <= LOST_SECONDS for gpu in lost)


def loads_near(state: State, time: float) -> Iterator[Load | FinishedLoad]:
    """Yield the loads that began about when a model left, the latest first."""
    loads: list[Load | FinishedLoad] = [*state.finished_loads, *state.loads.values()]
    for load in reversed(loads):
        if -NOTICED_WITHIN_SECONDS <= load.started - time <= RELOADED_WITHIN_SECONDS:
            yield load


def is_of(state: State, model: ModelRecord, load: Load | FinishedLoad) -> bool:
    """Return whether a load is of the same model: by its name, or by the file of its weights."""
    return model.claim.name == load.name or (load.blob is not None and load.blob in blobs_of(state, model))


def pid_of(model: ModelRecord) -> int | None:
    """Return the process that holds a model, or did."""
    key = model.runner or model.ended_runner or model.process
    return None if key is None else key.pid


class Begun(NamedTuple):
    """How a load began, or ended."""

    kind: HappeningKind
    said: Said
    subject_id: str | None = None
    """That of the model, where it is known by that already."""


def begun(load: Load, state: State) -> Begun:
    """Return how a load began, as far as is known now."""
    name = visible(load.name)
    if (before := _before(load, state)) is None:
        return Begun("load", named(name, f"loads{_context(load)}", "loads"))
    changes = changes_of(load, state)
    asked = "a request asked for" if load.server_pid is not None else "with"
    clauses = [_clause(change, asked) for change in changes]
    ways = [f"reloads: {', '.join(clauses)}"] if clauses else ["reloads"]
    if changes and changes[0].setting == "context":
        ways.append(f"reloads for context {changes[0].after}")
    return Begun("reload", named(name, *ways), model_id(before.key))


def changes_of(load: Load, state: State) -> tuple[SettingChange, ...]:
    """Return the settings in which a load differs from the one before, of the same model."""
    if changes := reload_of(state, load).changes:
        return changes
    before = _before(load, state)
    old, new = before.claim.context_length if before else None, load.settings.context_length
    return () if old is None or new is None or old == new else (SettingChange("context", old, new),)


AGAIN = "wholly on GPU again"


def ended(load: FinishedLoad, *, recovered: bool) -> Begun | None:
    """Return how a load ended; ``None`` where an alert says it.

    ``recovered`` tells that the model spilled until it was loaded again, and does so no more.
    """
    name, took = visible(load.name), units.duration(load.total_seconds)
    if load.outcome == "loaded":
        ready, again = f"ready after {took}", f", {AGAIN}" if recovered else ""
        return Begun("ready", named(name, f"{ready}{_context(load)}{again}", f"{ready}{again}", ready))
    if load.outcome == "retried_smaller_context":
        return Begun("load_ended", named(name, "failed to load, is tried again with less context"))
    if load.outcome == "aborted":
        return Begun("load_ended", named(name, f"was no longer wanted after {took} of its load"))
    return None


def subject_of(key: RunnerKey, state: State) -> str:
    """Return the identity of what a process loads: of the model once it is claimed, else of the load."""
    runner, load = state.runners.get(key), state.loads.get(key)
    model = (runner.model if runner else None) or (load.model if load else None)
    return load_id(key) if model is None else model_id(model)


def _before(load: Load, state: State) -> ModelRecord | None:
    """Return the same model as it was loaded until a moment before, by another process."""
    return next(_earlier(load, state), None)


def _earlier(load: Load, state: State) -> Iterator[ModelRecord]:
    for model in state.models.values():
        if model.first_seen < load.started and model.runner != load.key and is_of(state, model, load):
            yield model
    for model in reversed(state.departed):
        is_near = (model.gone or 0.0) >= load.started - RELOADED_WITHIN_SECONDS
        if is_near and model.first_seen < load.started and is_of(state, model, load):
            yield model


def _clause(change: SettingChange, asked: str) -> str:
    was = "default" if change.before is None else change.before
    return f"{asked} {change.setting} {'default' if change.after is None else change.after} (was {was})"


def _context(load: Load | FinishedLoad) -> str:
    length = load.settings.context_length
    return "" if length is None else f", context {length}"
