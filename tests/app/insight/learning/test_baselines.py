"""The usual rate of a model, learned from the requests that it has answered."""

from __future__ import annotations

from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.scene import Gpu, Machine, Model, loaded

from gpumon.app.insight.learning.baselines import (
    REQUESTS_KEPT,
    context_range,
    counted,
    nearest,
    spill_range,
    usual_rate,
)
from gpumon.app.state.records import BaselineKey, LearnedRecord
from gpumon.app.state.records.learned import baseline_key
from gpumon.collectors.samples import Learned, RateBaseline

KEY = BaselineKey("sha-llama3:70b", ("GPU-0",), 1024, 1, 0)


def learned(desk: Model) -> RateBaseline:
    [baseline] = desk.monitor.state.learned.baselines.values()
    return baseline


def baseline(
    rate: float = 40.0,
    *,
    context: int = 1024,
    parallel: int = 1,
    spill: int | None = 0,
    gpus: tuple[str, ...] = ("GPU-0",),
    requests: int = 10,
    digest: str = KEY.digest,
    updated: float = 0.0,
) -> RateBaseline:
    return RateBaseline(
        digest=digest,
        gpu_uuids=gpus,
        context_tokens_up_to=context,
        parallel=parallel,
        spill_percent_up_to=spill,
        decode_tokens_per_second=rate,
        spread_tokens_per_second=1.0,
        request_count=requests,
        updated=updated,
    )


def record(*baselines: RateBaseline) -> LearnedRecord:
    known = LearnedRecord()
    known.absorb(Learned(time=0.0, source="learned", baselines=baselines))
    return known


class TestLearning:
    def test_a_request_is_learned_with_its_circumstances(self) -> None:
        desk = loaded()
        desk.request(40.0)
        found = learned(desk)
        assert baseline_key(found) == KEY
        assert found.decode_tokens_per_second == pytest.approx(40.0)
        assert found.request_count == 1
        assert found.context_tokens == 741

    def test_the_usual_rate_is_the_median_and_the_spread_that_of_the_deviations(self) -> None:
        desk = loaded()
        for rate in (10.0, 40.0, 42.0, 44.0, 300.0):
            desk.request(rate, prompt=2200)
        assert learned(desk).decode_tokens_per_second == pytest.approx(42.0)
        assert learned(desk).spread_tokens_per_second == pytest.approx(2.0)

    def test_a_slow_first_request_after_a_load_changes_nothing(self) -> None:
        desk = loaded()
        desk.request(5.0)
        desk.usual(40.0)
        assert learned(desk).decode_tokens_per_second == pytest.approx(40.0)

    def test_a_lasting_change_becomes_the_usual(self) -> None:
        desk = loaded()
        desk.usual(40.0, count=6)
        desk.usual(20.0, count=8)
        assert learned(desk).decode_tokens_per_second == pytest.approx(20.0)

    def test_slow_requests_do_not_move_the_time_at_which_it_was_as_usual(self) -> None:
        desk = loaded()
        desk.usual(40.0)
        before = learned(desk).updated
        desk.request(8.0)
        assert learned(desk).updated == before
        desk.request(40.0)
        assert learned(desk).updated > before

    def test_a_request_of_few_tokens_is_not_learned(self) -> None:
        desk = loaded()
        desk.request(8.0, 5.0)
        assert desk.monitor.state.learned == LearnedRecord()

    def test_a_spilled_model_is_learned_apart(self) -> None:
        desk = loaded()
        desk.request(40.0)
        desk.ram_gib = 7.5
        desk.request(8.0, 10)
        assert {key.spill_percent_up_to for key in desk.monitor.state.learned.baselines} == {0, 50}

    def test_requests_at_once_are_learned_apart(self) -> None:
        desk = loaded()
        desk.request(40.0)
        desk.request(25.0, parallel=3)
        rates = {key.parallel: one for key, one in desk.monitor.state.learned.baselines.items()}
        assert rates[3].decode_tokens_per_second == pytest.approx(25.0)
        assert rates[3].request_count == 3

    def test_what_is_held_back_by_heat_teaches_nothing(self) -> None:
        desk = loaded(machine=Machine(Gpu(throttle=("thermal slowdown (software)",))))
        desk.request(40.0)
        assert desk.monitor.state.learned == LearnedRecord()

    def test_nor_what_is_held_back_by_swapping(self) -> None:
        desk = loaded()
        desk.machine.swap_in = 1e9
        desk.request(40.0)
        assert desk.monitor.state.learned == LearnedRecord()

    def test_a_power_cap_is_how_the_machine_is_set_up(self) -> None:
        desk = loaded(machine=Machine(Gpu(throttle=("power cap",))))
        desk.request(40.0)
        assert learned(desk).request_count == 1

    @given(st.lists(st.floats(20.0, 300.0), min_size=1, max_size=8))
    def test_it_is_the_median_of_whatever_was_seen(self, rates: list[float]) -> None:
        desk = loaded()
        for rate in rates:
            desk.request(rate, prompt=2200)
        found = learned(desk)
        assert found.request_count == len(rates)
        assert found.decode_tokens_per_second == pytest.approx(median(rates), rel=0.05)
        assert found.spread_tokens_per_second <= max(rates) - min(rates) + 1.0

    def test_what_is_kept_of_each_is_bounded(self) -> None:
        desk = loaded()
        desk.usual(40.0, count=REQUESTS_KEPT + 5)
        assert len(learned(desk).recent_tokens_per_second) == REQUESTS_KEPT
        assert learned(desk).request_count == REQUESTS_KEPT + 5


