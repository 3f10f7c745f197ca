"""Rows of the sources that do not deliver, and what is watched at all."""

from __future__ import annotations

from gpumon.app.insight.health import has_trouble, is_optional, is_unasked_for, source_fault
from gpumon.app.insight.wording import kind_label, short_source_words, source_label
from gpumon.app.monitor import Monitor
from gpumon.app.state.records import SourceRecord, is_server
from gpumon.app.state.state import State
from gpumon.collectors.samples import SourceState
from gpumon.collectors.servers.registry import DEFAULT, PLUG_IN_PREFIX
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.kit.lines import Level
from gpumon.widgets.views import SourceRow

MILD_STATES: frozenset[SourceState] = frozenset({"absent", "not_running", "asleep"})
"""Not there is a fact; not answering is a fault."""

QUIET_STATES: frozenset[SourceState] = MILD_STATES | {"forbidden", "unreachable"}
NEEDED_SOURCES = frozenset({"nvml", "system"})
"""With the servers, what the main job rests on; others may be missing without a word."""


def source_rows(state: State) -> tuple[SourceRow, ...]:
    """Return a row for each source that is silent, unhealthy or asleep, the faults first."""
    rows = [source_row(source, state.now) for source in state.sources.values() if _is_news(source)]
    return tuple(sorted(rows, key=lambda row: (row.level != "bad", row.name)))


def _is_news(source: SourceRecord) -> bool:
    """Return whether to speak of a source: of those that only add detail, their faults alone."""
    if source.is_pointless:
        return False
    if source.healthy and source.health.state != "asleep":
        return has_trouble(source)
    needed = source.name in NEEDED_SOURCES or is_server(source.name) or source.name.startswith(PLUG_IN_PREFIX)
    return needed or source.health.state not in QUIET_STATES


def source_row(source: SourceRecord, now: float) -> SourceRow:
    """Return what is wrong with a source, for how long, and what to do."""
    is_minor = is_optional(source) or is_unasked_for(source)
    level: Level = source_fault(source) or ("unknown" if is_minor else "watch")
    label = source_label(source.name, source.runtime)
    return SourceRow(level, label, _words(source, now), source.hint or "")


def _words(source: SourceRecord, now: float) -> str:
    """Say in words how a source is doing; a wait names its seconds."""
    waiting = waiting_seconds(source, now)
    if waiting is not None:
        return f"not answering for {units.duration(waiting)}"
    return short_source_words(source)


def waiting_seconds(source: SourceRecord, now: float) -> float | None:
    """Return for how long a source has not answered, if that is what is wrong with it."""
    if source.health.state == "hanging":
        return now - (source.since if source.answered is None else source.answered)
    return source.silent_seconds


def watched_words(monitor: Monitor, interval: float) -> tuple[str, ...]:
    """Return what is watched: versions of the driver and of servers, and how often."""
    state = monitor.state
    versions = [
        f"{kind_label(source.kind or DEFAULT)} {visible(source.version)}"
        for source in state.sources.values()
        if source.version is not None and is_server(source.name)
    ]
    driver = [f"driver {state.driver_version}"] if state.driver_version else []
    return (*driver, *versions, f"every {interval:g} s")
