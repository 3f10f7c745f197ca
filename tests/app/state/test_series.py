from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.samples import START

from gpumon.app.state.series import HOLD_SECONDS, TIERS, Bucket, Series, _Tier

Point = tuple[float, float | None]

values = st.none() | st.floats(-1e9, 1e9, allow_nan=False)
gaps = st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.0, 1.0, 2.0, 5.0, 14.75, 15.0, 15.25, 60.0, 400.0, 4000.0])
streams = st.lists(st.tuples(gaps, values), max_size=60).map(
    lambda steps: [
        (START + sum(gap for gap, _ in steps[: place + 1]), value) for place, (_, value) in enumerate(steps)
    ]
)
windows = st.sampled_from(
    [(300.0, 300), (300.0, 60), (120.0, 24), (3600.0, 360), (3600.0, 60), (86400.0, 72)]
)


def series_of(points: Sequence[Point]) -> Series:
    series = Series()
    for time, value in points:
        series.add(time, value)
    return series


def naive_bucket(points: Sequence[Point], number: int, width: float) -> Bucket | None:
    """Return what a bucket must hold, by looking at every point there ever was."""
    inside = [value for time, value in points if value is not None and math.floor(time / width) == number]
    if inside:
        mean = min(max(sum(inside) / len(inside), min(inside)), max(inside))
        return Bucket(min(inside), mean, max(inside))
    before = [place for place, (time, _) in enumerate(points) if math.floor(time / width) < number]
    known_before = [place for place in before if points[place][1] is not None]
    known_after = [
        place
        for place, (time, value) in enumerate(points)
        if value is not None and math.floor(time / width) > number
    ]
    if not known_before or not known_after:
        return None
    last, following = known_before[-1], known_after[0]
    broken = following != last + 1 or points[following][0] - points[last][0] > HOLD_SECONDS
    held = points[last][1]
    return None if broken or held is None else Bucket(held, held, held)


def naive_window(points: Sequence[Point], until: float, seconds: float, cells: int) -> list[Bucket | None]:
    width = next(tier for tier, count in TIERS if tier * count >= seconds)
    each = round(seconds / cells / width)
    last = math.floor(until / (seconds / cells))
    drawn: list[Bucket | None] = []
    for cell in range(last - cells + 1, last + 1):
        buckets = [naive_bucket(points, number, width) for number in range(cell * each, (cell + 1) * each)]
        seen = [bucket for bucket in buckets if bucket is not None]
        mean = sum(bucket.mean for bucket in seen) / len(seen) if seen else math.nan
        drawn.append(
            Bucket(min(b.minimum for b in seen), mean, max(b.maximum for b in seen)) if seen else None
        )
    return drawn


def same(left: Bucket | None, right: Bucket | None) -> bool:
    if left is None or right is None:
        return left is right
    return (
        left.minimum == right.minimum
        and left.maximum == right.maximum
        and left.mean == pytest.approx(right.mean, rel=1e-9, abs=1e-3)
    )


def drawn(points: Sequence[Point], seconds: float = 10.0) -> list[float | None]:
    """Return the mean of each of the last ``seconds``, one a cell, up to the last point."""
    cells = series_of(points).window(points[-1][0], seconds, int(seconds))
    return [cell.mean if cell else None for cell in cells]


@given(streams, windows)
def test_it_agrees_with_a_model_that_keeps_every_point(
    points: list[Point], window: tuple[float, int]
) -> None:
    until = points[-1][0] if points else START
    got, wanted = series_of(points).window(until, *window), naive_window(points, until, *window)
    assert len(got) == len(wanted)
    assert all(same(left, right) for left, right in zip(got, wanted, strict=True))


@given(streams, st.floats(1, 90_000), st.integers(1, 200), st.floats(0, 100_000))
def test_every_cell_has_minimum_mean_and_maximum_in_order(
    points: list[Point], seconds: float, cells: int, later: float
) -> None:
    until = (points[-1][0] if points else START) + later
    for cell in series_of(points).window(until, seconds, cells):
        assert cell is None or cell.minimum <= cell.mean <= cell.maximum


@given(streams, st.floats(0.5, 90_000), st.integers(1, 200), st.floats(-5_000, 5_000))
def test_a_window_has_exactly_the_cells_asked_for(
    points: list[Point], seconds: float, cells: int, moved: float
) -> None:
    assert len(series_of(points).window(START + moved, seconds, cells)) == cells


