"""Why a model had to be loaded again, and which others had to leave for it."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.state.holders.blobs import blobs_of
from gpumon.app.state.places import is_local
from gpumon.app.state.records import FinishedLoad, Load, ModelRecord, ReloadCause, SettingChange
from gpumon.app.state.records.load import identity
from gpumon.app.state.state import State
from gpumon.collectors.samples import RunnerSettings

NOTICED_WITHIN_SECONDS = 10.0
"""A departure is seen so long before or after the start of the load that it made room for, at most."""
EVICTED_NAMED = 8


class Reload(NamedTuple):
    """Why a model was loaded again."""

    cause: ReloadCause | None = None
    changes: tuple[SettingChange, ...] = ()


def evicted_for(state: State, load: Load) -> tuple[str, ...]:
    """Return the models that were unloaded for a load: others, whose time had not come (server/sched.go).

    An eviction leaves ``expires_at`` as it is, so it lies ahead when the model goes.
    """
    if load.server_pid is None:
        return ()
    near = [m for m in state.departed if _left_near(m, load.started) and not _is_of(state, m, load)]
    evicted = [m for m in near if is_local(m.key.source, state.servers) and not _expires_by(state, m, load)]
    return tuple(dict.fromkeys(model.claim.name for model in evicted))[-EVICTED_NAMED:]


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


def _is_of(state: State, model: ModelRecord, load: Load) -> bool:
    """Tell whether a claim was for what ``load`` loads."""
    blob = load.settings.blob
    return model.claim.name == load.name or (blob is not None and blob in blobs_of(state, model))


def _expires_by(state: State, model: ModelRecord, load: Load) -> bool:
    """Tell whether a model's own time was over when the load began."""
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
