"""Gives the rates of a server's log to the one runner that they can be of."""

from __future__ import annotations

from gpumon.app.state.rates.meter import LogMeter
from gpumon.app.state.records import RunnerRecord, ServerLog
from gpumon.app.state.state import State
from gpumon.collectors.samples import LogEvent, LogEventKind, ModelState

BACKLOG_SECONDS = 3.0
"""What is read of a log so soon after it was opened may be old: a runner's lines have no time."""

RATE_EVENTS: frozenset[LogEventKind] = frozenset(
    {"prefill_progress", "decode_progress", "request_prefill", "request_decode"}
)
NOT_READY: frozenset[ModelState] = frozenset({"starting", "loading", "asleep", "busy"})


def take_rate(state: State, log: ServerLog, event: LogEvent) -> None:
    """Take one event of a request, where it is known whose it is and nothing better tells of it."""
    if event.kind not in RATE_EVENTS or state.now - log.since < BACKLOG_SECONDS:
        return
    runner = _runner_of(state, event)
    if runner is None or not _tells_nothing(runner):
        return
    runner.log_meter = runner.log_meter or LogMeter()
    finished = runner.log_meter.feed(event, state.now)
    if finished is not None:
        runner.requests.append(finished)
    _note(state, runner)


def refresh_log_rates(state: State) -> None:
    """Let go of rates that are old, and of those that the runner's own port tells by now."""
    for runner in state.runners.values():
        if runner.log_meter is not None and not _tells_nothing(runner):
            runner.log_meter = None
        elif runner.log_meter is not None:
            runner.log_meter.refresh(state.now)
            _note(state, runner)


def _runner_of(state: State, event: LogEvent) -> RunnerRecord | None:
    """Return the runner of a line: by the port in front of it, else the only one that there is."""
    if event.port is not None:
        named = [one for one in state.runners.values() if one.process.settings.port == event.port]
        return named[0] if len(named) == 1 else None
    return next(iter(state.runners.values())) if len(state.runners) == 1 else None


def _tells_nothing(runner: RunnerRecord) -> bool:
    """Tell whether its port is closed to us, or has no statistics: turned off, or of an older era."""
    if runner.meter.rates.sources:
        return False
    return runner.answer is None or runner.answer.state not in NOT_READY


def _note(state: State, runner: RunnerRecord) -> None:
    model = state.models.get(runner.model) if runner.model else None
    if model is not None:
        model.decode.add(state.now, runner.rates.decode_rate)
        model.prefill.add(state.now, runner.rates.prefill_rate)
