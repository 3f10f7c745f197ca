"""What has happened, as lines of the feed."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.app.events.event import Feed, LoggedEvent
from gpumon.text import units
from gpumon.widgets.views import EventRow

PANELS = {"model": "models", "gpu": "gpus"}
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
    panel, seconds = PANELS.get(event.about), event.duration_seconds(now)
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
    )


def _lasting(seconds: float, event: LoggedEvent) -> str:
    if not event.lasts or seconds < EXACT_SECONDS:
        return units.duration(seconds)
    minutes = int(seconds // 60)
    return f"{minutes}m" if minutes < 60 else units.duration(60 * minutes)
