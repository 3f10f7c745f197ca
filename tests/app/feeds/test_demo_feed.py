from __future__ import annotations

import asyncio

import pytest
from tests.fakes.playing import START, FakeTime, HandTime, Heard

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


async def test_another_scenario_opens_at_the_time_that_it_is_with_its_own_history() -> None:
    time, heard = HandTime(), Heard()
    feed = DemoFeed("fits", START, wait=time.wait, elapsed=time.elapsed)
    task = asyncio.ensure_future(feed.run(heard.monitor))
    async with asyncio.timeout(20):
        await time.settle()
        await time.pass_by(30)
        heard.seconds.clear()
        feed.change(1)
        await time.settle()
    assert feed.marks() == ("DEMO spill",)
    assert heard.seconds[0] == 30 - 300
    assert heard.seconds[-1] == 30
    assert {gpu.reading.name for gpu in heard.monitor.state.gpus.values()} == {"NVIDIA GeForce RTX 4070"}
    assert feed.player.start == START + 30 - 300
    task.cancel()
    await asyncio.wait({task})


async def test_what_was_unloaded_is_unloaded_again_where_its_time_is_sought() -> None:
    time, heard = HandTime(), Heard()
    feed = DemoFeed("fits", START, wait=time.wait, elapsed=time.elapsed)
    task = asyncio.ensure_future(feed.run(heard.monitor))
    async with asyncio.timeout(20):
        await time.settle()
        assert await feed.unload("llama3.2:3b") is None
        await time.pass_by(5)
        assert not heard.monitor.state.models
        feed.player.seek(START - 5)
        await time.settle()
        assert [model.claim.name for model in heard.monitor.state.models.values()] == ["llama3.2:3b"]
        await time.pass_by(10)
        assert not heard.monitor.state.models
    task.cancel()
    await asyncio.wait({task})


async def test_before_it_has_begun_there_is_nothing_to_unload() -> None:
    assert await DemoFeed("fits", START).unload("llama3.2:3b") == "the demonstration has not begun"
