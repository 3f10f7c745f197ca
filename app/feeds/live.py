"""The contract of a feed, and the live one: the collectors of this machine and of the configured servers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Protocol

from gpumon.app.insight.activity import Quiet
from gpumon.app.monitor import Monitor
from gpumon.app.state.state import State
from gpumon.collectors.samples import (
    AnySample,
    MeterSample,
    ProcessSample,
    ServerProcess,
    ServerSample,
    SourceHealth,
    SourceSilent,
)
from gpumon.collectors.source import Cadence, Clock, Emit, Source, run_source


class Feed(Protocol):
    """Something that feeds a monitor. A source that fails is data; only what ends the program is raised."""

    def marks(self) -> tuple[str, ...]:
        """Return the words that tell a viewer that this is not live: ``DEMO spill``, ``REPLAY 4x``."""
        ...

    async def run(self, monitor: Monitor) -> None:
        """Feed samples into ``monitor`` until they end or the task is cancelled."""
        ...

    async def close(self) -> None:
        """Release what is held; called once, after ``run``."""
        ...


class Finder(Protocol):
    """Tells which servers of this machine are to be asked that nobody has named."""

    def found(self) -> Mapping[str, ServerProcess]:
        """Return them by the URL at which to ask each."""
        ...

    def may_start(self) -> bool:
        """Whether it is known what the named servers are: one of them may be a found one by another name."""
        ...

    def source(self, url: str, server: ServerProcess) -> Source:
        """Return a new source that asks one of them."""
        ...


BEAR_ON_FOUND = (ProcessSample, ServerSample, MeterSample, SourceSilent)
"""After these another server may be there to be asked, or one less."""

SPEAK_WHEN_FOUND = frozenset({"runners", "server log", "meter", "plug-ins"})

HEAD_START_SECONDS = 0.1
"""The first sources are on the screen before the others are imported."""

_log = logging.getLogger("gpumon.feeds")

PAUSE_SECONDS = 2.0
"""A server that was found, and then not, is asked again no sooner: its own word may be the reason."""
QUIET_INTERVAL_SECONDS = 3.0
"""While nothing happens no source is polled more often than this."""


class LiveFeed:
    """Runs every source at the shared cadence until it is cancelled.

    ``first`` are the sources that are read in milliseconds; ``others`` makes the rest, which takes imports.
    ``finder`` tells of servers that come and go; without it nobody is asked but these.
    """

    def __init__(
        self,
        first: Sequence[Source],
        others: Callable[[], Sequence[Source]],
        cadence: Cadence,
        clock: Clock,
        finder: Finder | None = None,
    ) -> None:
        self._first = first
        self._make_others = others
        self._clock = clock
        self._finder = finder
        self._found: dict[str, asyncio.Task[None]] = {}
        self._stopped: dict[str, float] = {}
        """When those were found no longer that were so a moment ago, by the loop's clock."""
        self._follows = False
        """Whether what was found is being followed now."""
        self.cadence = cadence

    @cached_property
    def _others(self) -> Sequence[Source]:
        return self._make_others()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sources that always answer something, servers that are found by now included.

        The others speak of what is found.
        """
        sources = (*self._first, *self._others)
        found = self._finder.found() if self._finder is not None else ()
        return (*(source.name for source in sources if source.name not in SPEAK_WHEN_FOUND), *found)

    def marks(self) -> tuple[str, ...]:
        """Return nothing: live is what a dashboard is expected to be."""
        return ()

    async def run(self, monitor: Monitor) -> None:
        """Feed samples into ``monitor`` until cancelled."""
        quiet, population, journal = Quiet(), Population(), Journal()

        def take(sample: AnySample) -> None:
            monitor.feed(sample)
            journal.note(monitor.state)
            self.cadence.slow_down(QUIET_INTERVAL_SECONDS if quiet.lasts(monitor.state) else 0.0)
            if isinstance(sample, ProcessSample) and population.changes(sample):
                self.cadence.look_again()
            if isinstance(sample, BEAR_ON_FOUND):
                self._follow(tasks, take)

        async with asyncio.TaskGroup() as tasks:
            self._start(tasks, self._first, take)
            await asyncio.sleep(HEAD_START_SECONDS)
            self._start(tasks, self._others, take)

    def _start(self, tasks: asyncio.TaskGroup, sources: Iterable[Source], take: Emit) -> None:
        for source in sources:
            self._run_source(tasks, source, take)

    def _run_source(self, tasks: asyncio.TaskGroup, source: Source, take: Emit) -> asyncio.Task[None]:
        running = run_source(source, take, self.cadence, self._clock)
        return tasks.create_task(running, name=f"source {source.name}")

    def _follow(self, tasks: asyncio.TaskGroup, take: Emit) -> None:
        """Ask the servers that are found, each once, and no longer those that are not there any more.

        What is told of one that has gone brings us here again, and may have it found once more: only the
        first of these calls acts.
        """
        if self._finder is None or self._follows:
            return
        self._follows = True
        try:
            self._stop_asking(self._finder.found().keys(), take)
            if self._finder.may_start():
                self._ask_more(tasks, self._finder, take)
        finally:
            self._follows = False

    def _stop_asking(self, found: Collection[str], take: Emit) -> None:
        now = asyncio.get_running_loop().time()
        self._stopped = {url: at for url, at in self._stopped.items() if now - at < PAUSE_SECONDS}
        for url in self._found.keys() - found:
            self._found.pop(url).cancel()
            self._stopped[url] = now
            health = SourceHealth(state="absent", detail="its process has ended")
            take(ServerSample(time=self._clock.now(), source=url, health=health, known_by="process"))

    def _ask_more(self, tasks: asyncio.TaskGroup, finder: Finder, take: Emit) -> None:
        found = finder.found()
        for url in found.keys() - self._found.keys() - self._stopped.keys():
            self._found[url] = self._run_source(tasks, finder.source(url, found[url]), take)

    async def close(self) -> None:
        """Release nothing: each source is closed when its loop ends."""


class Population:
    """The servers and runners of this machine; when they change, a server may have other models."""

    def __init__(self) -> None:
        self._members: frozenset[tuple[int, float]] = frozenset()

    def changes(self, sample: ProcessSample) -> bool:
        """Take a look at the processes; return whether it found others than the one before."""
        if sample.servers is None or sample.runners is None:
            return False
        found = frozenset((server.pid, server.started) for server in sample.servers)
        found |= {(runner.pid, runner.started) for runner in sample.runners}
        before, self._members = self._members, found
        return found != before


class Journal:
    """Logs what becomes of the sources, once for each change."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def note(self, state: State) -> None:
        """Log the sources that are no longer what they were; how they are at first only for who debugs."""
        for name in state.touched.sources & state.sources.keys():
            source = state.sources[name]
            now = "hanging" if source.silent_seconds is not None else source.health.state
            before = self._states.get(name)
            if before != now:
                self._states[name] = now
                level = logging.DEBUG if before is None else logging.INFO
                _log.log(level, "source %s is %s, was %s", name, now, before or "not asked yet")
