"""Takes in what is seen of processes, of names on disk, and of the logs of servers."""

from __future__ import annotations

from gpumon.app.state.holders.joins import blobs_by_digest, join
from gpumon.app.state.holders.measured import locate_all
from gpumon.app.state.logs import attribute, refresh_log_rates, take_log
from gpumon.app.state.records import Event, RunnerKey, RunnerRecord
from gpumon.app.state.servers import close_back_doors, follow_processes
from gpumon.app.state.state import State, hear
from gpumon.app.state.work import WORKING_CPU_PERCENT, hand_over
from gpumon.collectors.samples import (
    LOADING_STATES,
    BlobNames,
    FileFacts,
    LogSample,
    ProcessSample,
    RunnerProcess,
)
from gpumon.collectors.servers.registry import kind_named, kind_of_runner, runner_named

SERVERS_KEPT = 64


def apply_processes(state: State, sample: ProcessSample) -> None:
    """Record one look at the processes; one that failed says nothing of them, and leaves all as it was."""
    hear(state, sample.source, sample.health)
    if sample.servers is None or sample.runners is None or sample.holders is None:
        return
    before = _identities(state)
    state.servers = sample.servers
    state.holders = {holder.pid: holder for holder in sample.holders}
    claiming = {one.pid: one.kind for one in sample.servers if kind_named(one.kind).runners_are == "claimed"}
    for process in sample.runners:
        _apply_process(state, process)
        if (kind := claiming.get(process.server_pid or 0)) is not None:
            state.runners[RunnerKey(process.pid, process.started)].served_by = kind
    listed = {RunnerKey(process.pid, process.started) for process in sample.runners}
    for key in [key for key in state.runners if key not in listed]:
        _end(state, state.runners.pop(key))
    for runner in state.runners.values():
        _follow_disk(state, runner)
    state.touched.processes = True
    _note_restarts(state)
    refresh_log_rates(state)
    changed = follow_processes(state)
    if changed or _identities(state) != before:
        for log in (log for log in state.logs.values() if log.pid is not None):
            attribute(state, log)
        join(state)
        close_back_doors(state)
        hand_over(state)
        locate_all(state)
    state.touched.measured.update(runner.model for runner in state.runners.values() if runner.model)


def apply_blob_names(state: State, sample: BlobNames) -> None:
    """Take in the names from the manifests of one models directory."""
    state.blob_names[sample.source] = sample
    state.disk_blobs = blobs_by_digest(state.blob_names.values())
    join(state)


def apply_files(state: State, sample: FileFacts) -> None:
    """Take in what the files of a process hold; what a server says of its model counts more."""
    runner = state.runners.get(RunnerKey(sample.pid, sample.started))
    if runner is None:
        return
    runner.file = sample
    model = state.models.get(runner.model) if runner.model else None
    if model is not None:
        model.facts = model.facts or sample.facts
        state.touched.claimed.add(model.key)


def apply_log(state: State, sample: LogSample) -> None:
    """Take in the events of a server's log."""
    hear(state, sample.source, sample.health)
    take_log(state, sample)


def _apply_process(state: State, process: RunnerProcess) -> None:
    key = RunnerKey(process.pid, process.started)
    record = state.runners.get(key)
    if record is None:
        kind, server_kind = runner_named(process.kind), kind_of_runner(process.kind)
        record = RunnerRecord(key, process, kind, server_kind, first_seen=state.now, seen=state.now)
        state.runners[key] = record
    else:
        record.seen_before = record.seen
    if record.process.kind != process.kind:  # a script that has become the server
        record.kind, record.server_kind = runner_named(process.kind), kind_of_runner(process.kind)
    record.process, record.seen = process, state.now
    if (process.cpu_percent or 0.0) >= WORKING_CPU_PERCENT:
        record.worked = state.now


def _follow_disk(state: State, record: RunnerRecord) -> None:
    """Follow what a process reads from storage; one that loads its model has to."""
    answer = record.answer
    if record.key in state.loads or (answer is not None and answer.state in LOADING_STATES):
        record.disk.reset()
    else:
        record.disk.add(record.process, state.now, state.system.sample if state.system else None)


def _end(state: State, runner: RunnerRecord) -> None:
    """Note the end of a process that nobody but itself told of: its model would vanish without a word."""
    model = state.models.get(runner.model) if runner.model else None
    if model is None or model.process != runner.key or runner.process.server_pid is not None:
        return
    name, pid = model.claim.name, runner.key.pid
    state.touched.events.append(Event(state.now, "process_ended", name, model.runtime, pid))


def _note_restarts(state: State) -> None:
    """Note servers that are other processes than those before them at the same URL."""
    for server in state.servers:
        start = (server.pid, server.started)
        for url in server.reached[:1]:
            before = state.server_starts.get(url)
            if before is not None and before != start and server.started > before[1]:
                event = Event(state.now, "server_restarted", url, server.kind, server.pid)
                state.touched.events.append(event)
            state.server_starts.pop(url, None)
            state.server_starts[url] = start
    while len(state.server_starts) > SERVERS_KEPT:
        del state.server_starts[next(iter(state.server_starts))]


def _identities(state: State) -> tuple[object, ...]:
    """Return what joins and measurements rest on."""
    runners = {
        key: (r.process.settings, r.process.server_pid, r.process.workers) for key, r in state.runners.items()
    }
    return runners, state.servers, set(state.holders)
