"""How loads end, and what that says: outcome, why a model was loaded again, who made room, thrash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.state.holders.joins import blobs_of
from gpumon.app.state.loads.progress import learn
from gpumon.app.state.places import is_local, place
from gpumon.app.state.records import (
    FailedLoad,
    FinishedLoad,
    Load,
    LoadOutcome,
    ModelRecord,
    Placement,
    ReloadCause,
    SettingChange,
    Thrash,
)
from gpumon.app.state.records.load import identity
from gpumon.app.state.state import State
from gpumon.collectors.samples import RunnerSettings

NOTICED_WITHIN_SECONDS = 10.0
"""A departure is seen so long before or after the start of the load that it made room for, at most."""
EVICTED_NAMED = 8
ROOM_FACTOR = 1.2
"""A model takes more than its file: cache, buffers. Rule of thumb, on the side of an eviction."""


class Reload(NamedTuple):
    """Why a model was loaded again."""

    cause: ReloadCause | None = None
    changes: tuple[SettingChange, ...] = ()


def evicted_for(state: State, load: Load) -> tuple[str, ...]:
    """Return the models that were unloaded for a load: others, whose time had not come (server/sched.go).

    An eviction leaves ``expires_at`` as it is, so it lies ahead when the model goes; so does ``ollama stop``.
    What left though there was room beside it was stopped by somebody, unless the server keeps only so many.
    """
    if load.server_pid is None:
        return ()
    near = [m for m in state.departed if _left_near(m, load.started) and not _is_of(state, m, load)]
    own = [m for m in near if is_local(m.key.source, state.servers) and not _expires_by(state, m, load)]
    if own and _is_full(state, own):
        evicted = own
    else:
        evicted = [model for model in own if not _had_room(state, model, load)]
    return tuple(dict.fromkeys(model.claim.name for model in evicted))[-EVICTED_NAMED:]


def are_loads_seen(model: ModelRecord, state: State) -> bool:
    """Return whether the processes of its server are seen, so that a load that it made room for would be."""
    where = place(model.key.source)
    return any(where == place(url) for server in state.servers for url in server.urls)


def reload_of(state: State, load: Load) -> Reload:
    """Compare a load with the one before it of the same model."""
    before = _load_before(state, load)
    if before is None:
        return Reload()
    if changes := changes_between(before.settings, load.settings):
        return Reload("settings", changes)
    left = [m for m in state.departed if (m.gone or 0.0) >= before.ended and _is_of(state, m, load)]
    if not left:
        return Reload()
    if _made_room(state, left[-1], since=before.ended):
        return Reload("memory")
    expires_at = _expires_at(state, left[-1])
    return Reload("expired" if expires_at is not None and expires_at <= (left[-1].gone or 0.0) else None)


def made_room_for(state: State, model: ModelRecord) -> str | None:
    """Return the name of what was loaded in the place of a model that left; ``None`` where nothing was."""
    loads: Iterable[Load | FinishedLoad] = (*state.loads.values(), *reversed(state.finished_loads))
    evicting = (load for load in loads if model.claim.name in load.evicted)
    return next((load.name for load in evicting if _left_near(model, load.started)), None)


def changes_between(before: RunnerSettings, after: RunnerSettings) -> tuple[SettingChange, ...]:
    """Return the settings that a request or an option may change and that differ."""
    pairs = (
        SettingChange("context", before.context_length, after.context_length),
        SettingChange("parallel", before.parallel, after.parallel),
        SettingChange("GPU layers", before.gpu_layers, after.gpu_layers),
        SettingChange("cache type", _cache_type(before), _cache_type(after)),
    )
    return tuple(pair for pair in pairs if pair.before != pair.after)


def _load_before(state: State, load: Load) -> FinishedLoad | None:
    model = identity(load.settings)
    earlier = (f for f in reversed(state.finished_loads) if f.outcome == "loaded")
    return next((f for f in earlier if model is not None and identity(f.settings) == model), None)


def _made_room(state: State, model: ModelRecord, since: float) -> bool:
    loads: list[Load | FinishedLoad] = [*state.loads.values(), *state.finished_loads]
    return any(model.claim.name in load.evicted for load in loads if load.started >= since)


def _left_near(model: ModelRecord, time: float) -> bool:
    return model.gone is not None and abs(model.gone - time) <= NOTICED_WITHIN_SECONDS


def _had_room(state: State, model: ModelRecord, load: Load) -> bool:
    """Whether a load would have found room beside a model that left; not where the sizes are not known."""
    if load.target_bytes is None:
        return False
    wanted = load.target_bytes * ROOM_FACTOR
    if model.split.gpu_bytes:
        return load.room_bytes is not None and load.room_bytes - model.split.gpu_bytes >= wanted
    if model.split.ram_bytes is None or state.system is None:
        return False
    return state.system.sample.ram_available_bytes - model.split.ram_bytes >= wanted


def _is_full(state: State, left: Sequence[ModelRecord]) -> bool:
    """Whether a server held as many models as it may, before some of them ``left``."""
    kind, source = left[0].kind, left[0].key.source
    limits = [limit for log in state.logs.values() if (limit := kind.loaded_limit(log.settings))]
    loaded = sum(key.source == source for key in state.models) + len(left)
    return bool(limits) and loaded >= min(limits)


def _is_of(state: State, model: ModelRecord, load: Load) -> bool:
    """Return whether a claim was for what ``load`` loads."""
    blob = load.settings.blob
    return model.claim.name == load.name or (blob is not None and blob in blobs_of(state, model))


def _expires_by(state: State, model: ModelRecord, load: Load) -> bool:
    """Return whether a model's own time was over when the load began."""
    expires_at = _expires_at(state, model)
    return expires_at is not None and expires_at <= load.started


