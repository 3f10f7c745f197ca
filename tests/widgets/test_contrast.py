"""Every role can be read in every theme: WCAG 2.2, 1.4.3 (text, 4.5 to 1) and 1.4.11 (graphics, 3 to 1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual.app import App, ComposeResult

from gpumon.app.ui.themes import CYCLE, DARK
from gpumon.widgets.kit.contrast import (
    DECORATION,
    GRAPHIC_LEAST,
    GRAPHICS,
    TEXT_LEAST,
    contrast,
    readable,
)
from gpumon.widgets.kit.lines import FILLED, Line, Role
from gpumon.widgets.kit.panels import ROLES, LinePanel

THEMES = [name for name in CYCLE if not name.startswith("ansi")]
"""Those of 16 colours have the terminal's own."""


class Blank(LinePanel):
    """Draws nothing: its styles are looked at."""

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        del width, height
        return []


class Themed(App[None]):
    """A panel in a theme."""

    CSS = "Screen { background: $background; }"

    def __init__(self, theme: str) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = theme

    def compose(self) -> ComposeResult:
        yield Blank()


async def styles(theme: str, monkeypatch: pytest.MonkeyPatch) -> dict[Role, Style]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    app = Themed(theme)
    async with app.run_test():
        panel = app.query_one(LinePanel)
        return {role: panel._style(role) for role in ROLES}


def ratio(style: Style) -> float:
    """Return how far the colours of text and ground are apart, 1 to 21."""
    assert style.color is not None
    assert style.bgcolor is not None
    return contrast(style.color.get_truecolor(), style.bgcolor.get_truecolor())


def test_black_and_white_are_as_far_apart_as_can_be() -> None:
    black, white, grey = ColorTriplet(0, 0, 0), ColorTriplet(255, 255, 255), ColorTriplet(119, 119, 119)
    assert contrast(black, white) == pytest.approx(21)
    assert contrast(grey, white) == pytest.approx(4.48, abs=0.01), "the well-known limit of AA"


@given(*[st.tuples(*[st.integers(0, 255)] * 3)] * 2)
def test_any_colour_can_be_read_on_any_ground(
    text: tuple[int, int, int], ground: tuple[int, int, int]
) -> None:
    style = Style(color=Color.from_rgb(*text), bgcolor=Color.from_rgb(*ground))
    assert ratio(readable(style, "bad")) >= TEXT_LEAST


def test_a_colour_that_can_be_read_stays_as_it_is() -> None:
    style = Style(color="#ffffff", bgcolor="#000000", bold=True)
    assert readable(style, "bad") == style


@pytest.mark.parametrize("theme", THEMES)
async def test_text_stands_out_from_its_ground(theme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {
        role: round(ratio(style), 2)
        for role, style in (await styles(theme, monkeypatch)).items()
        if role not in GRAPHICS | DECORATION
    }
    assert {role: found for role, found in seen.items() if found < TEXT_LEAST} == {}


@pytest.mark.parametrize("theme", THEMES)
async def test_bars_and_areas_stand_out_from_the_ground(theme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {
        role: round(ratio(style), 2)
        for role, style in (await styles(theme, monkeypatch)).items()
        if role in GRAPHICS
    }
    assert {role: found for role, found in seen.items() if found < GRAPHIC_LEAST} == {}


@pytest.mark.parametrize("theme", [*THEMES, "ansi-dark"])
async def test_what_has_a_ground_has_it_without_colour_as_well(
    theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(style.reverse for role, style in (await styles(theme, monkeypatch)).items() if role in FILLED)


@pytest.mark.parametrize("theme", THEMES)
async def test_neighbours_in_a_bar_and_kinds_of_chart_have_different_colours(
    theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await styles(theme, monkeypatch)
    colors = [found[role].color for role in ("model", "model2", "ram", "rate", "process")]
    assert len(set(colors)) == len(colors)
