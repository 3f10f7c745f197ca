from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.kit.gauges import Trend, area_lines, mean, resample, trend_text
from gpumon.widgets.kit.lines import Glyphs, plain_text

any_trend = st.lists(st.none() | st.floats(), max_size=100).map(tuple)


@given(trend=any_trend, width=st.integers(0, 120), ceiling=st.none() | st.floats(0, 1e9))
def test_a_trend_is_exactly_as_wide_as_asked_for_any_values(
    trend: Trend, width: int, ceiling: float | None
) -> None:
    assert len(trend_text(trend, width, ceiling, UNICODE)) == width


def test_the_scale_is_fixed_so_a_flat_half_full_series_is_half_high() -> None:
    assert trend_text((50.0, 50.0), 2, 100.0, UNICODE) == "▄▄"


def test_a_gap_is_blank_and_a_known_zero_is_not() -> None:
    assert trend_text((0.0, None, 100.0), 3, 100.0, UNICODE) == "▁ ▇"


def test_a_short_trend_stands_at_the_right_where_now_is() -> None:
    assert trend_text((100.0,), 3, 100.0, UNICODE) == "  ▇"


def test_a_value_above_the_ceiling_is_drawn_at_the_top() -> None:
    assert trend_text((500.0,), 1, 100.0, UNICODE) == "▇"


def test_the_highest_step_leaves_a_gap_to_the_row_above() -> None:
    assert "█" not in UNICODE.steps


def test_resampling_keeps_the_maximum_of_each_cell_by_default() -> None:
    assert resample((1.0, 9.0, 2.0, 3.0), 2) == (9.0, 3.0)


def test_resampling_can_take_the_mean() -> None:
    assert resample((1.0, 9.0, 2.0, 4.0), 2, mean) == (5.0, 3.0)


def test_resampling_ignores_gaps_beside_values_and_keeps_gaps_of_whole_cells() -> None:
    assert resample((1.0, None, None, None), 2, mean) == (1.0, None)


def area(trend: Trend, width: int, height: int, ceiling: float | None, glyphs: Glyphs = UNICODE) -> list[str]:
    return [plain_text(line) for line in area_lines(trend, width, height, ceiling, glyphs)]


@given(
    trend=any_trend, width=st.integers(1, 60), height=st.integers(0, 9), ceiling=st.none() | st.floats(0, 1e9)
)
def test_an_area_is_exactly_as_large_as_asked_for_any_values(
    trend: Trend, width: int, height: int, ceiling: float | None
) -> None:
    assert [len(line) for line in area(trend, width, height, ceiling)] == [width] * height


def test_an_area_fills_whole_rows_from_below_and_ends_in_a_step() -> None:
    assert area((8.0, 12.0, 16.0), 3, 2, 16.0) == [" ▄█", "███"]


def test_in_an_area_too_a_gap_is_blank_and_a_known_zero_is_not() -> None:
    assert area((0.0, None, 1.0), 3, 2, 1.0) == ["  █", "▁ █"]


def test_an_area_in_ascii_ends_in_a_step_as_well() -> None:
    assert area((8.0, 12.0, 16.0), 3, 2, 16.0, ASCII) == [" =#", "###"]
