"""How far a prompt is read: of how much, by what tells that, and how long it takes still."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.state.rates.figures import FinishedRequest, PromptProgress
from gpumon.app.state.rates.prefill import PrefillCurve, Prefills
from gpumon.app.state.rates.requests import ReadSoFar
from gpumon.collectors.samples import LogEvent, Slot

TASK = 7


def ended(tokens: int, rate: float | None, cached: int = 0) -> FinishedRequest:
    return FinishedRequest(
        slot_id=0,
        task_id=1,
        started=0.0,
        ended=1.0,
        prompt_tokens=tokens,
        prefill_tokens_per_second=rate,
        cached_tokens=cached,
    )


def reads(processed: int, cached: int = 0, batch: int = 512, rate: float | None = None) -> ReadSoFar:
    slot = Slot(
        slot_id=0,
        task_id=TASK,
        processing=True,
        prompt_tokens=cached + processed + batch,
        prompt_tokens_processed=processed,
        prompt_tokens_cached=cached,
    )
    return ReadSoFar(slot, None, rate)


def told(prefills: Prefills, now: ReadSoFar, *turns: int) -> PromptProgress:
    found = prefills.progress(now, turns)
    assert found is not None
    return found


def test_without_anything_that_tells_only_what_is_done_is_said() -> None:
    found = told(Prefills(), reads(4096, cached=1000))
    assert found == PromptProgress(done_tokens=5096)


def test_a_next_turn_has_at_least_what_the_turn_before_held() -> None:
    found = told(Prefills(), reads(4000, rate=500.0), 10_000)
    assert (found.expected_tokens, found.seconds_left) == (10_000, 12.0)


def test_of_two_conversations_the_shorter_counts_while_it_may_be_either() -> None:
    assert told(Prefills(), reads(4000), 10_000, 20_000).expected_tokens == 10_000
    assert told(Prefills(), reads(12_000), 10_000, 20_000).expected_tokens == 20_000
    assert told(Prefills(), reads(22_000), 10_000, 20_000).expected_tokens is None


def test_the_log_says_how_far_it_is() -> None:
    prefills = Prefills()
    prefills.hear(LogEvent(kind="prefill_progress", slot=0, task=TASK, count=2048, fraction=0.5))
    assert told(prefills, reads(2048), 10_000).expected_tokens == 4096


def test_the_log_says_how_long_it_is_when_its_slot_is_chosen() -> None:
    prefills = Prefills()
    prefills.hear(LogEvent(kind="prompt_compared", slot=0, task=-1, count=10, total=1615))
    assert told(prefills, reads(512)).expected_tokens == 1615
    prefills.note(ended(1615, 500.0))
    assert told(prefills, reads(512)).expected_tokens is None, "that was another request"


def test_long_prompts_are_read_more_slowly_and_the_time_left_knows_it() -> None:
    prefills = Prefills()
    for tokens, rate in ((4000, 1000.0), (16_000, 500.0)):
        prefills.note(ended(tokens, rate))
    found = told(prefills, reads(4000, rate=1000.0), 16_000)
    assert found.seconds_left == pytest.approx(28.0), "not 12 s, which the rate of now amounts to"


def test_one_that_is_slower_than_those_before_stays_so() -> None:
    prefills = Prefills()
    for tokens, rate in ((4000, 1000.0), (16_000, 500.0)):
        prefills.note(ended(tokens, rate))
    now = reads(4000)._replace(seconds=6.0)
    assert told(prefills, now, 16_000).seconds_left == pytest.approx(28.0 * 1.5)


def test_prompts_that_were_kept_in_part_and_short_ones_teach_nothing() -> None:
    curve = PrefillCurve()
    for request in (ended(10_000, 500.0, cached=5000), ended(200, 900.0), ended(8000, None)):
        curve.note(request)
    assert curve.seconds(8000) is None


@given(
    st.lists(st.tuples(st.integers(1, 200_000), st.floats(1.0, 50_000.0)), max_size=40),
    st.integers(0, 200_000),
    st.integers(1, 200_000),
)
def test_what_is_left_is_never_less_than_nothing(
    before: list[tuple[int, float]], processed: int, turn: int
) -> None:
    prefills = Prefills()
    for tokens, rate in before:
        prefills.note(ended(tokens, rate))
    found = told(prefills, reads(processed, rate=100.0), turn)
    assert found.seconds_left is None or found.seconds_left >= 0
    assert (found.expected_tokens is None) == (found.seconds_left is None)
