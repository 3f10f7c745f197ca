"""How what two have learned becomes one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.app.insight.learning.test_baselines import baseline, record

from gpumon.app.state.records.learned import KEPT
from gpumon.collectors.samples import Learned, RamObservation, RateBaseline

baselines = st.lists(
    st.builds(
        baseline,
        st.floats(1, 100),
        context=st.sampled_from([1024, 2048]),
        digest=st.sampled_from(["a", "b"]),
        requests=st.integers(1, 20),
        updated=st.floats(0, 100),
    ),
    max_size=6,
).map(tuple)


def test_of_two_the_one_renewed_later_stays() -> None:
    old, new = baseline(40.0, updated=1.0), baseline(30.0, updated=2.0)
    assert record(old, new).baselines == record(new, old).baselines == record(new).baselines


def test_of_two_of_one_time_the_one_of_more_requests_stays() -> None:
    few, many = baseline(40.0, requests=5), baseline(41.0, requests=9)
    assert record(few, many).baselines == record(many, few).baselines == record(many).baselines


@given(baselines)
def test_hearing_a_thing_twice_changes_nothing(found: tuple[RateBaseline, ...]) -> None:
    assert record(*found, *found).baselines == record(*found).baselines


@given(baselines, baselines)
def test_who_speaks_first_does_not_matter_but_for_equals(
    one: tuple[RateBaseline, ...], other: tuple[RateBaseline, ...]
) -> None:
    def ages(*found: RateBaseline) -> dict[object, tuple[float, int]]:
        return {key: (b.updated, b.request_count) for key, b in record(*found).baselines.items()}

    assert ages(*one, *other) == ages(*other, *one)


def test_the_oldest_go_when_there_are_too_many() -> None:
    many = [baseline(digest=str(number), updated=number) for number in range(KEPT + 7)]
    known = record(*many)
    assert len(known.baselines) == KEPT
    assert min(one.updated for one in known.baselines.values()) == 7


def test_a_measurement_of_ram_stays_until_there_is_another() -> None:
    known = record()
    known.absorb(Learned(time=0.0, source="learned", ram_bandwidth_bytes_per_second=5e10))
    known.absorb(Learned(time=0.0, source="learned"))
    assert known.ram_bandwidth_bytes_per_second == 5e10


def test_what_split_models_stand_for_is_renewed_by_the_later_one() -> None:
    known = record()
    for updated, found in ((5.0, 4e10), (9.0, 6e10), (7.0, 5e10)):
        seen = RamObservation(is_moe=False, bytes_per_second=found, observation_count=1, updated=updated)
        known.absorb(Learned(time=0.0, source="learned", ram_observed=(seen,)))
    assert known.ram_observed[False].bytes_per_second == 6e10
