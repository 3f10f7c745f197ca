"""How loads end: kept with their outcome, which later samples may still put right."""

from __future__ import annotations

from msgspec.structs import replace

from gpumon.app.state.loads.lessons import learn
from gpumon.app.state.loads.reloads import reload_of
from gpumon.app.state.loads.thrash import recount
from gpumon.app.state.records import FailedLoad, FinishedLoad, Load, LoadOutcome, Placement
from gpumon.app.state.records.load import identity
from gpumon.app.state.state import State
from gpumon.collectors.samples import RunnerSettings

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
    state.loads_revision += 1
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
    """Take that a model is loading again: the failure before it may have been a try with more context."""
    failed = state.failed_loads.get(_model(load.settings))
    if failed is None:
        return
    failed.retrying = True
    state.loads_revision += 1
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
    state.loads_revision += 1


def _settle(state: State, finished: FinishedLoad) -> None:
    """Take that the latest load of a model did not fail after all, or no longer matters."""
    state.failed_loads.pop(_model(finished.settings), None)


def _model(settings: RunnerSettings) -> str:
    return identity(settings) or ""


def _context(settings: RunnerSettings) -> int | None:
    """Return the tokens of all slots."""
    return None if settings.context_length is None else settings.context_length * (settings.parallel or 1)
