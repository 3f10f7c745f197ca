from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.kit.gauges import BarPart, allot, bar, split_bar
from gpumon.widgets.kit.lines import Glyphs, Line, line_width, plain_text

widths = st.integers(-3, 250)
any_float = st.floats() | st.none()
glyph_sets = st.sampled_from([UNICODE, ASCII])
roles = st.sampled_from(["model", "process", "reserved", "ram", "track"])


@given(value=any_float, total=any_float, width=widths, glyphs=glyph_sets)
def test_a_bar_is_exactly_as_wide_as_asked_for_any_figures(
    value: float | None, total: float | None, width: int, glyphs: Glyphs
) -> None:
    assert line_width(bar(value, total, width, glyphs)) == max(0, width)


@given(low=st.floats(0, 100), high=st.floats(0, 100), width=st.integers(1, 100))
def test_a_larger_value_never_draws_a_shorter_bar(low: float, high: float, width: int) -> None:
    low, high = sorted((low, high))
    assert _eighths(bar(low, 100, width, UNICODE)) <= _eighths(bar(high, 100, width, UNICODE))


def test_a_bar_is_drawn_in_eighths_of_a_cell() -> None:
    assert plain_text(bar(3, 32, 4, UNICODE)) == "▍───"


def test_a_bar_of_a_value_above_nothing_shows_at_least_an_eighth() -> None:
    assert plain_text(bar(1, 10**9, 4, UNICODE)) == "▏───"


def test_a_bar_of_nothing_shows_only_its_track() -> None:
    assert plain_text(bar(0, 10, 4, UNICODE)) == "────"


@pytest.mark.parametrize(("value", "total"), [(None, 10), (5, None), (5, 0)])
def test_a_bar_of_an_unknown_figure_is_blank(value: float | None, total: float | None) -> None:
    assert plain_text(bar(value, total, 4, UNICODE)) == "    "


@given(sizes=st.lists(st.floats(0, 1e12), max_size=12), units=st.integers(0, 250))
def test_shares_add_up_to_the_units_unless_all_sizes_are_nothing(sizes: list[float], units: int) -> None:
    assert sum(allot(sizes, units)) == (units if any(sizes) else 0)


@given(sizes=st.lists(st.floats(0, 1e12), max_size=12), units=st.integers(12, 250))
def test_a_size_has_a_share_exactly_if_it_is_not_nothing(sizes: list[float], units: int) -> None:
    assert [share > 0 for share in allot(sizes, units)] == [size > 0 for size in sizes]


def test_units_fewer_than_sizes_go_to_the_largest() -> None:
    assert allot([1, 5, 3], 2) == [0, 1, 1]


@given(
    parts=st.lists(st.builds(BarPart, st.floats(), roles), max_size=8),
    width=widths,
    glyphs=glyph_sets,
)
def test_a_split_bar_is_exactly_as_wide_as_asked_for_any_parts(
    parts: list[BarPart], width: int, glyphs: Glyphs
) -> None:
    assert line_width(split_bar(parts, width, glyphs)) == max(0, width)


def test_the_parts_of_a_split_bar_differ_without_colour() -> None:
    parts = [BarPart(1, "model"), BarPart(1, "process"), BarPart(1, "reserved"), BarPart(1, "track")]
    assert plain_text(split_bar(parts, 8, UNICODE)) == "██▓▓░░──"


def test_two_models_side_by_side_are_divided() -> None:
    parts = [BarPart(1, "model"), BarPart(1, "model")]
    assert plain_text(split_bar(parts, 8, UNICODE)) == "███▉████"
    assert plain_text(split_bar(parts, 8, ASCII)) == "###|####"


def test_a_split_bar_of_nothing_is_blank() -> None:
    assert plain_text(split_bar([BarPart(0, "model")], 5, UNICODE)) == "     "


def _eighths(line: Line) -> int:
    text = plain_text(line)
    return sum(UNICODE.partials.index(cell) + 1 for cell in text if cell in UNICODE.partials)
