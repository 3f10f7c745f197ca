"""Takes what a sample says of the source it comes from."""

from __future__ import annotations

from gpumon.app.state.places import LOG_PREFIX, LOG_SEARCH, is_loopback, is_server
from gpumon.app.state.records import SourceRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import HEALTHY_STATES, SourceHealth, SourceSilent


def hear(
    state: State,
    source: str,
    health: SourceHealth,
    version: str | None = None,
    runtime: str | None = None,
) -> SourceRecord:
    """Take that ``source`` has answered, and how it is; return its record."""
    record = state.sources.get(source)
    if record is None or _differs(record, health, runtime):
        state.sources_revision += 1
    if record is None:
        record = state.sources[source] = SourceRecord(source, health, since=state.now)
    elif record.health.state != health.state:
        record.since = state.now
    record.health = health
    record.silent_seconds = record.silent_since = None
    if runtime is not None and runtime != record.runtime:
        record.version = None
    record.version = version or record.version
    record.runtime = runtime or record.runtime
    if health.state in HEALTHY_STATES:
        record.answered = state.now
    return record


def note_servers(state: State) -> None:
    """Note of each log whether there is a server on this machine that could write it."""
    is_pointless = not _has_server(state)
    for name, source in state.sources.items():
        if (name == LOG_SEARCH or name.startswith(LOG_PREFIX)) and source.is_pointless != is_pointless:
            source.is_pointless = is_pointless
            state.sources_revision += 1


def _has_server(state: State) -> bool:
    """Tell whether a server is seen on this machine, as a process or by its answers."""
    return bool(state.servers) or any(
        source.healthy and is_server(name) and is_loopback(name) for name, source in state.sources.items()
    )


def _differs(record: SourceRecord, health: SourceHealth, runtime: str | None) -> bool:
    """Tell whether a source answers otherwise than before."""
    return (
        record.silent_seconds is not None
        or record.health != health
        or (runtime is not None and record.runtime != runtime)
    )


def apply_silent(state: State, sample: SourceSilent) -> None:
    """Take that a source does not answer, or that asking it failed."""
    if sample.detail is not None:
        hear(state, sample.source, SourceHealth(state="failing", detail=sample.detail))
        return
    state.sources_revision += 1
    since = state.now - sample.seconds
    record = state.sources.get(sample.source)
    if record is None:
        record = SourceRecord(sample.source, SourceHealth(state="hanging"), since)
        state.sources[sample.source] = record
    record.silent_seconds, record.silent_since = sample.seconds, since
