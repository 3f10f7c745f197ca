"""Keeps how each source is: what it has said of itself, and what others that are seen mean for it."""

from __future__ import annotations

from gpumon.app.state.holders.addresses import stands_alone
from gpumon.app.state.places import LOG_PREFIX, LOG_SEARCH, is_loopback, place
from gpumon.app.state.records import SourceRecord, is_server
from gpumon.app.state.state import State
from gpumon.collectors.samples import (
    HEALTHY_STATES,
    AnySample,
    SourceHealth,
    SourceSilent,
)
from gpumon.collectors.servers.registry import kind_named


def hear(
    state: State,
    source: str,
    health: SourceHealth,
    version: str | None = None,
    runtime: str | None = None,
) -> SourceRecord:
    """Record that ``source`` has answered, and how it is; return its record."""
    record = state.sources.get(source)
    if record is None or _differs(record, health, runtime):
        state.touched.sources.add(source)
    if record is None:
        record = _new_source(state, source, health, state.now)
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


def _new_source(state: State, name: str, health: SourceHealth, since: float) -> SourceRecord:
    record = state.sources[name] = SourceRecord(name, health, since)
    if name == LOG_SEARCH or name.startswith(LOG_PREFIX):
        state.log_sources.append(name)
    elif is_server(name) and is_loopback(name):
        state.servers_here.append(name)
    return record


def note_servers(state: State) -> None:
    """Note what the servers that are seen here mean for those that are not, and for the logs."""
    for name in state.servers_here:
        _note_absence(state, state.sources[name])
    if not state.log_sources:
        return
    is_pointless = not _has_server(state)
    for name in state.log_sources:
        source = state.sources[name]
        if source.is_pointless != is_pointless:
            source.is_pointless = is_pointless
            state.touched.sources.add(name)


def _note_absence(state: State, source: SourceRecord) -> None:
    """Note of a server that does not run whether it is missed, and where its kind runs else."""
    is_absent = source.health.state == "not_running" and source.silent_seconds is None
    elsewhere = _elsewhere(state, source) if is_absent else None
    is_pointless = is_absent and source.known_by == "default" and _serves_else(state, source)
    if (source.elsewhere, source.is_pointless) != (elsewhere, is_pointless):
        source.elsewhere, source.is_pointless = elsewhere, is_pointless
        state.touched.sources.add(source.name)


def _elsewhere(state: State, source: SourceRecord) -> str | None:
    """Return where a server of the kind of ``source`` runs on this machine; ``None`` where none does."""
    kind, own = kind_named(source.runtime).name, place(source.name)
    urls = (url for server in state.servers if server.kind == kind for url in server.urls[:1])
    return next((url.partition("://")[2] for url in urls if place(url) != own), None)


def _serves_else(state: State, source: SourceRecord) -> bool:
    """Whether anything but ``source`` serves models on this machine."""
    if state.servers or any(stands_alone(state, runner) for runner in state.runners.values()):
        return True
    return any(state.sources[name].healthy for name in state.servers_here if name != source.name)


def _has_server(state: State) -> bool:
    """Return whether a server is seen on this machine, as a process or by its answers."""
    return bool(state.servers) or any(state.sources[name].healthy for name in state.servers_here)


def _differs(record: SourceRecord, health: SourceHealth, runtime: str | None) -> bool:
    """Return whether a source answers differently from before."""
    return (
        record.silent_seconds is not None
        or record.health != health
        or (runtime is not None and record.runtime != runtime)
    )


def apply_silent(state: State, sample: SourceSilent) -> None:
    """Record that a source does not answer, or that asking it failed."""
    if sample.detail is not None:
        hear(state, sample.source, SourceHealth(state=sample.state, detail=sample.detail))
        return
    state.touched.sources.add(sample.source)
    since = state.now - sample.seconds
    record = state.sources.get(sample.source)
    if record is None:
        record = _new_source(state, sample.source, SourceHealth(state="hanging"), since)
    record.silent_seconds, record.silent_since = sample.seconds, since


def note_not_taken(state: State, sample: AnySample) -> None:
    """Record that what a source has said could not be taken in: its values are those of before."""
    if sample.source in state.sources and not isinstance(sample, SourceSilent) and hasattr(sample, "health"):
        detail = "internal error, its answer is not taken in"
        hear(state, sample.source, SourceHealth(state="failing", detail=detail))


def note_own_health(state: State, name: str, health: SourceHealth | None) -> None:
    """Record how gpumon itself is; ``None`` removes the source, which is there only while something fails."""
    if health is not None:
        hear(state, name, health)
    elif state.sources.pop(name, None) is not None:
        state.touched.sources.add(name)
