"""Takes what the processes, the runners and the logs say."""

from __future__ import annotations

from gpumon.app.state.joins import blobs_by_digest, join
from gpumon.app.state.measured import locate
from gpumon.app.state.records import RunnerKey, RunnerRecord
from gpumon.app.state.sources import hear
from gpumon.app.state.state import State
from gpumon.collectors.samples import BlobNames, LogSample, ProcessSample, RunnerSample


def apply_processes(state: State, sample: ProcessSample) -> None:
    """Take one look at the processes."""
    hear(state, sample.source, sample.health)
    state.servers = sample.servers
    state.holders = {holder.pid: holder for holder in sample.holders}
    for process in sample.runners:
        key = RunnerKey(process.pid, process.started)
        record = state.runners.get(key)
        if record is None:
            record = state.runners[key] = RunnerRecord(key, process, first_seen=state.now, seen=state.now)
        record.process, record.seen = process, state.now
    listed = {RunnerKey(process.pid, process.started) for process in sample.runners}
    for key in [key for key in state.runners if key not in listed]:
        del state.runners[key]


def apply_blob_names(state: State, sample: BlobNames) -> None:
    """Take the names from the manifests of one models directory."""
    state.blob_names[sample.source] = sample


def apply_runner(state: State, sample: RunnerSample) -> None:
    """Take one poll of a runner's own port."""
    record = state.runners.get(RunnerKey(sample.pid, sample.started))
    if record is not None:
        record.answer = sample
        record.facts = sample.facts or record.facts


def apply_log(state: State, sample: LogSample) -> None:
    """Take the events of a server's log."""
    hear(state, sample.source, sample.health)
