"""Takes one snapshot of a running feed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection

from gpumon.app.feeds.live import Feed
from gpumon.app.monitor import Monitor
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import Snapshot
from gpumon.collectors.samples import (
    HEALTHY_STATES,
    AnySample,
    InstalledModels,
    Learned,
    ModelFacts,
    WorkSample,
)

DEADLINE_SECONDS = 3.0
ANSWERS_NEEDED = 2
"""From a source that has something to report: a rate needs two samples."""
LOOK_EVERY_SECONDS = 0.05
END_SECONDS = 0.5
"""How long a feed may take to end when it is cancelled."""

Sleep = Callable[[float], Awaitable[None]]


async def take_snapshot(
    feed: Feed,
    monitor: Monitor,
    deadline_seconds: float = DEADLINE_SECONDS,
    expected: Collection[str] = (),
    sleep: Sleep = asyncio.sleep,
) -> Snapshot:
    """Run ``feed`` until every source has answered or is known to be bad, at most for ``deadline_seconds``.

    ``expected`` names the sources that must have been heard. The feed is cancelled, not closed. Errors of the
    feed are raised.
    """
    answers: Counter[str] = Counter()
    monitor.listen(lambda sample: _count(answers, sample), "snapshot")
    running = asyncio.ensure_future(feed.run(monitor))
    looking = asyncio.ensure_future(_look(monitor, answers, expected, sleep))
    try:
        await asyncio.wait({running, looking}, timeout=deadline_seconds, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        await _end(running, looking)
    snapshot = build_snapshot(monitor.pictures)
    return build_snapshot(monitor.pictures) if monitor.note_faults() else snapshot


def _count(answers: Counter[str], sample: AnySample) -> None:
    if not isinstance(sample, ModelFacts | InstalledModels | WorkSample):
        answers[sample.source] += ANSWERS_NEEDED if isinstance(sample, Learned) else 1


async def _look(monitor: Monitor, answers: Counter[str], expected: Collection[str], sleep: Sleep) -> None:
    """Return once every source is settled and no sample came since the last look: not amid a burst."""
    seen = -1
    while seen != monitor.revision or not _settled(monitor, answers, expected):
        seen = monitor.revision
        await sleep(LOOK_EVERY_SECONDS)


def _settled(monitor: Monitor, answers: Counter[str], expected: Collection[str]) -> bool:
    sources = monitor.state.sources
    if not sources or not sources.keys() >= set(expected) or None in monitor.state.metered.values():
        return False
    return all(
        record.silent_seconds is not None
        or record.health.state not in HEALTHY_STATES
        or answers[name] >= (ANSWERS_NEEDED if record.health.state == "serving" else 1)
        for name, record in sources.items()
    )


async def _end(*tasks: asyncio.Future[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=END_SECONDS)
