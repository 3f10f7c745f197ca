"""The command palette offers what the keys do, and nothing that leads elsewhere."""

from __future__ import annotations

from tests.app.ui.screen import dashboard, scenario, text

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.feeds.player import Player
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.screens.palette import matching, offers
from gpumon.widgets.tables import ChoicePanel
from gpumon.widgets.views import ChoiceRow

SPILLED = scenario("spill", PRELUDE_SECONDS + 70)


def offered(app: GpumonApp) -> dict[str, str]:
    return {offer.row.title: offer.row.note for offer in offers(app, app.session).values()}


async def test_the_palette_offers_the_keys_of_the_screen_by_their_words() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(80, 24)):
        commands = offered(app)
    assert commands["Acknowledge the alerts"] == "a"
    assert commands["Move between GPUs, models and events"] == "Tab"
    assert commands["Quit"] == "q"
    assert "Next row" not in commands, "that is nearer by its key"
    assert next(iter(commands)) == "Page of the selected model or GPU, or of what an event is about"


async def test_what_a_key_cannot_do_now_is_not_offered() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(80, 24)):
        assert "Unload the model, after a question" not in offered(app), "a recording is not asked"


async def test_models_and_gpus_are_found_by_name() -> None:
    async with dashboard(SPILLED).run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"4070")
        screen = await text(pilot)
        assert "GPU 0 RTX 4070" in screen
        await pilot.press("enter")
        assert "GPU 0" in (await text(pilot)).splitlines()[0]
        await pilot.press("colon", *"coder", "enter")
        assert "qwen2.5-coder:14b" in (await text(pilot)).splitlines()[0]
        assert len(pilot.app.screen_stack) == 2, "as from the dashboard"


async def test_one_line_each_with_its_key_at_the_right() -> None:
    async with dashboard(SPILLED).run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", *"acknowledge")
        line = next(line for line in (await text(pilot)).splitlines() if "Acknowledge" in line)
    assert line.split() == ["▌", "Acknowledge", "the", "alerts", "a"]
    assert len(line) > 70


async def test_what_begins_with_the_letters_stands_before_what_contains_them() -> None:
    rows = [ChoiceRow(title, title) for title in ("Repaint", "Freeze the screen", "Page of a GPU")]
    assert [row.title for row in matching(rows, ["pa"])] == ["Page of a GPU", "Repaint"]


async def test_the_keys_of_a_player_are_offered_where_something_is_played() -> None:
    app = dashboard(player=Player(lambda: iter(())))
    async with app.run_test(size=(80, 24)):
        assert "Ten seconds back" in offered(app)
    live = dashboard()
    async with live.run_test(size=(80, 24)):
        assert "Ten seconds back" not in offered(live)


async def test_the_palette_offers_every_theme_and_no_panel_of_textuals_own() -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)):
        commands = offered(app)
    assert {f"Theme {name}" for name in app.available_themes} <= commands.keys()
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
        await pilot.press("colon", *"nord", "enter")
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
