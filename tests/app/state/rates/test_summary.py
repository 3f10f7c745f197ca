from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.state.rates.figures import summary_of
from gpumon.app.state.series import Series

START = 1_700_000_000.0


def series(*values: float | None, step: float = 1.0) -> Series:
    found = Series()
    for number, value in enumerate(values):
        found.add(START + number * step, value)
    return found


def test_a_series_without_values_has_none() -> None:
    assert summary_of(series(None, None), START + 2) is None


def test_last_average_and_best() -> None:
    summary = summary_of(series(10.0, 30.0, 20.0), START + 2)
    assert summary is not None
    assert (summary.last, summary.average, summary.best) == (20.0, 20.0, 30.0)


def test_the_last_rate_is_that_of_the_last_request_at_rest() -> None:
    summary = summary_of(series(10.0, 30.0, None, None), START + 3600)
    assert summary is not None
    assert summary.best == 30.0
    assert 10.0 <= summary.last <= 30.0


def test_rest_is_no_rate_of_0() -> None:
    values = [40.0] * 3 + [None] * 500 + [20.0] * 3
    summary = summary_of(series(*values), START + 506)
    assert summary is not None
    assert summary.average == pytest.approx(30.0, abs=10)


@given(st.lists(st.one_of(st.none(), st.floats(0.1, 500.0)), min_size=1, max_size=50))
def test_the_average_lies_between_the_least_and_the_best(values: list[float | None]) -> None:
    summary = summary_of(series(*values), START + len(values))
    known = [value for value in values if value is not None]
    assert (summary is None) == (not known)
    if summary is not None:
        assert summary.best == max(known)
        assert min(known) <= summary.average <= summary.best
