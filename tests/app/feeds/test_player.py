from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import takewhile

import pytest
from tests.fakes.playing import START, FakeTime, Heard, player_of, system_at

from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.feeds.player import LONGEST_GAP_SECONDS, Player, wait_for_change
from gpumon.app.feeds.reels import STOP_SAMPLES
from gpumon.app.recording.lines import Header
from gpumon.app.snapshot.build import build_snapshot
from gpumon.collectors.samples import AnySample


@asynccontextmanager
async def playing(player: Player, heard: Heard) -> AsyncIterator[None]:
    task = asyncio.ensure_future(player.run(heard.monitor))
    try:
        async with asyncio.timeout(5):
            yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_samples_are_fed_in_order_and_at_their_own_pace() -> None:
    time, heard = FakeTime(), Heard()
    await player_of([0, 1, 3], time).run(heard.monitor)
    assert heard.seconds == [0, 1, 3]
    assert time.waits == [1, 2]


@pytest.mark.parametrize(("speed", "waits"), [(4.0, [0.25, 0.5]), (0.25, [4.0, 8.0])])
async def test_speed_divides_the_waits(speed: float, waits: list[float]) -> None:
    time, heard = FakeTime(), Heard()
    await player_of([0, 1, 3], time, speed=speed).run(heard.monitor)
    assert time.waits == waits


async def test_a_long_gap_is_shortened() -> None:
    time, heard = FakeTime(), Heard()
    await player_of([0, 1, 8000], time).run(heard.monitor)
    assert sum(time.waits) == pytest.approx(1 + LONGEST_GAP_SECONDS)


async def test_a_clock_that_went_back_does_not_stop_the_replay() -> None:
    time, heard = FakeTime(), Heard()
    await player_of([100, 101, 50, 51], time).run(heard.monitor)
    assert heard.seconds == [100, 101, 50, 51]
    assert time.waits == [1, 1]


async def test_speed_doubles_and_halves_between_a_quarter_and_64() -> None:
    player = player_of([0], FakeTime())
    player.faster()
    assert player.speed == 2
    for _ in range(9):
        player.faster()
    assert player.speed == 64
    for _ in range(12):
        player.slower()
    assert player.speed == 0.25


async def test_a_change_of_speed_holds_from_where_it_is() -> None:
    time, heard = FakeTime(), Heard()
    player = player_of([0, 1, 2, 3], time)
    heard.monitor.listen(lambda sample: player.faster() if sample.time == START + 1 else None)
    await player.run(heard.monitor)
    assert time.waits == [1, 0.5, 0.5]


async def test_paused_it_stands_still_until_resumed() -> None:
    time, heard = FakeTime(), Heard()
    player = player_of([0, 1, 2], time)
    player.pause()
    async with playing(player, heard):
        await settle()
        assert player.paused
        assert heard.seconds == [0], "the first moment is shown"
        player.resume()
        await heard.until(2)
    assert not player.paused


async def test_a_step_feeds_all_samples_of_the_next_second_and_pauses() -> None:
    time, heard = FakeTime(), Heard()
    player = player_of([0, 0.125, 0.875, 1.25, 1.375, 2], time)
    player.step()
    async with playing(player, heard):
        await settle()
        assert heard.seconds == [0, 0.125, 0.875]
        player.step()
        await settle()
        assert heard.seconds == [0, 0.125, 0.875, 1.25, 1.375]
    assert player.paused


async def test_seeking_forward_feeds_what_lies_between_without_waiting() -> None:
    time, heard = FakeTime(), Heard()
    player = player_of([0, 10, 20, 30], time)
    player.pause()
    async with playing(player, heard):
        player.seek(START + 25)
        await heard.until(20)
        await settle()
    assert heard.seconds == [0, 10, 20]
    assert time.waits == []
    assert player.position == START + 20


async def test_seeking_back_forgets_and_feeds_from_the_start() -> None:
    time, heard = FakeTime(), Heard()
    player = player_of([0, 1, 2, 3], time, hold=True)
    async with playing(player, heard):
        await heard.until(3)
        heard.seconds.clear()
        player.pause()
        player.seek(START + 1)
        await heard.until(1)
        await settle()
    assert heard.seconds == [0, 1]
    assert heard.monitor.state.now == START + 1, "the monitor knows nothing of the time after"
    assert not player.ended


async def test_seeking_is_relative_to_the_position() -> None:
    time, heard = FakeTime(), Heard()
    player = player_of([0, 10, 20, 30], time, hold=True)
    async with playing(player, heard):
        await heard.until(30)
        player.pause()
        player.seek_by(-15)
        player.seek_by(-5)
        await settle()
    assert player.position == START + 10, "two seeks add up"


async def test_a_seek_during_a_seek_counts_from_where_that_one_goes() -> None:
    time, heard = FakeTime(), Heard()
    player = player_of([float(second) for second in range(1000)], time, hold=True)
    player.seek(START + 900)
    heard.monitor.listen(lambda sample: player.seek_by(-100) if sample.time == START + 150 else None)
    player.pause()
    async with playing(player, heard):
        await time.standing.wait()
    assert player.position == START + 800


