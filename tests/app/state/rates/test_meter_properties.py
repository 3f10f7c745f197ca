"""However polls and requests interleave, the meter's total is the server's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.fakes.llama_server.simulation import Simulation

from gpumon.app.state.rates.meter import RateMeter
from gpumon.collectors.samples import WorkCounters, WorkSample

SLOTS = 3


@dataclass(frozen=True)
class Event:
    what: Literal["start", "read", "decode", "end", "cancel", "read_counters", "read_slots"]
    slot: int
    amount: int


events = st.lists(
    st.builds(
        Event,
        st.sampled_from(
            ["start", "start", "read", "decode", "decode", "decode", "end", "cancel", "read_counters"]
            + ["read_slots"] * 4
        ),
        st.integers(0, SLOTS - 1),
        st.integers(0, 40),
    ),
    max_size=80,
)


class Run:
    """Drives a server and a meter; the counters may be read some events before the slots."""

    def __init__(self, with_counters: bool, counts_cancelled: bool = True) -> None:
        self.server = Simulation(SLOTS, counts_cancelled=counts_cancelled)
        self.meter = RateMeter()
        self.with_counters = with_counters
        self.time = 1000.0
        self.counters: WorkCounters | None = None
        self.totals: list[int] = []

    def play(self, steps: list[Event]) -> None:
        for step in steps:
            self.do(step)
            self.time += 0.1

    def do(self, step: Event) -> None:
        match step.what:
            case "start":
                self.server.start(step.slot, prompt=1 + step.amount)
            case "read":
                self.server.read(step.slot, step.amount)
            case "decode":
                self.server.decode(step.slot, step.amount)
            case "end":
                self.server.end(step.slot)
            case "cancel":
                self.server.end(step.slot, cancelled=True)
            case "read_counters":
                self.counters = self.counters or self.server.counter_sample()
            case "read_slots":
                self.poll()

    def poll(self) -> None:
        counters = (self.counters or self.server.counter_sample()) if self.with_counters else None
        self.counters = None
        self.meter.feed(
            WorkSample(
                time=self.time,
                source="runner 7",
                pid=7,
                started=1.0,
                state="ready",
                slots=self.server.slot_samples(),
                counters=counters,
            )
        )
        total = self.meter.rates.decoded_total
        assert total is not None
        self.totals.append(total)

    def finish(self) -> None:
        for slot in range(SLOTS):
            self.server.end(slot)
        for _ in range(2):
            self.counters = None
            self.time += 1
            self.poll()


@given(events)
def test_with_counters_no_token_is_lost_or_counted_twice(steps: list[Event]) -> None:
    run = Run(with_counters=True)
    run.play(steps)
    run.finish()
    assert run.totals[-1] == run.server.generated
    assert not run.meter.rates.decoded_total_is_lower_bound


@pytest.mark.parametrize("with_counters", [True, False])
@given(steps=events)
def test_the_total_never_falls_and_never_exceeds_what_was_generated(
    with_counters: bool, steps: list[Event]
) -> None:
    run = Run(with_counters, counts_cancelled=False)
    for step in steps:
        run.play([step])
        if step.what == "read_slots":
            assert run.totals[-1] <= run.server.generated
    assert run.totals == sorted(run.totals)


@given(events)
def test_without_counters_what_polls_have_seen_is_kept(steps: list[Event]) -> None:
    run = Run(with_counters=False)
    seen: dict[int, int] = {}
    for step in steps:
        run.play([step])
        if step.what == "read_slots":
            working = [slot for slot in run.server.slots if slot.processing and slot.task_id is not None]
            seen |= {slot.task_id: slot.decoded for slot in working if slot.task_id is not None}
    run.finish()
    assert run.meter.rates.decoded_total_is_lower_bound
    assert sum(seen.values()) <= run.totals[-1] <= run.server.generated


def two_that_end(tokens_between_looks: int) -> list[Event]:
    """Return two requests that end one after the other, half a second after the first look at them."""
    waits = [Event("read", 2, 0)] * 4
    return [
        *(Event(what, slot, 5) for what in ("start", "decode") for slot in (0, 1)),
        *(Event("read_slots", 0, 0), *waits),
        *(Event("decode", slot, tokens_between_looks) for slot in (0, 1)),
        *(Event("read_slots", 0, 0), Event("end", 0, 0), Event("read_slots", 0, 0)),
        *(Event("end", 1, 0), Event("read_slots", 0, 0)),
    ]


@given(events)
@example(two_that_end(0)).via("of which nothing was seen to be generated")
@example(two_that_end(20)).via("the rate of the latest stands while the next is awaited")
def test_rates_are_known_only_where_a_request_runs_or_is_awaited(steps: list[Event]) -> None:
    run = Run(with_counters=True)
    for step in steps:
        run.play([step])
        rates = run.meter.rates
        assert all(
            rate is None or rate >= 0
            for rate in (rates.decode_tokens_per_second, rates.prefill_tokens_per_second)
        )
        if not rates.running:
            assert (rates.decode_tokens_per_second, rates.prefill_tokens_per_second) == (None, None) or (
                rates.awaited_until is not None
            )
            assert 0 not in (rates.decode_tokens_per_second, rates.prefill_tokens_per_second)
            assert rates.slots == ()
