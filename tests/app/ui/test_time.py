"""Back in time with the whole screen, and back to now; the same keys in a recording."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.app.ui.screen import START, dashboard, scenario, text
from tests.app.ui.test_looks import check, utc
from textual.pilot import Pilot

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.feeds.player import Player
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.screens.page import Page
from gpumon.collectors.samples import AnySample
from gpumon.widgets.event_feed import EventFeed
from gpumon.widgets.glyphs import ASCII
from gpumon.widgets.hints import HintBar
from gpumon.widgets.kit.lines import plain_text
from gpumon.widgets.live_chart import LiveCharts

__all__ = ["utc"]

STORY = scenario("spill", PRELUDE_SECONDS + 130)
"""The model spills 17 s after the prelude, and is well again 102 s later."""
WELL = scenario("spill", PRELUDE_SECONDS + 5)
MARK = re.compile(r"(\d+ (?:s|min) ago · \d\d:\d\d:\d\d)")


@asynccontextmanager
async def looking(
    samples: list[AnySample] = STORY, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[Pilot[int]]:
    async with dashboard(samples).run_test(size=size, notifications=True) as pilot:
        yield pilot


async def press(pilot: Pilot[int], *keys: str) -> str:
    await pilot.press(*keys)
    return await text(pilot)


def mark(screen: str) -> str:
    """Return the mark of the band; empty where it is now."""
    found = MARK.search(screen.splitlines()[0] + screen.splitlines()[1])
    return found.group(1) if found else ""


def told(pilot: Pilot[int]) -> str:
    return plain_text(pilot.app.screen.query_one(HintBar)._notice)


def app_of(pilot: Pilot[int]) -> GpumonApp:
    assert isinstance(pilot.app, GpumonApp)
    return pilot.app


class TestKeys:
    async def test_the_arrows_go_a_second_and_with_shift_a_minute(self) -> None:
        async with looking() as pilot:
            assert mark(await text(pilot)) == ""
            assert mark(await press(pilot, "left", "left")) == "2 s ago · 14:20:27"
            assert mark(await press(pilot, "shift+left")) == "1 min ago · 14:19:27"
            assert mark(await press(pilot, "right")) == "1 min ago · 14:19:28"
            assert mark(await press(pilot, "shift+right", "shift+right")) == ""

    async def test_verdict_rows_charts_and_events_are_those_of_the_instant(self) -> None:
        async with looking() as pilot:
            now = await text(pilot)
            assert "SPILLED" not in now
            then = await press(pilot, "shift+left")
            assert "SPILLED" in then.splitlines()[0]
            assert "9.1+5.5" in then
            assert "10.5 GiB + 5.5 in RAM" in then
            assert "ongoing 52s" in then

    async def test_a_page_goes_along_and_comes_back(self) -> None:
        async with looking() as pilot:
            await press(pilot, "shift+left", "enter")
            assert isinstance(pilot.app.screen, Page)
            page = await text(pilot)
            assert mark(page)
            assert "38% in RAM" in page
            assert "38% in RAM" not in await press(pilot, "escape")
            assert isinstance(pilot.app.screen, Page), "the first leaves the past, the second the page"
            await press(pilot, "escape")
            assert not isinstance(pilot.app.screen, Page)

    async def test_from_event_to_event(self) -> None:
        async with looking() as pilot:
            assert "context 6400, wholly on GPU again" in await press(pilot, "left_square_bracket")
            before = await press(pilot, "left_square_bracket", "left_square_bracket")
            assert "ongoing 0s" in before
            assert mark(await press(pilot, *["right_square_bracket"] * 3)) == ""

    async def test_home_is_the_oldest_and_says_so_end_is_now(self) -> None:
        async with looking() as pilot:
            assert mark(await press(pilot, "home")) == "7 min ago · 14:13:20"
            assert told(pilot) == " no further: watching since 14:13:20"
            assert mark(await press(pilot, "end")) == ""

    @pytest.mark.parametrize("key", ["escape", "x", "f9", "space", "end"])
    async def test_other_keys_go_back_to_now(self, key: str) -> None:
        async with looking() as pilot:
            assert mark(await press(pilot, "left"))
            screen = await press(pilot, key)
            assert mark(screen) == ""
            assert "PAUSED" not in screen

    async def test_keys_that_choose_what_is_seen_stay_in_the_past(self) -> None:
        async with looking() as pilot:
            assert mark(await press(pilot, "left", "j", "c", "w", "s", "4"))

    async def test_a_screen_that_stands_still_moves_nevertheless(self) -> None:
        async with looking() as pilot:
            assert "PAUSED" in await press(pilot, "space")
            screen = await press(pilot, "shift+left")
            assert mark(screen)
            assert "SPILLED" in screen


class TestWhatIsOfNow:
    @pytest.mark.parametrize("key", ["u", "y", "a", "f"])
    async def test_nothing_is_done_to_the_past(self, key: str) -> None:
        async with looking() as pilot:
            await press(pilot, "shift+left", key)
            assert told(pilot) == " ▲ not here: now is 1 min later; End goes there"
            assert len(pilot.app.screen_stack) == 1

    async def test_no_key_is_named_that_is_refused(self) -> None:
        async with looking() as pilot:
            screen = await press(pilot, "shift+left")
            assert "y copy" not in screen
            assert screen.splitlines()[-1].startswith(" End now  ? help  [ event before  ] next")

    async def test_an_alarm_of_now_is_told(self) -> None:
        async with looking(WELL) as pilot:
            await press(pilot, "left")
            monitor = app_of(pilot).session.monitor
            for sample in STORY[len(WELL) :]:
                if sample.time < START + PRELUDE_SECONDS + 20:
                    monitor.feed(sample)
            assert told(pilot).startswith(" ▲ now: qwen2.5-coder:14b")
            assert "SPILLED" not in (await text(pilot)).splitlines()[0]

    async def test_samples_are_taken_in_meanwhile_and_the_mark_counts_them(self) -> None:
        async with looking(WELL) as pilot:
            await press(pilot, "left")
            for sample in STORY[len(WELL) :]:
                app_of(pilot).session.monitor.feed(sample)
            app_of(pilot)._draw()
            assert mark(await text(pilot)) == "2 min ago · 14:18:23"
            assert "Events" in await press(pilot, "end")


class TestMouse:
    async def test_a_click_on_a_chart_goes_there(self) -> None:
        async with looking() as pilot:
            chart = pilot.app.screen.query_one(LiveCharts)
            lines = [plain_text(line) for line in chart.lines_for(120, chart.size.height)]
            await pilot.click(LiveCharts, offset=(lines[-1].index("▲reload") + 4, 4))
            screen = await text(pilot)
            assert mark(screen)
            assert "SPILLED" in screen or "LOADING" in screen

    async def test_a_click_on_an_event_goes_there_and_the_second_opens_it(self) -> None:
        async with looking() as pilot:
            rows = (await text(pilot)).splitlines()
            events = next(at for at, line in enumerate(rows) if "─ Events" in line)
            spilled = next(at for at, line in enumerate(rows) if "spilled:" in line)
            await pilot.click(EventFeed, offset=(30, spilled - events))
            screen = await text(pilot)
            assert mark(screen)
            assert "ongoing 0s" in screen
            again = next(at for at, line in enumerate(screen.splitlines()) if "spilled:" in line)
            events = next(at for at, line in enumerate(screen.splitlines()) if "─ Events" in line)
            await pilot.click(EventFeed, offset=(30, again - events))
            await pilot.pause()
            assert isinstance(pilot.app.screen, Page)


class TestLooks:
    @pytest.mark.usefixtures("utc")
    @pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 12)], ids=lambda size: f"{size[0]}x{size[1]}")
    async def test_the_past_looks_as_kept(self, size: tuple[int, int]) -> None:
        async with looking(size=size) as pilot:
            check(f"past-{size[0]}x{size[1]}", await press(pilot, "shift+left"))

    async def test_it_is_ascii_where_that_is_wanted(self) -> None:
        async with dashboard(STORY, glyphs=ASCII).run_test(size=(100, 30), notifications=True) as pilot:
            screen = await press(pilot, "shift+left")
            assert screen.isascii()
            assert "1 min ago | 14:19:29" in screen

    @pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
    async def test_the_mark_is_there_at_any_width(self, width: int) -> None:
        async with looking(size=(width, 24)) as pilot:
            assert mark(await press(pilot, "shift+left"))


class TestRecording:
    """Moves the player; that it gets there is told in the tests of the player."""

    @staticmethod
    def player() -> Player:
        return Player(lambda: iter(STORY), hold_at_end=True, end=STORY[-1].time)

    @pytest.mark.parametrize(
        ("keys", "second"),
        [
            (("end", "left"), 428),
            (("end", "shift+left"), 369),
            (("end", "left_square_bracket"), 419),
            (("home", "right_square_bracket"), 310),
            (("end", "home"), 0),
        ],
    )
    async def test_the_same_keys_move_it(self, keys: tuple[str, ...], second: int) -> None:
        player = self.player()
        player.pause()
        async with dashboard(player=player).run_test(size=(120, 40)) as pilot:
            app_of(pilot).session.monitor.reset()
            runner = pilot.app.run_worker(player.run(app_of(pilot).session.monitor))
            for key in keys:
                await pilot.press(key)
                await self.arrive(pilot, player)
            runner.cancel()
            assert player.position is not None
            assert round(player.position - START) == second

    @staticmethod
    async def arrive(pilot: Pilot[int], player: Player) -> None:
        while player._target is not None or player._wants_event:
            await pilot.pause()
        await pilot.pause()

    async def test_plus_and_minus_are_its_speed(self) -> None:
        player = self.player()
        async with dashboard(player=player).run_test(size=(120, 40)) as pilot:
            await pilot.press("+", "+", "-")
            assert player.speed == 2
