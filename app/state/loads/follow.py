"""Loads from their start to their end: a runner that no server claims, and that is not ready, is loading."""

from __future__ import annotations

from typing import Any

from gpumon.app.state.histories import begin_load, end_load, key_of
from gpumon.app.state.holders.joins import installed_bytes, may_be_claimed, name_of, stand_in
from gpumon.app.state.loads.endings import (
    close,
    evicted_for,
    forget_failures,
    forget_thrash,
    note_retry,
    revise_failures,
)
from gpumon.app.state.loads.progress import enter, follow_load, recall, recall_copy_rate
from gpumon.app.state.logs import attribute
from gpumon.app.state.records import Load, ModelRecord, RunnerKey, RunnerRecord
from gpumon.app.state.records.machine import free_bytes
from gpumon.app.state.state import State
from gpumon.collectors.samples import (
    HEALTHY_STATES,
    LOADED_STATES,
    LOADING_STATES,
    AnySample,
    BlobNames,
    LogSample,
    ModelFacts,
    NvmlSample,
    ProcessSample,
    ServerSample,
    WorkSample,
)

WITNESSED_SECONDS = 2.0
"""A runner seen so soon after its start was seen from its start."""
FRESH_SECONDS = 10.0
"""A runner older than this is loading only if its port says so."""
UNREADY_SECONDS = 3.0
"""One that has not been ready for so long is loading, though its start was missed."""
READY_SHOWN_SECONDS = 3.0
"""How long a load that is ready waits for the claim of its model."""
ANSWER_HOLDS_SECONDS = 10.0
START_SLACK_SECONDS = 1.0
STILL_SECONDS = 30.0
"""A load of which nothing moves for so long is none."""

THIS_MACHINE = "http://127.0.0.1"
MUTE_STATES = frozenset({"unreachable", "foreign"})


BEAR_ON_LOADS: frozenset[type[Any]] = frozenset(
    {NvmlSample, ServerSample, ProcessSample, WorkSample, LogSample, ModelFacts, BlobNames}
)
"""Samples after which loads are to be followed."""


def follow_loads(state: State, sample: AnySample) -> None:
    """Follow all loads after a sample that may speak of them; nothing to do where none is in progress."""
    for runner in state.runners.values():
        if not runner.load_over:
            _follow(state, runner)
    if isinstance(sample, ProcessSample) and sample.health.state in HEALTHY_STATES:
        for key in [key for key in state.loads if key not in state.runners]:
            _end_gone(state, key)
    if isinstance(sample, ServerSample):
        for load in state.loads.values():
            load.evicted = evicted_for(state, load)
    if isinstance(sample, LogSample):
        revise_failures(state)
    if state.failed_loads or state.thrash:
        state.touched.loads = True
        forget_failures(state)
        forget_thrash(state)


def _follow(state: State, runner: RunnerRecord) -> None:
    if not _can_end(state, runner):
        state.loads.pop(runner.key, None)
        return
    is_ready, load = _is_ready(state, runner), state.loads.get(runner.key)
    if load is None:
        if not _begins(state, runner):
            runner.load_over = is_ready
            return
        load = _begin(state, runner)
    if _stands_still(state, runner, load):
        del state.loads[runner.key]
        runner.load_over = True
        return
    _identify(state, load, runner)
    follow_load(load, runner, state.now)
    load.seen_loading = load.seen_loading or _is_witnessed(load, runner, state.now, is_ready=is_ready)
    if is_ready:
        enter(load, "ready", state.now)
    if load.ready_at is not None and (
        _claim(state, runner) is not None or state.now - load.ready_at >= READY_SHOWN_SECONDS
    ):
        _end_ready(state, load)


def _can_end(state: State, runner: RunnerRecord) -> bool:
    """Return whether anything would say that it is ready: its port, or a claim.

    Nothing does of a container's runner whose server is not asked: it would load for ever.
    """
    answer = runner.answer
    return (answer is not None and answer.state not in MUTE_STATES) or may_be_claimed(state, runner)


def _stands_still(state: State, runner: RunnerRecord, load: Load) -> bool:
    """Return whether nothing of a load has moved for long: a process that no server claims, and no load.

    Its port says nothing, or refuses, which it does for no longer than a moment before a load.
    """
    begin, steady = state.now - STILL_SECONDS, runner.vram_steady_since
    is_mute = runner.answer is None or runner.answer.state in MUTE_STATES | {"starting"}
    if not is_mute or not runner.measured_vram_bytes or steady is None or load.watched > begin:
        return False
    return steady <= begin and not load.bytes_per_second and (runner.worked or 0.0) <= begin


