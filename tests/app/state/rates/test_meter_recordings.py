"""Recordings of real servers, polled four times a second, through the meter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates
from gpumon.app.state.rates.meter import RateMeter
from gpumon.collectors.samples import WorkSample
from gpumon.collectors.servers.llama_server.bodies import PREFIX, parse_counters, parse_slots

RECORDINGS = Path(__file__).parents[3] / "recordings" / "llama-server"


def sample(poll: dict[str, Any], with_counters: bool) -> WorkSample:
    names = {name.removeprefix(PREFIX): value for name, value in poll["metrics"].items()}
    text = "".join(f"{PREFIX}{name} {value}\n" for name, value in names.items())
    return WorkSample(
        time=1000.0 + poll["t_s"],
        source="runner 7",
        pid=7,
        started=1.0,
        state="ready",
        slots=parse_slots(json.dumps(poll["slots"]).encode()),
        counters=parse_counters(text.encode()) if with_counters else None,
    )


def replay(name: str, with_counters: bool = True) -> tuple[list[RunnerRates], list[FinishedRequest]]:
    """Return the rates after each poll, and every request that ended."""
    meter = RateMeter()
    rates: list[RunnerRates] = []
    finished: list[FinishedRequest] = []
    for poll in json.loads((RECORDINGS / name).read_text()):
        finished += meter.feed(sample(poll, with_counters))
        rates.append(meter.rates)
    return rates, finished


@pytest.mark.parametrize("with_counters", [True, False])
def test_two_chats_at_once_give_the_throughput_of_both(with_counters: bool) -> None:
    rates, _ = replay("b11549-xllamacpp-two-chats-4hz.json", with_counters)
    steady = [one.decode_tokens_per_second for one in rates[3:]]
    assert steady == [pytest.approx(72.0, rel=0.01)] * len(steady)
    assert [slot.decode_tokens_per_second for slot in rates[-1].slots] == [pytest.approx(36.0, rel=0.01)] * 2


def test_while_the_prompt_is_read_there_is_no_decode_rate() -> None:
    rates, _ = replay("b11549-xllamacpp-two-chats-4hz.json")
    assert [one.decode_tokens_per_second for one in rates[:3]] == [None, None, None]
    assert [slot.phase for slot in rates[1].slots] == ["prefill", "prefill"]


def test_a_long_prompt_shows_its_rate_from_the_second_batch() -> None:
    rates, _ = replay("b10434-poll-4hz-long-prompt.json")
    known = [one.prefill_tokens_per_second for one in rates if one.prefill_tokens_per_second is not None]
    assert known[0] == pytest.approx(2048 / 8.832, rel=0.01), "the server's log says 227"
    assert rates[-1].prefill_tokens_per_second is None, "it decodes by now"
    assert rates[-1].decode_tokens_per_second == pytest.approx(32.2, rel=0.03), "the server's own figure"


def test_three_requests_on_two_slots() -> None:
    rates, finished = replay("b10434-poll-3-requests-2-slots.json")
    assert max(one.waiting or 0 for one in rates) == 1
    assert [one.running for one in (rates[1], rates[-1])] == [2, 1]
    assert rates[-1].decoded_total == 184 + 78
    by_task = {request.task_id: request for request in finished}
    assert by_task[163].decoded_tokens == 80
    assert by_task[163].prompt_tokens == 43
    assert not by_task[163].decoded_is_lower_bound
    assert by_task[162].decoded_tokens == 77, "its slot was taken again at once"
    assert by_task[162].decoded_is_lower_bound


def test_the_total_is_the_same_before_and_after_a_request_is_counted() -> None:
    rates, _ = replay("b10434-poll-3-requests-2-slots.json")
    totals = [one.decoded_total or 0 for one in rates]
    assert totals == sorted(totals)
    assert totals[18:20] == [24 + 77 + 77, 184]


def test_one_request_at_the_rate_of_its_own_timings() -> None:
    rates, _ = replay("b10434-poll-4hz-generation.json")
    first, last = rates[1], rates[-1]
    assert (first.context_tokens, first.context_length) == (20, 2048)
    assert last.decode_tokens_per_second == pytest.approx(36.0, rel=0.05)
    assert last.sources == ("/slots", "/metrics")


def test_a_build_that_leaves_the_count_in_the_slot_gives_it_exactly() -> None:
    recorded = json.loads((RECORDINGS / "b9713-xllamacpp-blocking-slots.json").read_text())
    meter = RateMeter()
    for poll in recorded["polls"]:
        meter.feed(sample(poll, with_counters=False))
    after = {"t_s": 60.0, "slots": recorded["slots_after"], "metrics": {}}
    [finished] = meter.feed(sample(after, with_counters=False))
    assert (finished.decoded_tokens, finished.decoded_is_lower_bound) == (100, False)
    assert finished.prompt_tokens == 1503
    assert finished.prefill_tokens_per_second is None, "it counts a batch before it is computed"