@given(streams, streams, windows)
def test_old_cells_do_not_change_as_time_goes_on(
    points: list[Point], more: list[Point], window: tuple[float, int]
) -> None:
    seconds, cells = window
    width = seconds / cells
    series = series_of(points)
    if series.last_time is None:
        return
    now = points[-1][0]
    before, first = series.window(now, *window), math.floor(now / width) - cells + 1
    for time, value in more:
        series.add(now + time - START, value)
    later = now + (more[-1][0] - START if more else 0.0)
    after, moved = series.window(later, *window), math.floor(later / width) - math.floor(now / width)
    settled = math.floor(series_of(points).last_time / width) - first  # type: ignore[operator]
    for cell in range(moved, min(settled, cells)):
        assert after[cell - moved] == before[cell]


def test_memory_is_bounded_however_long_it_runs() -> None:
    series = Series()
    for step in range(1_500):
        series.add(START + step * 97.0, float(step))
    buckets = [len(tier._means) for tier in series._tiers]
    assert all(length <= capacity for length, (_, capacity) in zip(buckets, TIERS, strict=True))


def test_a_value_stands_until_the_next_one() -> None:
    assert drawn([(START, 1.0), (START + 3, 2.0)], 4) == [1.0, 1.0, 1.0, 2.0]


def test_a_long_silence_is_a_gap() -> None:
    points = [(START, 1.0), (START + HOLD_SECONDS + 1, 2.0)]
    assert drawn(points, HOLD_SECONDS + 2) == [1.0, *[None] * int(HOLD_SECONDS), 2.0]


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf])
def test_an_unknown_value_is_a_gap(unknown: float | None) -> None:
    points = [(START, 1.0), (START + 1, unknown), (START + 3, 2.0)]
    assert drawn(points, 4) == [1.0, None, None, 2.0]


def test_a_gap_stays_a_gap_when_values_return() -> None:
    points: list[Point] = [(START, 1.0), (START + 1, None), (START + 2, 2.0), (START + 5, 3.0)]
    assert drawn(points, 6) == [1.0, None, 2.0, 2.0, 2.0, 3.0]


def test_nothing_is_drawn_before_the_first_value() -> None:
    assert drawn([(START, 1.0)], 3) == [None, None, 1.0]


def test_the_last_value_is_unknown_once_a_sample_had_none() -> None:
    assert series_of([(START, 1.0), (START + 1, None)]).last is None


def test_a_value_that_is_older_than_the_last_is_ignored() -> None:
    series = series_of([(START + 5, 1.0), (START, 9.0)])
    assert (series.last, series.last_time) == (1.0, START + 5)


def test_several_values_in_one_second_share_its_cell() -> None:
    series = series_of([(START, 1.0), (START + 0.25, 2.0), (START + 0.5, 6.0)])
    assert series.window(START + 0.5, 1.0, 1) == [Bucket(1.0, 3.0, 6.0)]


def test_a_day_is_kept_in_full() -> None:
    series = series_of([(START + 60.0 * minute, float(minute)) for minute in range(24 * 60)])
    cells = series.window(START + 60.0 * (24 * 60 - 1), 86_400.0, 24)
    assert [cell is not None for cell in cells] == [True] * 24


@given(streams, windows, st.floats(0, 400))
def test_a_series_that_is_looked_at_all_the_time_shows_the_same_as_one_that_was_not(
    points: list[Point], window: tuple[float, int], later: float
) -> None:
    watched = Series()
    for number, (time, value) in enumerate(points):
        watched.add(time, value)
        watched.window(time + later, *window)
        assert watched.window(time, *window) == series_of(points[: number + 1]).window(time, *window)


def test_cells_that_are_over_are_reckoned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    series, reckoned, cell = Series(), Counter[float](), Series._cell

    def counted(tier: _Tier, start: float, width: float) -> Bucket | None:
        reckoned[start] += 1
        return cell(tier, start, width)

    monkeypatch.setattr(Series, "_cell", staticmethod(counted))
    for second in range(120):
        series.add(START + second, 1.0)
        series.window(START + second, 120.0, 24)
    assert max(reckoned.values()) <= 5 + 1, "each second while it is the newest, and once when it is over"
