"""What is written in few bytes looks the same as what is written in many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style
from tests.fakes.terminal import cells

from gpumon.widgets.kit.updates import RESET, Pen

COLOURS = st.sampled_from([None, "#102030", "#a0b0c0", "red", "default"])
STYLES = st.none() | st.builds(
    lambda color, bgcolor, bold, dim, reverse: Style(
        color=color, bgcolor=bgcolor, bold=bold, dim=dim, reverse=reverse
    ),
    COLOURS,
    COLOURS,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
PIECES = st.lists(st.tuples(st.text("abc ", min_size=1, max_size=3), STYLES), max_size=8)


def in_full(pieces: list[tuple[str, Style | None]]) -> str:
    return "".join(text if style is None else style.render(text) for text, style in pieces)


def in_short(pieces: list[tuple[str, Style | None]]) -> str:
    pen = Pen("truecolor")
    return "".join(pen.write(*piece) for piece in pieces) + pen.lift()


@given(PIECES)
def test_each_character_has_the_style_that_it_was_given(pieces: list[tuple[str, Style | None]]) -> None:
    assert cells(in_short(pieces)) == cells(in_full(pieces))


@given(PIECES)
def test_the_terminal_is_left_as_it_was(pieces: list[tuple[str, Style | None]]) -> None:
    assert cells(in_short(pieces) + "x")[-1] == ("x", frozenset(), None, None)


def test_a_style_is_named_once_for_texts_that_share_it() -> None:
    style = Style(color="#102030", bgcolor="#000000")
    assert in_short([("a", style), ("b", style)]) == style.render("ab")


def test_a_change_of_one_colour_names_that_colour_alone() -> None:
    first, second = Style(color="#010203", bgcolor="#000000"), Style(color="#040506", bgcolor="#000000")
    written = in_short([("a", first), ("b", second)])
    assert written == f"{first.render('a').removesuffix(RESET)}\x1b[38;2;4;5;6mb{RESET}"


def test_a_link_is_written_whole() -> None:
    style = Style(link="https://example.org")
    assert "\x1b]8;" in in_short([("a", style)])
