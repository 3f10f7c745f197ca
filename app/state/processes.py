"""Takes in what is seen of processes, of names on disk, and of the logs of servers."""

from __future__ import annotations

from gpumon.app.state.holders.joins import blobs_by_digest, join
from gpumon.app.state.holders.measured import locate_all
from gpumon.app.state.logs import refresh_log_rates, take_log
from gpumon.app.state.records import RunnerKey, RunnerRecord
from gpumon.app.state.servers import follow_processes
from gpumon.app.state.sources import hear
from gpumon.app.state.state import State
from gpumon.app.state.work import WORKING_CPU_PERCENT
from gpumon.collectors.samples import BlobNames, LogSample, ProcessSample, RunnerProcess


def apply_processes(state: State, sample: ProcessSample) -> None:
    """Record one look at the processes; one that failed says nothing of them, and leaves all as it was."""
    hear(state, sample.source, sample.health)
    if sample.servers is None or sample.runners is None or sample.holders is None:
        return
    before = _identities(state)
    state.servers = sample.servers
    state.holders = {holder.pid: holder for holder in sample.holders}
    for process in sample.runners:
        _apply_process(state, process)
    listed = {RunnerKey(process.pid, process.started) for process in sample.runners}
    for key in [key for key in state.runners if key not in listed]:
        del state.runners[key]
    refresh_log_rates(state)
    changed = follow_processes(state)
    if changed or _identities(state) != before:
        join(state)
        locate_all(state)
    state.touched.measured.update(runner.model for runner in state.runners.values() if runner.model)


def apply_blob_names(state: State, sample: BlobNames) -> None:
    """Take in the names from the manifests of one models directory."""
    state.blob_names[sample.source] = sample
    state.disk_blobs = blobs_by_digest(state.blob_names.values())
    join(state)


def apply_log(state: State, sample: LogSample) -> None:
    """Take in the events of a server's log."""
    hear(state, sample.source, sample.health)
    take_log(state, sample)


def _apply_process(state: State, process: RunnerProcess) -> None:
    key = RunnerKey(process.pid, process.started)
    record = state.runners.get(key)
    if record is None:
        record = state.runners[key] = RunnerRecord(key, process, first_seen=state.now, seen=state.now)
    else:
        record.seen_before = record.seen
    record.process, record.seen = process, state.now
    if (process.cpu_percent or 0.0) >= WORKING_CPU_PERCENT:
        record.worked = state.now


def _identities(state: State) -> tuple[object, ...]:
    """Return what joins and measurements rest on."""
    runners = {key: (r.process.settings, r.process.server_pid) for key, r in state.runners.items()}
    return runners, state.servers, set(state.holders)
