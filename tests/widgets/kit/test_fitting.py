from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gpumon.widgets.kit.lines import (
    Part,
    join_parts,
    line_width,
    plain_text,
    shorten,
    shorten_words,
    spread,
    text_line,
    wrap_words,
)


@given(name=st.text(max_size=60), width=st.integers(0, 70))
def test_a_shortened_name_fits_and_is_whole_where_there_is_room(name: str, width: int) -> None:
    short = shorten(name, width)
    assert cell_len(short) <= width
    assert short == name or cell_len(name) > width


def test_a_name_loses_its_middle_so_that_both_ends_tell() -> None:
    assert shorten("llama3.3:70b-instruct-q4_K_M", 15) == "llama3.3:…_K_M"[:9] + "…4_K_M"


def test_half_of_a_wide_character_is_never_drawn() -> None:
    assert shorten("千问千问", 4) == "千…"


def test_a_shortened_sentence_ends_after_a_whole_word() -> None:
    assert shorten_words("needs 3.1 GiB more", 9) == "needs…"


def test_a_sentence_wraps_between_words_and_its_last_row_says_that_more_follows() -> None:
    assert wrap_words("one two three four five", 9, 2) == ["one two", "three…"]


def test_parts_of_least_need_are_dropped_whole_and_the_others_keep_their_order() -> None:
    parts = [Part(text_line("aaa"), 1), Part(text_line("bbb"), 2), Part(text_line("ccc"), 0)]
    assert plain_text(join_parts(parts, 13)) == "aaa  bbb  ccc"
    assert plain_text(join_parts(parts, 12)) == "aaa  ccc"
    assert plain_text(join_parts(parts, 7)) == "ccc"
    assert plain_text(join_parts(parts, 2)) == ""


def test_the_right_side_is_left_out_where_it_would_touch_the_left() -> None:
    left, right = text_line("left"), text_line("right")
    assert plain_text(spread(left, right, 10)) == "left right"
    assert plain_text(spread(left, right, 9)) == "left"


def test_width_counts_cells_not_characters() -> None:
    assert line_width(text_line("千问")) == 4
