"""Which prompts are read again, from requests alone: beside a real server's own timings, and in general."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.rates.meter import RateMeter
from gpumon.app.state.rates.rereads import (
    HOUR_SECONDS,
    LONG_PROMPT_TOKENS,
    LOST_SHARE,
    MANY_LOOSE_TURNS,
    TURNS_AMONG_MANY,
    TURNS_KEPT,
    TURNS_TO_BE_SURE,
    Losses,
    Rereads,
)
from gpumon.collectors.samples import Slot, WorkSample

RECORDED: dict[str, Any] = json.loads(
    (
        Path(__file__).parents[3] / "recordings/llama-server/b11549-xllamacpp-conversations-2hz.json"
    ).read_text()
)
"""By name: looks at a real server's slots twice a second, and what it said of each request at its end."""
RATE = 500.0


def losses_seen(name: str) -> Losses | None:
    """Return what the looks at a real server amount to."""
    meter, now = RateMeter(), 0.0
    for at, *slots in RECORDED[name]["polls"]:
        now = 1000.0 + at
        meter.feed(
            WorkSample(
                time=now, source="x", pid=7, started=1.0, state="ready", slots=tuple(map(_slot, slots))
            )
        )
    return meter.prompts.rereads.losses(now)


def _slot(said: list[Any]) -> Slot:
    number, task, works, held, done, kept, decoded, left = said
    return Slot(
        slot_id=number,
        task_id=task,
        processing=bool(works),
        prompt_tokens=held,
        prompt_tokens_processed=done,
        prompt_tokens_cached=kept,
        decoded_tokens=decoded,
        remaining_tokens=left,
    )


def lost_by_its_timings(name: str) -> list[tuple[int, float]]:
    """Return tokens and seconds that were lost at each turn, by the server's own ``timings``."""
    left: dict[str, int] = {}
    lost = []
    for client, prompt, kept, answer, seconds in RECORDED[name]["turns"]:
        before = left.get(client, 0)
        if before - kept >= LOST_SHARE * before > 0:
            lost.append((before - kept, (before - kept) * seconds / (prompt - kept)))
        left[client] = prompt + answer - 1
    return lost


@pytest.mark.parametrize(("name", "others_between"), [("two-clients-one-slot", 12), ("head-changes", 0)])
def test_what_is_lost_is_that_of_a_real_servers_timings(name: str, others_between: int) -> None:
    found, true = losses_seen(name), lost_by_its_timings(name)
    assert found is not None
    assert found.is_going_on
    assert (found.turns, found.others_between) == (len(true), others_between)
    assert found.tokens_each == pytest.approx(median(tokens for tokens, _ in true), rel=0.01)
    assert found.seconds_each == pytest.approx(median(seconds for _, seconds in true), rel=0.10)


@pytest.mark.parametrize("name", ["two-clients-two-slots", "two-clients-ram-cache", "grows-at-its-end"])
def test_of_a_real_server_that_keeps_what_it_has_read_nothing_is_said(name: str) -> None:
    assert lost_by_its_timings(name) == []
    assert losses_seen(name) is None


def request(at: float, prompt: int | None, kept: int | None = 0, answer: int | None = 60) -> FinishedRequest:
    return FinishedRequest(
        slot_id=0,
        task_id=int(at),
        started=at - 40.0,
        ended=at,
        prompt_tokens=prompt,
        cached_tokens=kept,
        decoded_tokens=answer,
        prefill_tokens_per_second=RATE,
    )


def conversation(turns: int, first: int, growth: int = 300, kept: int = 0) -> Iterator[FinishedRequest]:
    for number in range(turns):
        yield request(100.0 * number, first + number * (60 + growth), kept if number else 0)


def noted(*requests: FinishedRequest) -> Rereads:
    rereads = Rereads()
    for one in requests:
        rereads.note(one)
    return rereads


@given(turns=st.integers(2, 12), first=st.integers(LONG_PROMPT_TOKENS * 2, 100_000))
def test_a_conversation_counts_from_the_turn_on_that_makes_it_sure_and_then_from_its_second(
    turns: int, first: int
) -> None:
    found = noted(*conversation(turns, first)).losses(2000.0)
    assert (found.turns if found else 0) == (turns - 1 if turns > TURNS_TO_BE_SURE else 0)


@given(
    st.lists(st.tuples(st.integers(1000, 60_000), st.integers(0, 60_000), st.integers(0, 400)), max_size=40)
)
def test_no_more_is_lost_than_was_there_and_no_request_is_gone_on_from_twice(
    said: list[tuple[int, int, int]],
) -> None:
    rereads = noted(
        *(
            request(10.0 * at, prompt, min(kept, prompt), answer)
            for at, (prompt, kept, answer) in enumerate(said)
        )
    )
    turns = list(rereads._turns)
    for turn in turns:
        assert 0 <= turn.lost_tokens <= turn.prompt_tokens
    followed = [turn for turn in turns if turn.is_followed]
    assert len(followed) == sum(turn.kept_before > 0 for turn in turns)


def test_among_many_requests_of_a_batch_more_turns_are_needed() -> None:
    batch = [request(float(at), 40_000 - 700 * at) for at in range(MANY_LOOSE_TURNS + 2)]
    turns = [request(3000.0 + one.ended, one.prompt_tokens) for one in conversation(12, 60_000)]
    for count, lost in ((TURNS_TO_BE_SURE + 1, 0), (TURNS_AMONG_MANY + 1, TURNS_AMONG_MANY)):
        found = noted(*batch, *turns[:count]).losses(5000.0)
        assert (found.turns if found else 0) == lost


def test_what_was_kept_is_no_loss() -> None:
    assert noted(*conversation(8, 9000, kept=9000)).losses(2000.0) is None


def test_requests_with_little_to_read_are_passed_over() -> None:
    assert noted(*conversation(2, 400, growth=50)).losses(2000.0) is None


def test_a_request_of_which_the_lengths_are_not_known_says_nothing() -> None:
    rereads = noted(*conversation(8, 9000))
    before = rereads.losses(2000.0)
    rereads.note(request(1500.0, 20_000, None))
    rereads.note(request(1510.0, 20_000, 0, None))
    rereads.note(request(1520.0, None))
    assert rereads.losses(2000.0) == before


def test_after_an_hour_it_is_forgotten() -> None:
    rereads = noted(*conversation(8, 9000))
    assert rereads.losses(700.0 + HOUR_SECONDS - 1) is not None
    assert rereads.losses(700.0 + HOUR_SECONDS + 1) is None


@given(turns=st.integers(2, 30), kept=st.integers(0, 9000))
def test_what_is_lost_in_all_is_what_each_turn_has_lost_once(turns: int, kept: int) -> None:
    rereads, before = Rereads(), 0
    for one in conversation(turns, 9000, kept=kept):
        rereads.note(one)
        assert rereads.lost_tokens_total >= before
        before = rereads.lost_tokens_total
    lost = [turn.lost_tokens for turn in rereads._turns]
    assert rereads.lost_tokens_total == sum(lost)
    assert rereads.lost_seconds_total == pytest.approx(sum(lost) / RATE)


def test_what_is_kept_is_bounded() -> None:
    rereads = noted(*(request(float(at), 9000 + at) for at in range(2 * TURNS_KEPT)))
    assert len(rereads._turns) == TURNS_KEPT
