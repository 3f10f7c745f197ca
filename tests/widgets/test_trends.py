from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.gauges import mean, resample, trend_text
from gpumon.widgets.views import Trend

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
