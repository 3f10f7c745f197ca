"""Lines for sources that do not deliver."""

from __future__ import annotations

from gpumon.app.insight.faults import has_trouble, source_fault
from gpumon.app.insight.wording import short_source_words, source_label
from gpumon.app.state.places import is_server
from gpumon.app.state.records import SourceRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import SourceState
from gpumon.text import units
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
    """Tell whether to speak of a source: of those that only add detail, their faults alone."""
    if source.healthy and source.health.state != "asleep":
        return has_trouble(source)
    needed = source.name in NEEDED_SOURCES or is_server(source.name)
    return needed or source.health.state not in QUIET_STATES


def source_row(source: SourceRecord, now: float) -> SourceRow:
    """Return what is wrong with a source, for how long, and what to do."""
    level: Level = source_fault(source) or "watch"
    label = source_label(source.name, source.runtime)
    return SourceRow(level, label, _words(source, now), source.health.hint or "")


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
