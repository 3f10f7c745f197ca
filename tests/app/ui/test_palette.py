"""The command palette offers what the keys do, and nothing that leads elsewhere."""

from __future__ import annotations

from tests.app.ui.screen import dashboard

from gpumon.app.feeds.player import Player
from gpumon.app.ui.app import GpumonApp


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
