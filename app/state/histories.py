"""Keeps the history of each model over its loads: from when it is first seen until long after it has left."""

from __future__ import annotations

from gpumon.app.state.holders.addresses import addresses_of, stands_alone
from gpumon.app.state.holders.joins import name_of, sources_of, stand_in
from gpumon.app.state.places import PROCESS_PREFIX, place
from gpumon.app.state.records import History, Load, ModelKey, ModelRecord, RunnerRecord
from gpumon.app.state.state import State

LEFT_KEPT = 32
LEFT_KEPT_SECONDS = 24 * 3600.0
"""As long as a series reaches back."""


def arrive(state: State, key: ModelKey) -> History:
    """Return the history of a model that is loaded now, one that it had before if it had one."""
    history = _history_of(state, key, state.now)
    if history.left is not None and history.marks[-1].kind == "left":  # its load was not seen
        history.mark(state.now, "reload")
    history.left = None
    if history.first_loaded is None:
        history.first_loaded = state.now
    return history


def leave(state: State, record: ModelRecord) -> None:
    """Note that a model has been unloaded: from now on its series have a gap."""
    history = record.history
    history.begin_gap(state.now)
    history.mark(state.now, "left")
    history.left = state.now
    _forget_old(state)


def begin_load(state: State, load: Load, key: ModelKey) -> None:
    """Note that a load is known to be one of a model."""
    load.model = key
    history = _history_of(state, key, load.watched)
    was_loaded = history.first_loaded is not None and history.first_loaded < load.watched
    is_marked = bool(history.marks) and history.marks[-1].time >= load.started
    if was_loaded and not (is_marked and history.marks[-1].kind == "reload"):
        history.mark(load.started, "reload")


def end_load(state: State, load: Load) -> None:
    """Note that a load was seen to end well."""
    history = state.histories.get(load.model) if load.model else None
    if history is not None and load.ready_at is not None:
        history.mark(load.ready_at, "ready")


def measure_loads(state: State) -> None:
    """Add what the driver measures for processes that load, so that a series shows how memory fills."""
    for key, load in state.loads.items():
        if load.model is not None and load.model not in state.models and key in state.runners:
            history = _history_of(state, load.model, load.watched)
            history.measured_vram.add(state.now, state.runners[key].measured_vram_bytes)


def key_of(state: State, runner: RunnerRecord) -> ModelKey | None:
    """Return the key that the model of a process has, or will have once a server claims it.

    ``None`` where its server or its name is not known.
    """
    if stands_alone(state, runner):
        return _as_asked(state, key_alone(state, runner))
    name, blob = name_of(state, runner.process.settings), runner.process.settings.blob
    if name is None:
        return None
    for source in sources_of(state, runner):
        if (digest := _digest(state, source, name, blob)) is not None:
            return ModelKey(source, digest)
    return None


def key_alone(state: State, runner: RunnerRecord) -> ModelKey:
    """Return the key of a model that no server claims but its own process."""
    settings, addresses = runner.process.settings, addresses_of(state, runner)
    source = addresses[0] if addresses else f"{PROCESS_PREFIX}{runner.key.pid}"
    return ModelKey(source, name_of(state, settings) or stand_in(settings))


def _as_asked(state: State, key: ModelKey) -> ModelKey:
    """Return the key under the URL by which its server is asked, where it is."""
    if key.source.startswith(PROCESS_PREFIX):
        return key
    where = place(key.source)
    asked = (source for source in state.servers_here if place(source) == where)
    return key._replace(source=next(asked, key.source))


def _digest(state: State, source: str, name: str, blob: str | None) -> str | None:
    """Return the digest of what a server calls by a name: as it is listed there, else by its file."""
    installed = state.installed.get(source)
    rows = (row.digest for row in (installed.models if installed else ()) if row.name == name)
    if digest := next(rows, None):
        return digest
    own = (facts for key, facts in state.facts.items() if key.source == source and facts.name == name)
    if found := next((facts.digest for facts in own if blob in facts.blobs[:1]), None):
        return found
    on_disk = (sample.digests.get(name) for sample in state.blob_names.values())
    return next((digest for digest in on_disk if digest), None)


def _history_of(state: State, key: ModelKey, first_seen: float) -> History:
    history = state.histories.get(key)
    if history is None:
        history = _of_other_process(state, key) or History(first_seen)
        state.histories[key] = history
        _forget_old(state)
    return history


def _of_other_process(state: State, key: ModelKey) -> History | None:
    """Return the history of a model whose process had no address either, and has made way for another."""
    if not key.source.startswith(PROCESS_PREFIX):
        return None
    before = (one for one in _left(state) if one.source.startswith(PROCESS_PREFIX))
    found = next((one for one in before if one.digest == key.digest), None)
    return None if found is None else state.histories.pop(found)


def _left(state: State) -> list[ModelKey]:
    """Return the models that are neither loaded nor loading, the latest to leave first."""
    here = state.models.keys() | {load.model for load in state.loads.values()}
    gone = [(one.left or one.first_seen, key) for key, one in state.histories.items() if key not in here]
    return [key for _, key in sorted(gone, reverse=True)]


def _forget_old(state: State) -> None:
    """Forget what left long ago, and the first to leave of too many."""
    if len(state.histories) <= len(state.models):
        return
    begin = state.now - LEFT_KEPT_SECONDS
    for place_in_line, key in enumerate(_left(state)):
        history = state.histories[key]
        if place_in_line < LEFT_KEPT and (history.left or history.first_seen) > begin:
            continue
        del state.histories[key]
        for record in state.departed:
            if record.history is history:
                record.history = History(history.first_seen)
