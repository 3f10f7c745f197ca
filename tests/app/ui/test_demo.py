"""What a stranger can do in a demonstration: unload, look whether a model fits, copy the cure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.app.ui.screen import START, dashboard, text
from tests.fakes.playing import HandTime
from textual.pilot import Pilot

from gpumon.app.config.settings import Settings
from gpumon.app.feeds.demo import DemoFeed
from gpumon.app.monitor import Monitor
from gpumon.app.session.build import session_of_demo
from gpumon.app.ui import notices
from gpumon.app.ui.app import GpumonApp
from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.hints import HintBar
from gpumon.widgets.kit.lines import plain_text


class Demo:
    """A demonstration of which the time is in a test's hand."""

    def __init__(self, pilot: Pilot[int], time: HandTime) -> None:
        self.pilot = pilot
        self._time = time
        self.monitor: Monitor = pilot.app.session.monitor  # type: ignore[attr-defined]

    async def at(self, seconds: float) -> str:
        """Let ``seconds`` pass and return the screen."""
        await self._time.pass_by(seconds)
        self.pilot.app._draw()  # type: ignore[attr-defined]  # not at the pace of a real clock
        return await text(self.pilot)

    async def press(self, *keys: str) -> str:
        """Press keys and return the screen."""
        await self.pilot.press(*keys)
        return await text(self.pilot)

    def told(self) -> str:
        """Return the notice in the line of the hints of the screen in front; nothing where the hints are."""
        return plain_text(self.pilot.app.screen.query_one(HintBar)._notice)


@pytest.fixture(autouse=True)
def _notices_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a notice stay until the next: time is in the test's hand, but for that of notices."""
    monkeypatch.setattr(notices, "NOTICE_SECONDS", 600.0)


@asynccontextmanager
async def demo(name: str, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Demo]:
    time = HandTime()
    feed = DemoFeed(name, START, wait=time.wait, elapsed=time.elapsed)
    app = GpumonApp(session_of_demo(Settings(), feed), UNICODE)
    async with app.run_test(size=size, notifications=True) as pilot, asyncio.timeout(60):
        await time.settle()
        yield Demo(pilot, time)


async def test_a_model_is_unloaded_after_a_question_and_its_memory_comes_back() -> None:
    async with demo("fits") as playing:
        assert "llama3.2:3b" in await playing.at(1)
        question = await playing.press("u")
        assert "Unload this model?" in question
        await playing.press("y")
        assert "asked 127.0.0.1:11434 to unload llama3.2:3b" in playing.told()
        screen = await playing.at(4)
        assert "llama3.2:3b is unloaded: 2.4 GiB of VRAM came back" in playing.told()
    assert "left 2s ago, unloaded by you" in screen


async def test_a_model_at_work_ends_its_request_first() -> None:
    async with demo("spill") as playing:
        await playing.at(30)
        await playing.press("u", "y")
        assert "qwen2.5-coder:14b" in await playing.at(4)
        await playing.at(5)
        assert "qwen2.5-coder:14b is unloaded: 9.2 GiB of VRAM came back" in playing.told()


async def test_a_load_that_will_not_fit_is_given_up_after_a_question() -> None:
    async with demo("70b") as playing:
        assert "LOADING  llama3.3:70b · will not fit" in await playing.at(14)
        question = await playing.press("up", "u")
        assert "once the request that it loads for has ended" in question
        await playing.press("y")
        assert "asked 127.0.0.1:11434 to unload llama3.3:70b" in playing.told()
        screen = await playing.at(8)
        assert "llama3.3:70b is unloaded" in playing.told()
    assert "LOADING" not in screen


async def test_the_story_goes_on_and_loads_again_what_was_unloaded() -> None:
    async with demo("spill") as playing:
        await playing.at(30)
        await playing.press("u", "y")
        await playing.at(12)
        assert "no model loaded" in (await playing.at(20)).splitlines()[0]
        assert "1 model on GPU" in (await playing.at(65)).splitlines()[0]


async def test_whoever_does_not_confirm_unloads_nothing() -> None:
    async with demo("fits") as playing:
        await playing.at(1)
        await playing.press("u", "n")
        assert "llama3.2:3b" in await playing.at(4)
        assert playing.told() == ""


async def test_the_command_that_helps_is_copied() -> None:
    async with demo("spill") as playing:
        await playing.at(30)
        await playing.press("y")
        assert "/set parameter num_ctx 6400" in playing.told()
        assert playing.pilot.app.clipboard == "/set parameter num_ctx 6400"


async def test_every_installed_model_is_said_to_fit_or_not_by_what_its_file_holds() -> None:
    async with demo("fits") as playing:
        await playing.at(1)
        await playing.press("f", "slash", *"70b", "enter")
        screen = await playing.press("enter")
        assert "does not fit: needs" in screen
        assert "estimate)" not in screen, "the weights are those of the file"


async def test_the_next_scenario_begins_at_its_opening_and_its_name_is_in_the_mark() -> None:
    async with demo("fits") as playing:
        await playing.at(20)
        await playing.press("}")
        screen = await playing.at(1)
        assert "DEMO spill" in screen
        assert "RTX 4070" in screen
        assert "RTX 4090" not in screen
        assert "llama3.2:3b" not in screen
        assert "spill" in (await playing.at(25)).splitlines()[0], "its story goes on from there"


async def test_the_scenarios_go_round_both_ways() -> None:
    async with demo("fits") as playing:
        await playing.press("{")
        assert "DEMO pictures" in await playing.at(1)
        await playing.press("}")
        assert "DEMO fits" in await playing.at(1)


