"""Everything that the dashboard shows, built at one instant: a function for each panel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.events.event import Feed, LoggedEvent
from gpumon.app.fuses import GPUMON_SOURCE
from gpumon.app.monitor import Monitor
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.views.band import band_view, held_back_notes, source_rows
from gpumon.app.views.gpus import gpu_rows
from gpumon.app.views.models import SortKey, all_rows
from gpumon.text import units
from gpumon.widgets.views import EventRow, GpuRow, MemoryRow, ModelRow, SourceRow, VerdictView

PANELS_OF = {"model": "models", "gpu": "gpus"}
"""In which panel the row stands that an event is about."""
EXACT_SECONDS = 120.0
"""What lasts longer is told in minutes begun: a line is to change seldom."""


def event_rows(
    feed: Feed, now: float, past: Sequence[LoggedEvent] = (), rows: Sequence[EventRow] = ()
) -> tuple[EventRow, ...]:
    """Return the lines of the alerts that are active, then of everything else, the newest first.

    ``rows`` are the lines made before, which end in those of ``past``: what is the same is not made again.
    """
    ongoing = (event_row(event, now) for event in feed.ongoing)
    if feed.past is past:
        return (*ongoing, *rows[len(rows) - len(past) :])
    return (*ongoing, *(event_row(event, now) for event in feed.past))


def event_row(event: LoggedEvent, now: float) -> EventRow:
    """Return the line of one event."""
    panel, seconds = PANELS_OF.get(event.about), event.duration_seconds(now)
    return EventRow(
        key=f"event {event.number}",
        time=units.clock(event.time),
        ways=event.said.ways,
        bare=event.said.bare,
        model=event.subject if event.about == "model" else "",
        names=event.said.names,
        level=event.level,
        lasting="" if seconds is None or event.level is None else _lasting(seconds, event),
        ongoing=event.lasts and event.level is not None,
        acknowledged=event.acknowledged and event.lasts,
        opens=None if panel is None else (panel, event.subject_id),
        at=event.time,
        number=event.number,
    )


def _lasting(seconds: float, event: LoggedEvent) -> str:
    if not event.lasts or seconds < EXACT_SECONDS:
        return units.duration(seconds)
    minutes = int(seconds // 60)
    return f"{minutes}m" if minutes < 60 else units.duration(60 * minutes)


def memory_row(pictures: Pictures) -> MemoryRow:
    """Return RAM, swap and CPU; everything unknown before the first sample."""
    state = pictures.state
    if state.system is None:
        return MemoryRow()
    sample = state.system.sample
    source = state.sources.get(sample.source)
    return MemoryRow(
        level=pictures.level_of("system") or "ok",
        total_bytes=sample.ram_total_bytes,
        used_bytes=sample.ram_used_bytes,
        available_bytes=sample.ram_available_bytes,
        models_belong_there=bool(pictures.models())
        and all(one.memory.has_no_gpu for one in pictures.models()),
        model_bytes=spilled_bytes(pictures),
        swap_total_bytes=sample.swap_total_bytes,
        swap_used_bytes=sample.swap_used_bytes,
        swap_in_bytes_per_second=sample.swap_in_bytes_per_second,
        swap_out_bytes_per_second=sample.swap_out_bytes_per_second,
        cpu_percent=sample.cpu_percent,
        pressure_percent=sample.pressure.some_percent if sample.pressure else None,
        age_seconds=source.age(state.now) if source else None,
    )


def spilled_bytes(pictures: Pictures) -> int | None:
    """Return the bytes that loaded models claim in RAM; ``None`` where no model says."""
    known = [model.memory.ram_bytes for model in pictures.models() if model.memory.ram_bytes is not None]
    return sum(known) if known else None


class ModelOrder(Struct, frozen=True):
    """Which models are shown, and in which order."""

    sort: SortKey = "trouble"
    descending: bool = False
    filter_text: str = ""


class DashboardView(Struct, frozen=True):
    """One instant of the dashboard; the chart is built apart, as it is drawn less often."""

    verdict: VerdictView
    gpus: tuple[GpuRow, ...]
    models: tuple[ModelRow, ...]
    memory: MemoryRow
    sources: tuple[SourceRow, ...]
    events: tuple[EventRow, ...]
    time: float = 0.0
    """Of the newest sample that it was built from."""
    gpu_pictures: tuple[GpuPicture, ...] | None = None
    """Those from which the rows of the GPUs were made; ``None`` where that failed."""
    past: tuple[LoggedEvent, ...] = ()
    """Those from which the last of the rows of events were made."""


NOTHING = DashboardView(VerdictView("unknown", ""), (), (), MemoryRow(), (), ())
"""What stands in for the picture before the first one."""

_Aging = TypeVar("_Aging", GpuRow, ModelRow, MemoryRow)


def dashboard_view(monitor: Monitor, order: ModelOrder, before: DashboardView = NOTHING) -> DashboardView:
    """Build what the dashboard shows of ``monitor`` now.

    A panel that fails shows what it showed in ``before``, the picture before this one, marked as old; a line
    among the sources names it.
    """
    pictures, guard = monitor.pictures, monitor.fuses.guard
    gpus = models = memory = pictured = None
    with guard("panel gpus"):
        is_same = (found := pictures.gpus()) is before.gpu_pictures
        gpus, pictured = before.gpus if is_same else gpu_rows(found, _planned(pictures)), found
    with guard("panel models"):
        models = all_rows(pictures, order.sort, order.descending, order.filter_text)
    with guard("panel memory"):
        memory = memory_row(pictures)
    now, events, past = monitor.state.now, before.events, before.past
    with guard("panel events"):
        feed = monitor.events.feed
        events, past = event_rows(feed, now, past, events), feed.past
    monitor.note_faults()
    verdict = VerdictView("unknown", "how things are cannot be told: internal error")
    with guard("verdict"):
        verdict = band_view(pictures)
    seconds = now - before.time
    return DashboardView(
        verdict,
        _aged(before.gpus, seconds) if gpus is None else _told_once(gpus, verdict),
        _aged(before.models, seconds) if models is None else _besides(models, verdict),
        _aged((before.memory,), seconds)[0] if memory is None else memory,
        tuple(row for row in _sources(monitor) if row.name != verdict.subject),
        events,
        now,
        pictured,
        past,
    )


def _planned(pictures: Pictures) -> int:
    """Return what loads have yet to take of the only GPU; of several it is not told which it will be."""
    if len(pictures.gpus()) != 1:
        return 0
    known = [(load.forecast.gpu_bytes, load.gpu_bytes or 0) for load in pictures.loads() if load.forecast]
    return sum(max(0, whole - taken) for whole, taken in known)


def _told_once(gpus: tuple[GpuRow, ...], verdict: VerdictView) -> tuple[GpuRow, ...]:
    """Leave out of the row of a GPU what the verdict says of it already."""
    return tuple(
        replace(row, notes=tuple(note for note in row.notes if note not in verdict.facts))
        if row.notes and verdict.subject == f"GPU {row.index}"
        else row
        for row in gpus
    )


def _besides(models: tuple[ModelRow, ...], verdict: VerdictView) -> tuple[ModelRow, ...]:
    """Leave out of each row what the verdict says already."""
    brief = tuple(f"{cause}, " for cause in verdict.cause.split("; ") if cause)
    said = {
        verdict.cause,
        f"try {verdict.remedy}{f' {verdict.where}' if verdict.where else ''}",
        *verdict.facts,
    }
    of_others = held_back_notes(verdict)
    return tuple(
        replace(row, notes=tuple(one for one in row.notes if one not in told and not one.startswith(start)))
        if row.notes
        else row
        for row in models
        for told, start in ((said, brief) if row.name == verdict.subject else (of_others, ()),)
    )


def _sources(monitor: Monitor) -> tuple[SourceRow, ...]:
    with monitor.fuses.guard("panel sources"):
        monitor.note_faults()
        return source_rows(monitor.state)
    return (SourceRow("watch", GPUMON_SOURCE, monitor.fuses.words() or ""),)


def _aged(rows: Iterable[_Aging], seconds: float) -> tuple[_Aging, ...]:
    """Return rows that could not be rebuilt for so many ``seconds``."""
    return tuple(replace(row, age_seconds=(row.age_seconds or 0.0) + max(0.0, seconds)) for row in rows)
