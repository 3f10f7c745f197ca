"""The run of ``snapshot --watch`` over a feed: when a line comes, and how it ends."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from tests.app.snapshot.test_take import ListFeed, no_sleep
from tests.fakes.samples import START, claim, nvml, system

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.snapshot.schema import Snapshot
from gpumon.app.snapshot.take import HANGING_SECONDS
from gpumon.app.snapshot.watch import watch
from gpumon.collectors.samples import AnySample, ServerSample, SourceHealth, SourceSilent

WELL: list[AnySample] = [system(0), nvml(0), system(1), nvml(1)]


def ollama_at(second: float) -> ServerSample:
    serving = SourceHealth(state="serving")
    return ServerSample(kind="ollama", time=START + second, source="http://box", health=serving, models=())


class PacedFeed(ListFeed):
    """Waits before each further sample until all before it was looked at."""

    def __init__(self, first: list[AnySample], *later: AnySample, then: str = "end") -> None:
        super().__init__(first, then=then)
        self.later = later

    async def run(self, monitor: Monitor) -> None:
        for sample in self._samples:
            monitor.feed(sample)
        for sample in self.later:
            await asyncio.sleep(0.02)
            monitor.feed(sample)
        self._samples = []
        await asyncio.sleep(0.02)
        await super().run(monitor)


async def told(feed: ListFeed, **more: float) -> list[Snapshot]:
    lines: list[Snapshot] = []

    async def tell(snapshot: Snapshot) -> None:
        lines.append(snapshot)

    async with asyncio.timeout(10):
        await watch(feed, Monitor(Limits()), tell, sleep=no_sleep, **more)  # type: ignore[arg-type]
    return lines


async def test_the_first_line_waits_until_all_was_looked_at_and_the_same_again_is_none() -> None:
    lines = await told(PacedFeed(WELL[:3], WELL[3], system(2), nvml(2), system(60)))
    assert [(line.time - START, line.complete) for line in lines] == [(1, True)]


async def test_what_has_happened_stands_in_each_line() -> None:
    listed = [replace(ollama_at(at), models=models) for at, models in ((1, (claim("a"),)), (2, ()), (9, ()))]
    later = replace(ollama_at(20), models=(claim("b"),))
    lines = await told(PacedFeed([*WELL[:2], listed[0]], *listed[1:], later))
    [event] = lines[-1].events
    assert (event.words, event.kind, event.level, event.time - START) == ("a left", "left", None, 2)
    assert (event.about, event.subject, event.subject_id) == ("model", "a", "http://box sha-a")
    assert (event.until, event.ongoing, event.acknowledged) == (None, False, False)


async def test_a_change_is_a_line() -> None:
    lines = await told(PacedFeed(WELL, nvml(2, state="failing"), nvml(3, state="failing"), nvml(4)))
    assert [line.time - START for line in lines] == [1, 2, 4]


async def test_what_did_not_come_in_time_is_missing_until_it_comes() -> None:
    feed = PacedFeed([*WELL, ollama_at(1)], system(2), ollama_at(3), system(4))
    lines = await told(feed, deadline_seconds=0.01)
    assert [(line.complete, line.missing) for line in lines] == [(False, ("http://box",)), (True, ())]


async def test_what_hangs_later_is_missing_too() -> None:
    silent = SourceSilent(time=START + 9, source="nvml", seconds=HANGING_SECONDS)
    lines = await told(PacedFeed(WELL, silent, nvml(10)))
    assert [line.missing for line in lines] == [(), ("nvml",), ()]


async def test_it_goes_on_until_it_is_cancelled_and_cancels_its_feed() -> None:
    feed = ListFeed(WELL)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await told(feed)
    assert feed.cancelled


async def test_an_error_of_the_feed_is_raised() -> None:
    with pytest.raises(ValueError, match="broken"):
        await told(PacedFeed(WELL, then="fail"))


async def test_a_reader_that_has_left_ends_it() -> None:
    async def tell(_snapshot: Snapshot) -> None:
        raise BrokenPipeError

    feed = ListFeed(WELL)
    with pytest.raises(BrokenPipeError):
        await watch(feed, Monitor(Limits()), tell, sleep=no_sleep)
    assert feed.cancelled
