"""Snapshots while somebody reads them: the first when all was looked at, then one for each change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from gpumon.app.events.event import LoggedEvent
from gpumon.app.feeds.live import Feed
from gpumon.app.monitor import Monitor
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.changes import Changes
from gpumon.app.snapshot.schema import EventEntry, Snapshot
from gpumon.app.snapshot.take import DEADLINE_SECONDS, Expected, Say, Sleep, View, end, whole

EVENTS_TOLD = 50
"""The latest, in each snapshot."""
SETTLE_SECONDS = 0.1
"""What several sources say of one change comes within this, and is one line."""

Tell = Callable[[Snapshot], Awaitable[None]]
Heard = Callable[[tuple[str, ...]], Awaitable[None]]


async def watch(
    feed: Feed,
    monitor: Monitor,
    tell: Tell,
    expected: Expected = tuple,
    deadline_seconds: float = DEADLINE_SECONDS,
    sleep: Sleep = asyncio.sleep,
    say: Say | None = None,
) -> None:
    """Run ``feed`` and ``tell`` what is news, until it ends or this task is cancelled.

    Errors of the feed and of ``tell`` are raised. The feed is cancelled, not closed.
    """
    changes = Changes()

    async def heard(missing: tuple[str, ...]) -> None:
        snapshot = taken(monitor, missing)
        if changes.is_news(snapshot):
            await tell(snapshot)

    await follow(feed, monitor, heard, expected, deadline_seconds, sleep, say)


async def follow(
    feed: Feed,
    monitor: Monitor,
    heard: Heard,
    expected: Expected = tuple,
    deadline_seconds: float = DEADLINE_SECONDS,
    sleep: Sleep = asyncio.sleep,
    say: Say | None = None,
    settle_seconds: float = SETTLE_SECONDS,
) -> None:
    """Run ``feed``; call ``heard`` when all was looked at, and a moment after anything is said from then on.

    It is told what was not seen. Errors of the feed and of ``heard`` are raised.
    """
    view, news = View(monitor, expected), asyncio.Event()
    monitor.listen(lambda _: news.set(), "snapshot")
    running = asyncio.ensure_future(feed.run(monitor))
    running.add_done_callback(lambda _: news.set())
    try:
        missing = await whole(running, view, deadline_seconds, sleep, say)
        while True:
            news.clear()
            await heard(still_missing(view, missing))
            if running.done():
                return running.result()
            await news.wait()
            await sleep(settle_seconds)
    finally:
        await end(running)


def taken(monitor: Monitor, missing: Sequence[str]) -> Snapshot:
    """Return what is known now, faults of gpumon's own that came with it included."""
    snapshot = _taken(monitor, missing)
    return _taken(monitor, missing) if monitor.note_faults() else snapshot


def _taken(monitor: Monitor, missing: Sequence[str]) -> Snapshot:
    return build_snapshot(monitor.pictures, missing, recent_events(monitor))


def recent_events(monitor: Monitor) -> tuple[EventEntry, ...]:
    """Return the entries of the latest events, the oldest first."""
    with monitor.fuses.guard("snapshot of events"):
        return tuple(map(_event, monitor.events.latest(EVENTS_TOLD)))
    return ()


def _event(event: LoggedEvent) -> EventEntry:
    return EventEntry(
        time=event.time,
        kind=event.kind,
        level=event.level,
        about=event.about,
        subject=event.subject,
        subject_id=event.subject_id,
        words=event.words,
        until=event.until,
        ongoing=event.lasts,
        acknowledged=event.acknowledged,
    )


def still_missing(view: View, at_first: Sequence[str]) -> tuple[str, ...]:
    """Return what hangs now, and what has not come since the first look. What is new has its own time."""
    awaited = set(view.awaited())
    return tuple(dict.fromkeys((*(name for name in at_first if name in awaited), *view.hanging())))
