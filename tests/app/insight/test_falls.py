"""From which rate on a model counts as slower than it usually is."""

from __future__ import annotations

from functools import partial

import pytest
from msgspec.structs import replace
from tests.scene import Gpu, Machine, Model, loaded

from gpumon.app.insight.falls import Comparison, compare, paced_of

USUAL = 40.0


@pytest.fixture
def model() -> Model:
    """A model that usually makes 40 tokens a second, and has just made them."""
    model = loaded()
    model.usual(USUAL)
    return model


def compared(
    model: Model, rate: float, *, percent: float = 20.0, active: bool = False, **now: int
) -> Comparison:
    """Compare a rate with the usual one; ``now`` are other circumstances of it."""
    paced = paced_of(model.record, model.machine.state)
    assert paced is not None
    pace = paced.pace._replace(tokens_per_second=rate, **now)
    found = compare(paced._replace(pace=pace), percent, active=active)
    assert found is not None
    return found


def is_slow(model: Model, rate: float, *, percent: float = 20.0, active: bool = False, **now: int) -> bool:
    return compared(model, rate, percent=percent, active=active, **now).is_below


def spread(model: Model, tokens_per_second: float) -> None:
    """Have the usual rate vary by so much, as if it had been learned so."""
    baselines = model.machine.state.learned.baselines
    for key, baseline in baselines.items():
        baselines[key] = replace(baseline, spread_tokens_per_second=tokens_per_second)


def test_a_fall_by_a_fifth_is_none_yet(model: Model) -> None:
    assert not is_slow(model, 32.0)
    assert is_slow(model, 31.99)


def test_the_share_can_be_given(model: Model) -> None:
    assert not is_slow(model, 36.0, percent=10.0)
    assert is_slow(model, 35.99, percent=10.0)


def test_one_that_is_slow_must_come_half_the_way_back(model: Model) -> None:
    assert is_slow(model, 35.99, active=True)
    assert not is_slow(model, 36.0, active=True)


def test_a_rate_that_varies_may_fall_by_four_times_its_spread(model: Model) -> None:
    spread(model, 5.0)
    assert not is_slow(model, 20.0)
    assert is_slow(model, 19.99)


def test_a_small_spread_narrows_nothing(model: Model) -> None:
    spread(model, 1.0)
    assert not is_slow(model, 32.0)


@pytest.mark.parametrize(("parallel", "context"), [(2, 741), (1, 1025)])
def test_harder_work_counts_from_half_the_rate(model: Model, parallel: int, context: int) -> None:
    harder = partial(is_slow, model, parallel=parallel, context_tokens=context)
    assert not harder(20.0)
    assert harder(19.99)
    assert harder(23.99, active=True)
    assert not harder(24.0, active=True)


def test_a_context_of_the_same_range_is_no_harder_work(model: Model) -> None:
    assert is_slow(model, 31.99, context_tokens=1024)


def test_beyond_8192_tokens_a_rate_may_fall_as_the_context_grows() -> None:
    model = loaded()
    model.usual(USUAL, prompt=9000)
    usual = compared(model, USUAL).usual.context_tokens
    assert usual is not None
    assert usual > 8192
    share = usual / 16000
    assert not is_slow(model, USUAL * share - USUAL * 0.2 + 0.01, context_tokens=16000)
    assert is_slow(model, USUAL * share - USUAL * 0.2 - 0.01, context_tokens=16000)


def test_up_to_8192_tokens_it_may_not() -> None:
    model = loaded()
    model.usual(USUAL, prompt=4200)
    assert is_slow(model, 31.9, context_tokens=8192)


def test_what_it_has_lost_is_a_share_of_the_usual_rate(model: Model) -> None:
    assert compared(model, 10.0).lost_percent == pytest.approx(75.0)
    assert compared(model, 50.0).lost_percent == pytest.approx(-25.0)


def test_the_words_name_both_rates(model: Model) -> None:
    assert compared(model, 10.0).words == "is slower than usual: 10 tok/s instead of 40 tok/s"


def test_a_rate_of_ten_seconds_ago_is_compared_and_an_older_one_is_not(model: Model) -> None:
    paced = paced_of(model.record, model.machine.state)
    assert paced is not None
    now = model.machine.state.now
    at = {age: compare(paced._replace(pace=paced.pace._replace(time=now - age))) for age in (10.0, 10.1)}
    assert [at[age] is not None for age in (10.0, 10.1)] == [True, False]


def test_a_model_that_has_answered_nothing_has_no_pace() -> None:
    model = loaded()
    model.machine.look()
    assert paced_of(model.record, model.machine.state) is None


def test_every_model_with_a_pace_is_found_with_its_process(model: Model) -> None:
    paced = paced_of(model.record, model.machine.state)
    assert paced is not None
    assert (paced.model, paced.runner.key.pid) == (model.record, model.pid)
    assert paced.state is model.machine.state


def test_before_anything_is_usual_there_is_nothing_to_compare() -> None:
    model = loaded()
    model.usual(USUAL, count=4)
    paced = paced_of(model.record, model.machine.state)
    assert paced is not None
    assert compare(paced) is None


class TestSpilled:
    """A model that spilled: its slow rate is about to become its usual one."""

    @pytest.fixture
    def spilled(self, model: Model) -> Model:
        model.ram_gib = 7.5
        model.usual(8.0)
        return model

    def test_it_is_as_usual_for_a_spilled_model(self, spilled: Model) -> None:
        found = compared(spilled, 8.0)
        assert found.usual.decode_tokens_per_second == pytest.approx(8.0)
        assert found.is_below is False
        assert found.then == found.now

    def test_it_is_measured_by_the_rate_before_while_it_is_said_to_be_slow(self, spilled: Model) -> None:
        found = compared(spilled, 8.0, active=True)
        assert found.usual.decode_tokens_per_second == pytest.approx(40.0)
        assert found.is_below is True
        assert (found.then.spill_percent_up_to, found.now.spill_percent_up_to) == (0, 50)

    def test_one_that_always_spilled_has_no_rate_before(self) -> None:
        model = loaded(Model(ram_gib=7.5), Machine(Gpu(utilization=90)))
        model.usual(8.0)
        found = compared(model, 8.0, active=True)
        assert found.usual.decode_tokens_per_second == pytest.approx(8.0)
        assert found.is_below is False
