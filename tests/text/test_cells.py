"""How much room text takes, cut and wrapped to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.text.cells import cut, padded, width, wrapped

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


@pytest.mark.parametrize(("text", "cells"), [("", 0), ("qwen3", 5), ("模型", 4), ("é", 1), ("e\u0301", 1)])
def test_a_wide_character_takes_two_cells_and_a_mark_none(text: str, cells: int) -> None:
    assert width(text) == cells


@pytest.mark.parametrize(
    ("text", "cells", "cut_text"),
    [
        ("qwen3:8b", 8, "qwen3:8b"),
        ("qwen3:8b", 5, "qwen…"),
        ("模型模型", 4, "模…"),
        ("a b", 2, "a…"),
        ("ab", 0, ""),
    ],
)
def test_what_is_cut_ends_in_an_ellipsis(text: str, cells: int, cut_text: str) -> None:
    assert cut(text, cells) == cut_text


def test_what_is_padded_takes_the_cells_that_were_asked_for() -> None:
    assert padded("模", 4) == "模  "


def test_a_line_is_broken_between_words() -> None:
    assert list(wrapped("shrink the context to 6400", 12)) == ["shrink the", "context to", "6400"]


def test_a_word_longer_than_a_line_is_broken() -> None:
    assert list(wrapped("a " + "x" * 12, 5)) == ["a", "xxxxx", "xxxxx", "xx"]


def test_a_command_goes_on_after_a_backslash() -> None:
    assert list(wrapped("sudo kill 2711 2712", 14, " \\")) == ["sudo kill \\", "2711 2712"]


def test_nothing_is_one_empty_line() -> None:
    assert list(wrapped("", 5)) == [""]


@given(TEXTS, st.integers(2, 30))
def test_no_line_is_longer_than_it_may_be_and_nothing_is_lost(text: str, cells: int) -> None:
    lines = list(wrapped(text, cells))
    assert max(map(width, lines)) <= cells
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(TEXTS, st.integers(0, 30))
def test_what_is_cut_fits(text: str, cells: int) -> None:
    assert width(cut(text, cells)) <= cells
