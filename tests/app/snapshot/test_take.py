from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from tests.fakes.samples import START, nvml, ollama, shown, silent, system

from gpumon.app.alerts.limits import Limits
from gpumon.app.feeds.demo import DemoFeed
from gpumon.app.feeds.live import Feed
from gpumon.app.monitor import Monitor
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import Snapshot
from gpumon.app.snapshot.take import HANGING_SECONDS, Sleep, look
from gpumon.collectors.samples import (
    AnySample,
    SourceState,
)

NEVER = 60.0
"""A deadline that no test reaches."""


class ListFeed:
    """Feeds a list, with a turn of the event loop between; then hangs, ends or fails."""

    def __init__(self, samples: Sequence[AnySample], *, then: str = "hang") -> None:
        self._samples = samples
        self._then = then
        self.cancelled = False

    def marks(self) -> tuple[str, ...]:
        return ()

    async def run(self, monitor: Monitor) -> None:
        for sample in self._samples:
            monitor.feed(sample)
            await asyncio.sleep(0)
        if self._then == "fail":
            raise ValueError("broken")
        if self._then == "hang":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled = True
                raise

    async def close(self) -> None: ...


async def no_sleep(_seconds: float) -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def take_snapshot(
    feed: Feed,
    monitor: Monitor,
    deadline: float = NEVER,
    expected: tuple[str, ...] = (),
    sleep: Sleep = no_sleep,
) -> Snapshot:
    missing = await look(feed, monitor, deadline, lambda: expected, sleep)
    return build_snapshot(monitor.pictures, missing)


async def taken(feed: ListFeed, deadline: float = NEVER, expected: tuple[str, ...] = ()) -> tuple[str, ...]:
    async with asyncio.timeout(10):
        snapshot = await take_snapshot(feed, Monitor(Limits()), deadline, expected, no_sleep)
    return tuple(source.name for source in snapshot.sources)


async def test_it_is_taken_when_each_source_has_answered_twice() -> None:
    feed = ListFeed([system(0), nvml(0), system(1), nvml(1)])
    assert await taken(feed) == ("nvml", "system")
    assert feed.cancelled


async def test_a_source_that_answered_once_is_waited_for() -> None:
    feed = ListFeed([system(0), nvml(0), nvml(1)])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await take_snapshot(feed, Monitor(Limits()), NEVER, (), no_sleep)


@pytest.mark.parametrize("state", ["absent", "failing", "idle"])
async def test_a_source_that_is_bad_or_idle_needs_one_answer(state: SourceState) -> None:
    feed = ListFeed([nvml(0, state=state), system(0), system(1)])
    assert await taken(feed) == ("nvml", "system")


async def test_a_source_that_hangs_does_not_hold_it_for_ever_and_is_said_to_be_missing() -> None:
    hanging = silent(2, "http://box", seconds=HANGING_SECONDS)
    snapshot = await take_snapshot(ListFeed([system(0), system(1), hanging]), Monitor(Limits()))
    assert [source.name for source in snapshot.sources] == ["http://box", "system"]
    assert (snapshot.complete, snapshot.missing) == (False, ("http://box",))


async def test_a_source_that_is_only_slow_is_waited_for() -> None:
    slow = silent(2, "http://box", seconds=HANGING_SECONDS - 1)
    late = ollama(4, source="http://box")
    feed = ListFeed([system(0), system(1), slow, late])
    snapshot = await take_snapshot(feed, Monitor(Limits()))
    assert (snapshot.complete, snapshot.missing) == (True, ())


async def test_what_has_not_answered_at_the_deadline_is_named_and_nothing_is_ok() -> None:
    monitor = Monitor(Limits())
    feed = ListFeed([system(0), system(1), nvml(0), nvml(1)])
    snapshot = await take_snapshot(feed, monitor, 0.02, ("system", "nvml", "http://box"))
    assert (snapshot.complete, snapshot.missing, snapshot.level) == (False, ("http://box",), "unknown")
    assert snapshot.sentence.endswith("not looked at in time: Ollama at box")


async def test_it_is_said_what_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpumon.app.snapshot.take.PROGRESS_SECONDS", 0.01)
    said: list[list[str]] = []
    feed = ListFeed([system(0), system(1)])
    await look(feed, Monitor(Limits()), 0.5, lambda: ("http://box",), say=lambda names: said.append([*names]))
    assert said == [["http://box"]], "once"


async def test_a_source_that_is_expected_is_waited_for_until_the_deadline() -> None:
    feed = ListFeed([system(0), system(1)])
    assert await taken(feed, deadline=0.02, expected=("system", "http://box")) == ("system",)
    assert feed.cancelled


async def test_without_any_answer_the_deadline_ends_it() -> None:
    assert await taken(ListFeed([]), deadline=0.02) == ()


async def test_a_feed_that_ends_is_enough() -> None:
    assert await taken(ListFeed([system(0)], then="end")) == ("system",)


async def test_an_error_of_the_feed_is_raised() -> None:
    with pytest.raises(ValueError, match="broken"):
        await taken(ListFeed([system(0)], then="fail"))


async def test_it_is_not_taken_in_the_middle_of_a_burst() -> None:
    burst: list[AnySample] = [system(second) for second in range(100)]
    async with asyncio.timeout(10):
        monitor = Monitor(Limits())
        snapshot = await take_snapshot(ListFeed(burst), monitor, NEVER, (), no_sleep)
    assert snapshot.time == START + 99


async def test_facts_of_a_model_are_not_an_answer_to_a_poll() -> None:
    once, facts = ollama(0, source="http://box", state="serving"), shown(0, "a", source="http://box")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await take_snapshot(ListFeed([once, facts]), Monitor(Limits()), NEVER, (), no_sleep)


async def test_a_demo_is_taken_at_its_opening() -> None:
    feed = DemoFeed("spill", START, skip_seconds=40)
    async with asyncio.timeout(10):
        snapshot = await take_snapshot(feed, Monitor(Limits()), sleep=asyncio.sleep)
    assert snapshot.time == START
    assert snapshot.models[0].processor == "38%/62% CPU/GPU"
    assert [alert.kind for alert in snapshot.alerts] == ["spill"]
