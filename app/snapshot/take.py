"""One whole look at what a feed shows: until each source that is known by then has answered or failed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence

from gpumon.app.feeds.live import Feed
from gpumon.app.insight.health import hangs, is_needed
from gpumon.app.monitor import Monitor
from gpumon.app.state.holders.addresses import runners_to_ask
from gpumon.app.state.holders.joins import name_of, sources_of
from gpumon.app.state.rates.figures import RunnerRates
from gpumon.app.state.records import Load, SourceRecord
from gpumon.app.state.work import is_working, rates_of
from gpumon.collectors.samples import (
    HEALTHY_STATES,
    AnySample,
    FileFacts,
    InstalledModels,
    Learned,
    ModelFacts,
    WorkSample,
)

DEADLINE_SECONDS = 15.0
"""So long a machine under heavy load takes to answer; one that is well takes one or two seconds."""
HANGING_SECONDS = 5.0
"""A source that has been silent for so long is not waited for."""
PROGRESS_SECONDS = 2.0
"""From then on it is said what is waited for."""
ANSWERS_NEEDED = 2
"""From a source that has something to report: a rate needs two samples."""
ANSWERS_ENOUGH = 4
"""Of a model at work that shows no rate even then: its requests may be shorter than the time between."""
ANSWERS_NAMING = 4
"""Of a server after which it has told the name of what it loads: it is asked for in between."""
LOOK_EVERY_SECONDS = 0.05
END_SECONDS = 0.5
"""How long a feed may take to end when it is cancelled."""

Sleep = Callable[[float], Awaitable[None]]
Say = Callable[[Sequence[str]], None]
"""Is told the names of what is waited for."""
Expected = Callable[[], Collection[str]]
"""Names the sources that must have been heard: more may become known on the way."""


async def look(
    feed: Feed,
    monitor: Monitor,
    deadline_seconds: float = DEADLINE_SECONDS,
    expected: Expected = tuple,
    sleep: Sleep = asyncio.sleep,
    say: Say | None = None,
) -> tuple[str, ...]:
    """Run ``feed`` until all there is to look at was looked at, at most for ``deadline_seconds``.

    Returns the names of what was not: those that have not answered in time, and those that hang. The feed is
    cancelled, not closed. Errors of the feed are raised.
    """
    view = View(monitor, expected)
    running = asyncio.ensure_future(feed.run(monitor))
    try:
        return await whole(running, view, deadline_seconds, sleep, say)
    finally:
        await end(running)


async def whole(
    running: asyncio.Future[None],
    view: View,
    deadline_seconds: float = DEADLINE_SECONDS,
    sleep: Sleep = asyncio.sleep,
    say: Say | None = None,
) -> tuple[str, ...]:
    """Wait until a feed that runs has told all there is to look at; return the names of what it has not."""
    looking = asyncio.ensure_future(_look(view, sleep, say))
    try:
        await asyncio.wait({running, looking}, timeout=deadline_seconds, return_when=asyncio.FIRST_COMPLETED)
        ended = running.done()
        if ended:
            running.result()
    finally:
        await end(looking)
    return () if ended else tuple(dict.fromkeys((*view.awaited(), *view.hanging())))


class View:
    """What has answered so far, and what has not."""

    def __init__(self, monitor: Monitor, expected: Expected) -> None:
        self._monitor = monitor
        self._expected = expected
        self._answers: Counter[str] = Counter()
        """Of each source, and of each model by its process or by its server and name."""
        monitor.listen(self.count, "snapshot")

    @property
    def revision(self) -> int:
        """Grows with every sample."""
        return self._monitor.revision

    def count(self, sample: AnySample) -> None:
        """Take note of an answer."""
        if isinstance(sample, WorkSample):
            name = f"runner {sample.pid}" if sample.pid else f"{sample.source} {sample.model}"
            self._answers[name] += 1
        elif not isinstance(sample, ModelFacts | FileFacts | InstalledModels):
            self._answers[sample.source] += ANSWERS_NEEDED if isinstance(sample, Learned) else 1

    def awaited(self) -> list[str]:
        """Return the names of what is still waited for."""
        state = self._monitor.state
        if not state.sources:
            return list(self._expected()) or ["any source"]
        sources = [name for name in self._expected() if name not in state.sources]
        sources += [record.name for record in state.sources.values() if self._is_awaited(record)]
        meters = (f"meter at {server}" for server, sample in state.metered.items() if sample is None)
        unread = (one.key.pid for one in state.runners.values() if one.file is None and one.process.is_read)
        files = (f"file of process {pid}" for pid in unread)
        reads = (key for key, one in state.runners.items() if one.disk.is_undecided(state.now))
        undecided = (f"what process {key.pid} reads from disk" for key in reads)
        return [*sources, *meters, *files, *undecided, *self._awaited_models()]

    def hanging(self) -> Iterator[str]:
        """Yield the names of what does not answer, so that what it knows is not known."""
        return (one.name for one in self._monitor.state.sources.values() if hangs(one) and is_needed(one))

    def _is_awaited(self, record: SourceRecord) -> bool:
        if record.silent_seconds is not None:
            return record.silent_seconds < HANGING_SECONDS
        needed = ANSWERS_NEEDED if record.health.state == "serving" else 1
        return record.health.state in HEALTHY_STATES and self._answers[record.name] < needed

    def _awaited_models(self) -> Iterator[str]:
        state = self._monitor.state
        for runner in runners_to_ask(state):
            name = f"runner {runner.key.pid}"
            if runner.answer is None or not self._is_paced(name, runner.answer, runner.rates):
                yield name
        for load in state.loads.values():
            yield from self._awaited_namers(load)
        for model in state.models.values():
            answer, name = model.served and model.served.answer, f"{model.key.source} {model.claim.name}"
            if answer and model.runner is None and not self._is_paced(name, answer, rates_of(model, state)):
                yield name

    def _awaited_namers(self, load: Load) -> Iterator[str]:
        """Yield the server that has started a load of which no name is known, until it may have told."""
        state, runner = self._monitor.state, self._monitor.state.runners.get(load.key)
        if runner is None or load.settings.blob is None or name_of(state, load.settings) is not None:
            return
        for source in sources_of(state, runner):
            if state.sources[source].healthy and self._answers[source] < ANSWERS_NAMING:
                yield source

    def _is_paced(self, name: str, answer: WorkSample, rates: RunnerRates) -> bool:
        """Whether a model rests, or shows the rate of what it does, or does not after many answers either."""
        count = self._answers[name]
        if not is_working(answer) or count >= ANSWERS_ENOUGH:
            return True
        if answer.job is not None:
            return answer.job.seconds_per_step is not None or count > ANSWERS_NEEDED
        decodes = any(slot.processing and slot.decoded_tokens for slot in answer.slots or ())
        prefills = not decodes and rates.prefill_tokens_per_second is not None
        return count >= ANSWERS_NEEDED and (prefills or rates.decode_tokens_per_second is not None)


async def _look(view: View, sleep: Sleep, say: Say | None) -> None:
    """Return once nothing is waited for and no sample came since the last look: not amid a burst."""
    loop = asyncio.get_running_loop()
    seen, said, due = -1, [""], loop.time() + PROGRESS_SECONDS
    while seen != view.revision or (awaited := view.awaited()):
        if say is not None and seen == view.revision and loop.time() >= due and awaited != said:
            say(awaited)
            said, due = awaited, loop.time() + PROGRESS_SECONDS
        seen = view.revision
        await sleep(LOOK_EVERY_SECONDS)


async def end(*tasks: asyncio.Future[None]) -> None:
    """Cancel tasks, and wait a moment until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=END_SECONDS)
