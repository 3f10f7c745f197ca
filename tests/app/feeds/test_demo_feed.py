from __future__ import annotations

import asyncio

import pytest
from tests.fakes.playing import START, FakeTime, Heard

from gpumon.app.errors import GpumonError
from gpumon.app.feeds.demo import DemoFeed


async def opened(feed: DemoFeed, heard: Heard, until: float) -> None:
    task = asyncio.ensure_future(feed.run(heard.monitor))
    try:
        async with asyncio.timeout(20):
            await heard.until(until)
    finally:
        task.cancel()
        await asyncio.wait({task})
        await feed.close()


async def test_it_opens_with_five_minutes_of_history() -> None:
    time, heard = FakeTime(), Heard()
    feed = DemoFeed("fits", START, wait=time.wait, elapsed=time.elapsed)
    await opened(feed, heard, until=1)
    assert heard.seconds[0] == -300
    assert len(time.waits) == 1, "the history takes no time, the first second of the story does"
    gpu = next(iter(heard.monitor.state.gpus.values()))
    assert None not in gpu.utilization.window(START, 240, 40), "charts have no gap"


async def test_skipped_story_is_past_when_it_opens() -> None:
    time, heard = FakeTime(), Heard()
    feed = DemoFeed("spill", START, skip_seconds=40, wait=time.wait, elapsed=time.elapsed)
    await opened(feed, heard, until=0)
    assert heard.seconds[0] == -340
    model = next(iter(heard.monitor.state.models.values()))
    assert model.split.spill_fraction == pytest.approx(0.38, abs=0.005)


async def test_its_mark_says_that_it_is_a_demo() -> None:
    feed = DemoFeed("spill", START)
    assert feed.marks() == ("DEMO spill",)


async def test_its_marks_say_how_it_is_played() -> None:
    feed = DemoFeed("spill", START, speed=4)
    feed.player.pause()
    assert feed.marks() == ("DEMO spill 4x", "PAUSED")


async def test_an_unknown_scenario_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(GpumonError, match="no scenario 'spil': did you mean spill"):
        DemoFeed("spil", START)