def _is_ready(state: State, runner: RunnerRecord) -> bool:
    """Return whether a model is loaded: by its port first, then by a claim."""
    answer = runner.answer
    if answer is not None and state.now - answer.time <= ANSWER_HOLDS_SECONDS:
        if answer.state in LOADED_STATES:
            return True
        if answer.state in LOADING_STATES:
            return False
    return _claim(state, runner) is not None


def _claim(state: State, runner: RunnerRecord) -> ModelRecord | None:
    """Return the claim for what a runner holds, if it was made after the process had started."""
    model = state.models.get(runner.model) if runner.model else None
    return model if model is not None and model.seen > runner.key.started + START_SLACK_SECONDS else None


def _begins(state: State, runner: RunnerRecord) -> bool:
    """Return whether a runner that was not followed so far is loading, or was a moment ago."""
    if runner.answer is not None and runner.answer.state in LOADING_STATES:
        return state.now - runner.answer.time <= ANSWER_HOLDS_SECONDS
    return runner.first_seen - runner.key.started <= FRESH_SECONDS


def _begin(state: State, runner: RunnerRecord) -> Load:
    now, settings = state.now, runner.process.settings
    load = state.loads[runner.key] = Load(
        key=runner.key,
        settings=settings,
        name=stand_in(settings),
        started=min(runner.key.started, now),
        watched=now,
        server_pid=runner.process.server_pid,
        phase_since=min(runner.key.started, now),
        lesson=recall(state, settings),
        copy_bytes_per_second=recall_copy_rate(state),
        room_bytes=0 if settings.gpu_layers == 0 else _free_vram_bytes(state),
    )
    load.has_no_gpu = state.lacks_gpu_at(THIS_MACHINE)
    load.evicted = evicted_for(state, load)
    note_retry(state, load)
    for log in state.logs.values():
        attribute(state, log)
    return load


def _free_vram_bytes(state: State) -> int | None:
    """Return what is free on all GPUs; ``None`` where one of them does not say, 0 where there is no GPU."""
    memories = [gpu.reading.memory for gpu in state.gpus.values()]
    free = [None if memory is None else free_bytes(memory) for memory in memories]
    known = [size for size in free if size is not None]
    return sum(known) if len(known) == len(free) else None


def _identify(state: State, load: Load, runner: RunnerRecord) -> None:
    """Find out the name and the size, which may become known only during the load."""
    load.placement = runner.placement
    claimed = _claim(state, runner)
    name = claimed.claim.name if claimed else name_of(state, load.settings)
    if load.model is None or name != load.name:
        _know(state, load, runner, claimed)
    load.name = name or load.name
    if load.target_origin in {None, "log"}:
        _find_target(state, load, runner.process.model_file_bytes)


def _know(state: State, load: Load, runner: RunnerRecord, claimed: ModelRecord | None) -> None:
    """Find out which model it is that loads, which bears what is remembered of it from its loads before."""
    key = claimed.key if claimed else key_of(state, runner)
    if key is not None and key != load.model:
        begin_load(state, load, key)


def _find_target(state: State, load: Load, file_bytes: int | None) -> None:
    learned = load.lesson.weights_bytes if load.lesson else None
    logged = load.placement.model_bytes if load.placement else None
    if learned:
        load.target_bytes, load.target_origin = learned, "learned"
    elif file_bytes:
        load.target_bytes, load.target_origin = file_bytes, "file"
    elif installed := installed_bytes(state, load.settings):
        load.target_bytes, load.target_origin = installed, "installed"
    elif logged:
        load.target_bytes, load.target_origin = logged, "log"


def _is_witnessed(load: Load, runner: RunnerRecord, now: float, *, is_ready: bool) -> bool:
    from_start = runner.first_seen - load.started <= WITNESSED_SECONDS
    says_so = runner.answer is not None and runner.answer.state in LOADING_STATES
    return from_start or says_so or (not is_ready and now - load.watched >= UNREADY_SECONDS)


def _end_ready(state: State, load: Load) -> None:
    """End a load as loaded, unless it was over before it was first seen: how long it took is not known."""
    state.runners[load.key].load_over = True
    del state.loads[load.key]
    if load.seen_loading:
        end_load(state, load)
        close(state, load)


def _end_gone(state: State, key: RunnerKey) -> None:
    load = state.loads.pop(key)
    if load.seen_loading:
        close(state, load)
