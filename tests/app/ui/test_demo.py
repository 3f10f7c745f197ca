"""What a stranger can do in a demonstration: unload, look whether a model fits, copy the cure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.app.ui.screen import START, text
from tests.fakes.playing import HandTime
from textual.pilot import Pilot

from gpumon.app.config.settings import Settings
from gpumon.app.feeds.demo import DemoFeed
from gpumon.app.session.build import session_of_demo
from gpumon.app.ui.app import GpumonApp
from gpumon.widgets.glyphs import UNICODE


class Demo:
    """A demonstration of which the time is in a test's hand."""

    def __init__(self, pilot: Pilot[int], time: HandTime) -> None:
        self.pilot = pilot
        self._time = time

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
        """Return the notices, on one line."""
        return " ".join(notice.message for notice in self.pilot.app._notifications)


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
        screen = await playing.at(4)
        assert "asked 127.0.0.1:11434 to unload llama3.2:3b" in playing.told()
        assert "llama3.2:3b is unloaded: 2.4 GiB of VRAM came back" in playing.told()
    assert "no model is loaded" in screen or "qwen3:14b" in screen


async def test_a_model_at_work_ends_its_request_first() -> None:
    async with demo("spill") as playing:
        await playing.at(30)
        await playing.press("u", "y")
        assert "qwen2.5-coder:14b" in await playing.at(4)
        await playing.at(5)
        assert "qwen2.5-coder:14b is unloaded: 9.2 GiB of VRAM came back" in playing.told()


async def test_the_story_goes_on_and_loads_again_what_was_unloaded() -> None:
    async with demo("spill") as playing:
        await playing.at(30)
        await playing.press("u", "y")
        await playing.at(12)
        assert "no model is loaded" in await playing.at(20)
        assert "qwen2.5-coder:14b" in await playing.at(65)


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