def _expires_at(state: State, model: ModelRecord) -> float | None:
    """Return the expiry by our clock."""
    source = state.sources.get(model.key.source)
    offset = source.clock_offset_seconds if source else 0.0
    return None if model.claim.expires_at is None else model.claim.expires_at - offset


def _cache_type(settings: RunnerSettings) -> str | None:
    kinds = dict.fromkeys(kind for kind in (settings.cache_type_k, settings.cache_type_v) if kind)
    return "/".join(kinds) or None


WINDOW_SECONDS = 600.0
LOADS_TOO_MANY = 3
EVICTIONS_TOO_MANY = 3
"""The first to come evicts nobody: three evictions in turn are two rounds."""

Pair = tuple[str, str]


def recount(state: State) -> None:
    """Find out again who thrashes, from the loads of the last ten minutes."""
    begin = state.now - WINDOW_SECONDS
    recent = [load for load in state.finished_loads if load.outcome == "loaded" and load.ended > begin]
    pairs = _pairs(recent)
    paired = {name for pair in pairs for name in pair}
    state.thrash = {" and ".join(pair): _of_pair(pair, recent, pairs[pair]) for pair in pairs}
    for model, loads in _by_model(recent).items():
        thrash = _of_model(loads) if len(loads) >= LOADS_TOO_MANY else None
        if thrash is not None and not (thrash.cause == "memory" and loads[-1].name in paired):
            state.thrash[model] = thrash


def forget_thrash(state: State) -> None:
    """Count again if one is over."""
    if any(thrash.until <= state.now for thrash in state.thrash.values()):
        recount(state)


def _by_model(loads: Sequence[FinishedLoad]) -> dict[str, list[FinishedLoad]]:
    models: dict[str, list[FinishedLoad]] = {}
    for load in loads:
        if (model := identity(load.settings)) is not None:
            models.setdefault(model, []).append(load)
    return models


def _of_model(loads: Sequence[FinishedLoad]) -> Thrash:
    cause = _most_frequent([load.reload_cause for load in loads if load.reload_cause is not None])
    changes = [load.changes for load in loads if load.changes]
    return Thrash(
        names=(loads[-1].name,),
        count=len(loads),
        cause=cause,
        changes=changes[-1] if cause == "settings" else (),
        since=loads[0].started,
        until=loads[-LOADS_TOO_MANY].ended + WINDOW_SECONDS,
    )


def _pairs(loads: Sequence[FinishedLoad]) -> dict[Pair, list[FinishedLoad]]:
    """Return the loads that evicted, by the two names, where each of them has made the other leave."""
    found: dict[Pair, list[FinishedLoad]] = {}
    for load in loads:
        for other in load.evicted:
            found.setdefault((min(load.name, other), max(load.name, other)), []).append(load)
    return {
        pair: evicting
        for pair, evicting in found.items()
        if len(evicting) >= EVICTIONS_TOO_MANY and len({load.name for load in evicting}) == 2
    }


def _of_pair(pair: Pair, loads: Sequence[FinishedLoad], evicting: Sequence[FinishedLoad]) -> Thrash:
    own = [load for load in loads if load.name in pair]
    return Thrash(
        names=pair,
        count=len(own),
        cause="memory",
        changes=(),
        since=own[0].started,
        until=evicting[-EVICTIONS_TOO_MANY].ended + WINDOW_SECONDS,
    )