class TestUsualRate:
    def test_it_counts_from_five_requests_on(self) -> None:
        desk = loaded()
        desk.usual(40.0, count=4)
        assert usual_rate(desk.monitor.state, desk.record) is None
        desk.request(40.0)
        found = usual_rate(desk.monitor.state, desk.record)
        assert found is not None
        assert found.request_count == 5

    def test_what_an_earlier_run_has_learned_counts_too(self) -> None:
        desk = loaded()
        desk.machine.say(Learned(time=0.0, source="learned", baselines=(baseline(33.0),)))
        desk.machine.look()
        found = usual_rate(desk.monitor.state, desk.record)
        assert found is not None
        assert found.decode_tokens_per_second == 33.0

    def test_that_of_another_model_or_gpu_does_not(self) -> None:
        desk = loaded()
        others = baseline(digest="other"), baseline(gpus=("GPU-1",)), baseline(spill=50)
        desk.machine.say(Learned(time=0.0, source="learned", baselines=others))
        desk.machine.look()
        assert usual_rate(desk.monitor.state, desk.record) is None


class TestNearest:
    @pytest.mark.parametrize(
        "other", [baseline(spill=50), baseline(digest="other")], ids=["spilled", "another model"]
    )
    def test_what_is_more_spilled_or_something_else_is_no_measure(self, other: RateBaseline) -> None:
        assert nearest(record(other), KEY) is None

    @pytest.mark.parametrize("harder", [baseline(context=4096), baseline(parallel=2)])
    def test_harder_work_is_a_mild_measure(self, harder: RateBaseline) -> None:
        assert nearest(record(harder), KEY) is not None

    def test_the_context_most_alike_is_taken(self) -> None:
        known = record(baseline(50.0, context=1024), baseline(45.0, context=4096))
        found = nearest(known, KEY._replace(context_tokens_up_to=32768))
        assert found is not None
        assert found[1].decode_tokens_per_second == 45.0

    def test_a_split_of_unknown_size_is_only_like_itself(self) -> None:
        assert nearest(record(baseline(spill=0)), KEY._replace(spill_percent_up_to=None)) is None

    def test_one_that_rests_on_few_requests_is_left_out(self) -> None:
        known = record(baseline(requests=4))
        assert nearest(known, KEY) is None
        assert counted(known, KEY) is None


@given(st.integers(0, 2**31))
def test_a_range_of_contexts_is_a_power_of_two(tokens: int) -> None:
    upper = context_range(tokens)
    assert upper >= max(tokens, 1024)
    assert upper & (upper - 1) == 0
    assert upper // 2 < max(tokens, 1024)


@given(st.floats(0.0, 1.0))
def test_a_range_of_spills_holds_its_share(fraction: float) -> None:
    upper = spill_range(fraction)
    assert upper is not None
    assert fraction * 100 <= upper + 1e-3
    assert upper - 10 < fraction * 100 or upper == 0


def test_no_spill_is_apart_from_a_trace() -> None:
    assert (spill_range(0.0), spill_range(0.001), spill_range(0.1), spill_range(None)) == (0, 10, 10, None)
