"""Quick fingers and sizes that no pane should have: nothing ends the program but a key that says so."""

from __future__ import annotations

import pytest
from tests.app.ui.screen import dashboard, scenario, text

from gpumon.app.demo.story import PRELUDE_SECONDS

SPILLED = scenario("spill", PRELUDE_SECONDS + 70)
SIZES = [(5, 40), (2, 5), (100, 80), (1, 15), (1, 1), (200, 2), (120, 40)]

SCREENS: dict[str, tuple[str, ...]] = {
    "dashboard": (),
    "model": ("enter",),
    "gpu": ("g", "enter"),
    "filter": ("slash",),
    "installed": ("f",),
    "fit": ("f", "enter"),
    "help": ("question_mark",),
    "palette": ("colon",),
    "notice": ("u",),
}
EVERY_SCREEN = pytest.mark.parametrize("keys", SCREENS.values(), ids=SCREENS)


@EVERY_SCREEN
async def test_every_screen_outlives_every_size(keys: tuple[str, ...]) -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press(*keys)
        before = await text(pilot)
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert len(await text(pilot)) == len(before)


@pytest.mark.parametrize("name", ["model", "installed", "fit", "help", "palette"])
async def test_leaving_twice_at_once_leaves_once(name: str) -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(*SCREENS[name])
        *below, in_front = app.screen_stack
        in_front.dismiss()
        in_front.dismiss()
        await pilot.pause()
        assert app.screen_stack == below


@pytest.mark.parametrize("key", ["pagedown", "pageup", "down", "up", "enter", "home", "end", "escape"])
async def test_a_key_right_after_the_palette_was_asked_for_is_survived(key: str) -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_command_palette()
        app.simulate_key(key)
        await pilot.pause()
        await pilot.press("escape", "escape")
        assert "Models" in await text(pilot)


async def test_nothing_but_the_filters_box_fits_into_one_line() -> None:
    async with dashboard(SPILLED).run_test(size=(40, 1)) as pilot:
        await pilot.press("slash", *"abc")
        await pilot.resize_terminal(80, 24)
        assert "abc" in await text(pilot)


async def test_a_screen_behind_another_does_not_take_that_from_the_stack() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "colon")
        stack = app.screen_stack
        stack[1].dismiss()
        await pilot.pause()
        assert app.screen_stack == stack
