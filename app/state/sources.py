"""Keeps how a source is that does not speak for itself: silent, missed, or one of gpumon's own."""

from __future__ import annotations

from gpumon.app.state.holders.addresses import stands_alone
from gpumon.app.state.places import place
from gpumon.app.state.records import SourceRecord
from gpumon.app.state.state import State, add_source, hear
from gpumon.collectors.samples import AnySample, SourceHealth, SourceSilent
from gpumon.collectors.servers.registry import DEFAULT


def note_servers(state: State) -> None:
    """Note what the servers that are seen here mean for those that are not."""
    for name in state.servers_here:
        _note_absence(state, state.sources[name])


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
    kind, own = source.runtime or DEFAULT.name, place(source.name)
    urls = (url for server in state.servers if server.kind == kind for url in server.reached[:1])
    return next((url.partition("://")[2] for url in urls if place(url) != own), None)


def _serves_else(state: State, source: SourceRecord) -> bool:
    """Whether anything but ``source`` serves models on this machine."""
    if state.servers or any(stands_alone(state, runner) for runner in state.runners.values()):
        return True
    return any(state.sources[name].healthy for name in state.servers_here if name != source.name)


def apply_silent(state: State, sample: SourceSilent) -> None:
    """Record that a source does not answer, or that asking it failed."""
    if sample.detail is not None:
        hear(state, sample.source, SourceHealth(state=sample.state, detail=sample.detail))
        return
    state.touched.sources.add(sample.source)
    since = state.now - sample.seconds
    record = state.sources.get(sample.source)
    if record is None:
        record = add_source(state, sample.source, SourceHealth(state="hanging"), since)
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
