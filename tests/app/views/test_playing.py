"""Where a replay is, in words."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.samples import START, system

from gpumon.app.alerts.limits import Limits
from gpumon.app.feeds.player import Player
from gpumon.app.monitor import Monitor
from gpumon.app.views.page import play_hints, play_time


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00"), (42.9, "0:42"), (750, "12:30"), (3723, "1:02:03"), (-1, "0:00")]
)
def test_times_are_written_as_players_do(seconds: float, words: str) -> None:
    assert play_time(seconds) == words


async def played(end: float | None, *, to: float) -> Player:
    samples = [system(at) for at in range(0, 760, 10)]
    player = Player(lambda: iter(samples), end=end, open_at=START + to, hold_at_end=False)
    player.pause()
    monitor, there = Monitor(Limits()), asyncio.Event()
    monitor.listen(lambda sample: there.set() if sample.time >= START + to else None)
    task = asyncio.ensure_future(player.run(monitor))
    await there.wait()
    task.cancel()
    return player


async def test_position_and_length_are_told_with_how_it_is_played() -> None:
    player = await played(START + 750, to=40)
    assert play_hints(player) == (("0:40 / 12:30", "paused"),)
    player.resume()
    player.faster()
    assert play_hints(player) == (("0:40 / 12:30", "2x"),)


async def test_a_demonstration_has_no_end_and_no_position() -> None:
    assert play_hints(await played(None, to=40)) == ()


def test_a_live_session_has_neither() -> None:
    assert play_hints(None) == ()
