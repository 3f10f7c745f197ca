"""Takes what a process that holds a model says of its work."""

from __future__ import annotations

from gpumon.app.state.hindrances import is_hindered
from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import WorkSample

READY_STATES = frozenset({"ready", "busy"})
"""States of a runner in which its model is loaded and at hand."""

WORKING_CPU_PERCENT = 20.0
"""From here on a runner works on something; one that waits for requests uses next to nothing."""


def hear_work(runner: RunnerRecord, sample: WorkSample) -> bool:
    """Take what a process says of its work; return whether it tells otherwise than before."""
    anew = _tells_otherwise(runner.answer, sample)
    runner.answer = sample
    runner.facts = sample.facts or runner.facts
    return anew


def follow_work(state: State, runner: RunnerRecord, sample: WorkSample) -> None:
    """Follow the requests of a process, and whether it is ready, after it has been heard and joined."""
    _follow_requests(state, runner, sample)
    _note_rates(state, runner)
    if is_working(sample):
        runner.worked = state.now
    if sample.state not in READY_STATES:
        runner.ready_since = None
    elif runner.ready_since is None:
        runner.ready_since = state.now


def is_working(sample: WorkSample) -> bool:
    """Whether a model is said to work on a request."""
    running = sample.counters.requests_processing if sample.counters and sample.slots is None else None
    at_work = bool(running) or bool(sample.decode_tokens_per_second)
    return sample.state == "busy" or at_work or any(slot.processing for slot in sample.slots or ())


def _tells_otherwise(before: WorkSample | None, sample: WorkSample) -> bool:
    return (
        before is None
        or before.state != sample.state
        or is_working(before) != is_working(sample)
        or sample.facts is not None
    )


def _follow_requests(state: State, runner: RunnerRecord, sample: WorkSample) -> None:
    finished = runner.meter.feed(sample)
    runner.requests.extend(finished)
    if (finished or runner.rates.slots) and is_hindered(state, runner):
        runner.pace.hindered_at = state.now
    for request in finished:
        runner.pace.end(request)
    runner.pace.see(state.now, runner.rates)
    state.touched.end_requests(runner.key, finished)


def _note_rates(state: State, runner: RunnerRecord) -> None:
    model = state.models.get(runner.model) if runner.model else None
    if model is not None and (runner.rates.sources or model.metered is None):
        model.decode.add(state.now, runner.rates.decode_rate)
        model.prefill.add(state.now, runner.rates.prefill_rate)
