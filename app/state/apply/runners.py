"""Takes what the processes, the runners and the logs say."""

from __future__ import annotations

from gpumon.app.insight.learning.baselines import learn_rates
from gpumon.app.insight.learning.scales import learn_scales
from gpumon.app.state.apply.sources import hear
from gpumon.app.state.apply.standalone import follow_standalone
from gpumon.app.state.hindrances import is_hindered
from gpumon.app.state.holders.addresses import stands_alone
from gpumon.app.state.holders.joins import blobs_by_digest, join
from gpumon.app.state.holders.measured import locate_all
from gpumon.app.state.logs import refresh_log_rates, take_log
from gpumon.app.state.rates.meter import Answer
from gpumon.app.state.records import RunnerKey, RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import BlobNames, LogSample, ProcessSample, RunnerProcess, RunnerSample

READY_STATES = frozenset({"ready", "busy"})
"""States of a runner in which its model is loaded and at hand."""

WORKING_CPU_PERCENT = 20.0
"""From here on a runner works on something; one that waits for requests uses next to nothing."""


def apply_processes(state: State, sample: ProcessSample) -> None:
    """Take one look at the processes."""
    hear(state, sample.source, sample.health)
    state.runners_revision += 1
    before = _identities(state)
    state.servers = sample.servers
    state.holders = {holder.pid: holder for holder in sample.holders}
    for process in sample.runners:
        _apply_process(state, process)
    listed = {RunnerKey(process.pid, process.started) for process in sample.runners}
    for key in [key for key in state.runners if key not in listed]:
        del state.runners[key]
    refresh_log_rates(state)
    changed = follow_standalone(state)
    if changed or _identities(state) != before:
        join(state)
        locate_all(state)


def apply_blob_names(state: State, sample: BlobNames) -> None:
    """Take the names from the manifests of one models directory."""
    state.blob_names[sample.source] = sample
    state.disk_blobs = blobs_by_digest(state.blob_names.values())
    join(state)


def apply_runner(state: State, sample: RunnerSample) -> None:
    """Take one poll of a runner's own port."""
    record = state.runners.get(RunnerKey(sample.pid, sample.started))
    if record is None:
        return
    anew = _tells_otherwise(record.answer, sample)
    record.answer = sample
    record.facts = sample.facts or record.facts
    if stands_alone(state, record) and follow_standalone(state):
        join(state)
    state.note_answer(record.model, anew=anew)
    _follow_requests(state, record, sample)
    _note_rates(state, record)
    if is_working(sample):
        record.worked = state.now
    if sample.state not in READY_STATES:
        record.ready_since = None
    elif record.ready_since is None:
        record.ready_since = state.now


def _tells_otherwise(before: RunnerSample | None, sample: RunnerSample) -> bool:
    return (
        before is None
        or before.state != sample.state
        or is_working(before) != is_working(sample)
        or sample.facts is not None
    )


def _follow_requests(state: State, runner: RunnerRecord, sample: RunnerSample) -> None:
    finished = runner.meter.feed(sample)
    runner.requests.extend(finished)
    if (finished or runner.rates.slots) and is_hindered(state, runner):
        runner.pace.hindered_at = state.now
    for request in finished:
        runner.pace.end(request)
    runner.pace.see(state.now, runner.rates)
    learn_rates(state, runner, finished)
    learn_scales(state, runner, finished)


def _note_rates(state: State, runner: RunnerRecord) -> None:
    model = state.models.get(runner.model) if runner.model else None
    if model is not None and (runner.rates.sources or model.metered is None):
        model.decode.add(state.now, runner.rates.decode_rate)
        model.prefill.add(state.now, runner.rates.prefill_rate)


def is_working(sample: Answer) -> bool:
    """Tell whether a runner says that it works on a request."""
    return sample.state == "busy" or any(slot.processing for slot in sample.slots or ())


def _apply_process(state: State, process: RunnerProcess) -> None:
    key = RunnerKey(process.pid, process.started)
    record = state.runners.get(key)
    if record is None:
        record = state.runners[key] = RunnerRecord(key, process, first_seen=state.now, seen=state.now)
    record.process, record.seen = process, state.now
    if (process.cpu_percent or 0.0) >= WORKING_CPU_PERCENT:
        record.worked = state.now


def _identities(state: State) -> tuple[object, ...]:
    """Return what joins and measurements rest on."""
    runners = {key: (r.process.settings, r.process.server_pid) for key, r in state.runners.items()}
    return runners, state.servers, set(state.holders)


def apply_log(state: State, sample: LogSample) -> None:
    """Take the events of a server's log."""
    hear(state, sample.source, sample.health)
    take_log(state, sample)