async def test_keys_that_come_faster_than_a_scenario_opens_leave_the_last_one() -> None:
    async with demo("fits") as playing:
        await playing.press("}", "}", "}")
        screen = await playing.at(2)
        assert "DEMO 70b" in screen
        assert "llama3.1:8b" in screen
        assert "qwen2.5-coder" not in screen


async def test_another_scenario_knows_nothing_of_the_one_before() -> None:
    async with demo("spill") as playing:
        await playing.at(30)
        state = playing.monitor.state
        assert playing.monitor.alerts.recent or playing.monitor.alerts.active
        await playing.press("slash", *"coder", "enter", "u", "y")
        await playing.press("{")
        screen = await playing.at(2)
        assert "coder" not in screen
        assert "llama3.2:3b" in screen, "the filter has gone as well"
        assert playing.monitor.state is not state
        assert not playing.monitor.alerts.recent
        assert not playing.monitor.alerts.active
        assert playing.told() == ""


async def test_it_leaves_the_page_of_a_model_that_is_no_more() -> None:
    async with demo("spill") as playing:
        await playing.press("enter")
        assert "Esc back" in await playing.at(1)
        await playing.press("}")
        screen = await playing.at(1)
        assert "DEMO evict" in screen
        assert "Esc back" not in screen


async def test_a_paused_demonstration_goes_on_with_the_next_scenario() -> None:
    async with demo("fits") as playing:
        await playing.press("space")
        assert "PAUSED" in await text(playing.pilot)
        await playing.press("}")
        assert "PAUSED" not in await playing.at(1)


async def test_the_keys_for_scenarios_are_explained_in_the_demo_and_nowhere_else() -> None:
    async with demo("fits", size=(200, 50)) as playing:
        assert "} next scenario" in await playing.at(1)
        await playing.press("?", "end")
        assert "next scenario, from its beginning" in await text(playing.pilot)
    async with dashboard().run_test(size=(200, 50)) as pilot:
        assert "scenario" not in await text(pilot)
        await pilot.press("}", "?", "end")
        assert "scenario" not in await text(pilot)


async def test_a_scenario_is_found_by_its_name_and_played() -> None:
    async with demo("fits") as playing:
        await playing.at(1)
        offered = await playing.press("colon", *"gpu-lost")
        assert "Scenario gpu-lost: " in offered
        await playing.press("enter")
        assert "DEMO gpu-lost" in await playing.at(1)
        await playing.press("colon", *"scenario", "space", *"fits", "enter")
        assert "DEMO fits" in await playing.at(1), "and back, from wherever one is"


async def test_the_keys_for_scenarios_are_found_by_their_words() -> None:
    async with demo("fits") as playing:
        await playing.press("colon", *"next", "space", *"scenario")
        screen = await text(playing.pilot)
        assert next(line for line in screen.splitlines() if "Next scenario" in line).split()[-1] == "}"
        await playing.press("enter")
        assert "DEMO spill" in await playing.at(1)
    async with dashboard().run_test(size=(120, 40)) as pilot:
        await pilot.press("colon", *"scenario")
        assert "nothing matches" in await text(pilot)


async def test_the_next_scenario_is_a_click_away() -> None:
    async with demo("fits") as playing:
        column = last_line(await playing.at(60)).index("} next scenario")
        await playing.pilot.click(HintBar, offset=(column + 3, 0))
        assert "DEMO spill" in await playing.at(1)


async def test_a_card_that_slows_itself_down_is_told_once_with_what_it_costs() -> None:
    async with demo("throttle") as playing:
        await playing.at(1)
        screen = await playing.at(33)
    band = "THROTTLED  GPU 0 · thermal slowdown (software) · 28 tok/s instead of 39 tok/s · for 6s"
    assert band in screen.splitlines()[0]
    assert screen.count("instead of") == 1 + sum("slower" in line for line in screen.splitlines())
    assert "is held back by" not in screen


def last_line(screen: str) -> str:
    return screen.splitlines()[-1]


async def test_a_caption_says_what_to_look_at_beside_the_keys_that_still_fit() -> None:
    async with demo("spill") as playing:
        line = last_line(await playing.at(20))
        assert line.startswith(" ▸ now it is too large: 5.5 GiB of it run from RAM")
        assert "? help" in line
        assert "Enter" in line


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (40, 12)])
async def test_in_a_narrow_pane_a_caption_leaves_the_key_for_help(size: tuple[int, int]) -> None:
    async with demo("spill", size) as playing:
        line = last_line(await playing.at(29))
    assert line.startswith(" ▸ 45 tokens a second have")
    assert "? help" in line
    words = line.partition("▸ ")[2].partition("  ")[0].rstrip("…")
    assert "45 tokens a second have become 7: the GPU waits for the CPU ".startswith(f"{words} "), (
        "whole words"
    )


async def test_between_captions_the_keys_are_all_there() -> None:
    async with demo("spill", (80, 24)) as playing:
        line = last_line(await playing.at(52))
    assert "▸" not in line
    assert line.startswith(" ? help")


async def test_a_caption_comes_with_the_time_that_was_sought() -> None:
    async with demo("spill") as playing:
        await playing.at(2)
        await playing.press(";", ";", ";")
        assert "45 tokens a second have become 7" in last_line(await playing.at(1))


async def test_a_caption_comes_before_the_switch_of_a_hidden_panel() -> None:
    async with demo("spill", (80, 24)) as playing:
        await playing.press("4")
        line = last_line(await playing.at(29))
        assert line.startswith(" ▸ 45 tokens a second have become 7")
        assert last_line(await playing.at(23)).endswith("4 ram"), "which comes again after it"
