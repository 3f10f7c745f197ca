"""What a GPU takes over a time: the parts are the whole, it is never negative, a gap is not guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.state.rates.energy import EnergyTrack


def track(*looks: tuple[float, float | None]) -> EnergyTrack:
    one = EnergyTrack()
    for time, watts in looks:
        one.add(time, watts)
    return one


def test_it_is_power_times_time() -> None:
    assert track((0, 100.0), (1, 100.0), (2, 300.0)).joules(0.5, 2.0) == pytest.approx(50 + 200)


def test_after_the_latest_look_its_power_goes_on_for_a_moment() -> None:
    one = track((0, 100.0), (1, 100.0))
    assert one.joules(0, 2.0) == pytest.approx(200)
    assert one.joules(0, 20.0) is None


@pytest.mark.parametrize("gap", [((10, 100.0),), ((1, None), (2, 100.0))])
def test_over_a_gap_nothing_is_known(gap: tuple[tuple[float, float | None], ...]) -> None:
    assert track((0, 100.0), *gap).joules(0, 2.0) is None


@given(
    st.lists(st.floats(0.0, 600.0), min_size=2, max_size=50),
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3),
)
def test_the_parts_are_the_whole_and_none_is_negative(watts: list[float], shares: list[float]) -> None:
    one = track(*enumerate(watts))
    first, middle, last = sorted(share * (len(watts) - 1) for share in shares)
    parts = [one.joules(first, middle), one.joules(middle, last)]
    assert None not in parts
    assert min(part or 0.0 for part in parts) >= 0.0
    assert one.joules(first, last) == pytest.approx(sum(part or 0.0 for part in parts), abs=1e-6)