def _most_frequent(causes: Sequence[ReloadCause]) -> ReloadCause | None:
    """Return the most frequent cause, of several the latest."""
    counts = Counter(causes)
    return max(reversed(causes), key=lambda cause: counts[cause], default=None)


RETRY_SECONDS = 15.0
"""A server that tries again does so within this time; its log may say why as late as that."""
FAILURE_KEPT_SECONDS = 300.0
FAILURES_KEPT = 50

HUNG_UP = "client connection closed"
"""How the log's words begin when whoever wanted the model has gone (ollama: llm/server.go)."""


def close(state: State, load: Load) -> None:
    """Keep a load that is over: ready, or its process gone."""
    finished = _finished(state, load)
    state.finished_loads.append(finished)
    state.touched.loads = True
    if finished.outcome == "loaded":
        state.failed_loads.pop(_model(finished.settings), None)
        learn(state, load)
        recount(state)
    elif finished.outcome == "failed":
        state.failed_loads[_model(finished.settings)] = FailedLoad(finished)
        if len(state.failed_loads) > FAILURES_KEPT:
            del state.failed_loads[next(iter(state.failed_loads))]
    else:
        _settle(state, finished)


def note_retry(state: State, load: Load) -> None:
    """Record that a model is loading again: the failure before it may have been a try with more context."""
    failed = state.failed_loads.get(_model(load.settings))
    if failed is None:
        return
    failed.retrying = True
    state.touched.loads = True
    before, after = _context(failed.load.settings), _context(load.settings)
    is_smaller = before is not None and after is not None and after < before
    if is_smaller and load.started - failed.load.ended <= RETRY_SECONDS:
        _revise(state, failed.load, "retried_smaller_context")


def revise_failures(state: State) -> None:
    """Look again at failures of a moment ago: the log may have said more."""
    for failed in [*state.failed_loads.values()]:
        is_recent = state.now - failed.load.ended <= RETRY_SECONDS
        outcome = _outcome_logged(failed.load.placement) if is_recent else None
        if outcome is not None:
            _revise(state, failed.load, outcome)


def forget_failures(state: State) -> None:
    """Forget failures that were long ago."""
    for key, failed in [*state.failed_loads.items()]:
        if state.now - failed.load.ended >= FAILURE_KEPT_SECONDS:
            del state.failed_loads[key]


def _finished(state: State, load: Load) -> FinishedLoad:
    ended = state.now if load.ready_at is None else load.ready_at
    phases = dict(load.phase_seconds)
    if load.ready_at is None:
        phases[load.phase] = max(0.0, ended - load.phase_since)
    cause, changes = reload_of(state, load)
    return FinishedLoad(
        key=load.key,
        settings=load.settings,
        name=load.name,
        started=load.started,
        ended=ended,
        outcome=_outcome(state, load),
        total_seconds=load.elapsed_seconds(ended),
        phase_seconds=phases,
        target_bytes=load.target_bytes,
        peak_vram_bytes=load.peak_vram_bytes,
        vram_by_gpu=dict(load.vram_by_gpu),
        ram_bytes=load.ram_bytes,
        evicted=load.evicted,
        placement=load.placement,
        server_pid=load.server_pid,
        reload_cause=cause,
        changes=changes,
    )


def _outcome(state: State, load: Load) -> LoadOutcome:
    if load.ready_at is not None:
        return "loaded"
    if load.server_pid is not None and load.server_pid not in {server.pid for server in state.servers}:
        return "aborted"
    return _outcome_logged(load.placement) or "failed"


def _outcome_logged(placement: Placement | None) -> LoadOutcome | None:
    if placement is None:
        return None
    if placement.new_context is not None:
        return "retried_smaller_context"
    return "aborted" if (placement.failure or "").startswith(HUNG_UP) else None


def _revise(state: State, finished: FinishedLoad, outcome: LoadOutcome) -> None:
    for position, kept in enumerate(state.finished_loads):
        if kept is finished:
            state.finished_loads[position] = replace(finished, outcome=outcome)
    _settle(state, finished)
    state.touched.loads = True


def _settle(state: State, finished: FinishedLoad) -> None:
    """Record that the latest load of a model did not fail after all, or no longer matters."""
    state.failed_loads.pop(_model(finished.settings), None)


def _model(settings: RunnerSettings) -> str:
    return identity(settings) or ""


def _context(settings: RunnerSettings) -> int | None:
    """Return the tokens of all slots."""
    return None if settings.context_length is None else settings.context_length * (settings.parallel or 1)
