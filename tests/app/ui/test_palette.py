"""The command palette offers what the keys do, and nothing that leads elsewhere."""

from __future__ import annotations

from tests.app.ui.screen import dashboard, text

from gpumon.app.feeds.player import Player
from gpumon.app.ui.app import GpumonApp
from gpumon.widgets.tables import ChoicePanel


def offered(app: GpumonApp) -> dict[str, str]:
    return {command.title: command.help for command in app.get_system_commands(app.screen)}


async def test_the_palette_offers_the_keys_of_the_screen_by_their_words() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)):
        commands = offered(app)
    assert commands["Acknowledge the alerts"] == "key a"
    assert commands["Unload the model, after a question"] == "key u"
    assert commands["Quit"] == "key q"


async def test_the_keys_of_a_player_are_offered_where_something_is_played() -> None:
    app = dashboard(player=Player(lambda: iter(())))
    async with app.run_test(size=(80, 24)):
        assert "A minute back" in offered(app)
    live = dashboard()
    async with live.run_test(size=(80, 24)):
        assert "A minute back" not in offered(live)


async def test_the_palette_offers_every_theme_and_no_panel_of_textuals_own() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)):
        commands = offered(app)
    assert "Theme" in commands
    assert not commands.keys() & {"Keys", "Screenshot", "Maximize"}


async def test_letters_narrow_the_palette_and_enter_does_what_is_chosen() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"freeze", "enter")
        await pilot.pause()
        assert app.session.choices.paused


async def test_the_words_of_a_search_may_stand_in_any_order() -> None:
    async with dashboard().run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"models", "space", *"sort")
        screen = await text(pilot)
    assert "Sort models by trouble" in screen
    assert "Quit" not in screen


async def test_a_search_that_finds_nothing_says_so_and_enter_does_nothing() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"xyz", "enter")
        assert "nothing matches" in await text(pilot)
        await pilot.press("escape")
        assert "nothing matches" not in await text(pilot)
        assert app.return_code is None


async def test_a_theme_is_chosen_by_its_name() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"theme", "enter")
        await pilot.pause()
        await pilot.press(*"nord", "enter")
        await pilot.pause()
        assert app.theme == "nord"


async def test_a_click_chooses_a_row_and_one_beside_the_list_closes_it() -> None:
    app = dashboard()
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.press("colon", *"freeze")
        await pilot.click(ChoicePanel, offset=(5, 1))
        await pilot.pause()
        assert app.session.choices.paused
        await pilot.press("colon")
        await pilot.click(offset=(1, 20))
        await pilot.pause()
        assert len(app.screen_stack) == 1


async def test_the_palette_is_offered_once() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p", "ctrl+p")
        await pilot.pause()
        assert len(app.screen_stack) == 2