async def test_seeking_before_the_start_is_the_start() -> None:
    time, heard = FakeTime(), Heard()
    player = player_of([0, 1, 2], time, hold=True)
    async with playing(player, heard):
        await heard.until(2)
        player.pause()
        player.seek(START - 500)
        await settle()
    assert player.position == START


async def test_it_opens_at_a_time_with_the_samples_before_it_fed() -> None:
    time, heard = FakeTime(), Heard()
    samples: list[AnySample] = [system_at(second) for second in range(10)]
    player = Player(lambda: samples, open_at=START + 7, wait=time.wait, elapsed=time.elapsed)
    await player.run(heard.monitor)
    assert heard.seconds == list(range(10))
    assert time.waits == [1, 1]


async def test_start_and_end_are_told() -> None:
    time, heard = FakeTime(), Heard()
    player = player_of([3, 4], time)
    assert not player.ended
    await player.run(heard.monitor)
    assert player.start == START + 3
    assert player.ended


async def test_a_player_that_was_held_up_lets_the_lost_time_go() -> None:
    time, heard = FakeTime(), Heard()
    player = player_of([0, 1, 2, 3], time)

    def hold_up(sample: AnySample) -> None:
        if sample.time == START + 1:
            time.now += 100

    heard.monitor.listen(hold_up)
    await player.run(heard.monitor)
    assert time.waits == [1, 1], "after the hold-up it goes on at its own pace"


async def test_without_samples_it_ends_at_once() -> None:
    player = player_of([], FakeTime())
    await player.run(Heard().monitor)
    assert player.start is None
    assert player.position is None


async def test_the_real_wait_ends_early_when_a_control_is_used() -> None:
    changed = asyncio.Event()
    changed.set()
    async with asyncio.timeout(5):
        await wait_for_change(changed, float("inf"))
        await wait_for_change(changed, 3600)


async def test_the_real_wait_ends_by_itself() -> None:
    async with asyncio.timeout(5):
        await wait_for_change(asyncio.Event(), 0.001)


async def arrived(player: Player) -> None:
    """Return once a player is where it was to go."""
    await settle()
    while player._target is not None or player._wants_event:
        await settle()


class Opened:
    """Samples of some hours, and how many of them were asked for since the last opening."""

    def __init__(self, seconds: int) -> None:
        self.samples: list[AnySample] = [system_at(second) for second in range(seconds)]
        self.times = 0

    def __call__(self) -> list[AnySample]:
        self.times += 1
        return self.samples


async def test_a_seek_back_feeds_no_more_than_lies_between_two_stops() -> None:
    time, heard, opened = FakeTime(), Heard(), Opened(6 * STOP_SAMPLES)
    player = Player(opened, hold_at_end=True, wait=time.wait, elapsed=time.elapsed)
    player.seek(START + 6 * STOP_SAMPLES)
    async with playing(player, heard):
        await arrived(player)
        for second in (5500, 3210, 999, 5999, 17):
            heard.seconds.clear()
            player.pause()
            player.seek(START + second)
            await arrived(player)
            assert len(heard.seconds) <= STOP_SAMPLES
            assert heard.monitor.state.now == START + second


async def test_what_is_known_at_a_stop_is_what_was_known_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpumon.app.feeds.reels.STOP_SAMPLES", 100)
    samples = list(takewhile(lambda one: one.time < START + 400, scenario_named("spill").samples(START)))
    time, heard, straight = FakeTime(), Heard(), Heard()
    player = Player(lambda: samples, hold_at_end=True, wait=time.wait, elapsed=time.elapsed)
    player.seek(START + 500)
    async with playing(player, heard):
        await arrived(player)
        player.pause()
        player.seek(START + 330)
        await arrived(player)
    for sample in takewhile(lambda one: one.time <= START + 330, samples):
        straight.monitor.feed(sample)
    assert build_snapshot(heard.monitor.pictures) == build_snapshot(straight.monitor.pictures)


async def test_stops_of_a_run_begin_with_it_where_a_recording_was_continued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gpumon.app.feeds.reels.STOP_SAMPLES", 3)
    items: list[AnySample | Header] = [*map(system_at, range(5)), Header(), *map(system_at, range(5, 12))]
    time, heard = FakeTime(), Heard()
    player = Player(lambda: items, hold_at_end=True, wait=time.wait, elapsed=time.elapsed)
    player.seek(START + 12)
    async with playing(player, heard):
        await arrived(player)
        player.pause()
        for second, began in ((10, 5), (4, 0), (6, 5), (5, 5)):
            player.seek(START + second)
            await arrived(player)
            assert heard.monitor.state.now == START + second
            assert heard.monitor.state.began == START + began


async def test_the_next_event_is_played_up_to() -> None:
    samples = list(takewhile(lambda one: one.time < START + 400, scenario_named("spill").samples(START)))
    time, heard = FakeTime(), Heard()
    player = Player(lambda: samples, hold_at_end=True, wait=time.wait, elapsed=time.elapsed)
    player.pause()
    async with playing(player, heard):
        seconds = []
        while not player.ended:
            player.seek_event()
            await arrived(player)
            seconds.append((player.position or 0.0) - START)
    assert sorted(set(seconds)) == [310, 317, 399]
