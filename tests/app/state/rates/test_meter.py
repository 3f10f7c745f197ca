"""What the meter makes of each sample."""

from __future__ import annotations

import pytest
from tests.fakes.llama_server.simulation import Simulation

from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.rates.meter import RateMeter
from gpumon.collectors.samples import ModelState, Slot, WorkCounters, WorkSample

START = 1000.0


class Bench:
    """A server, a meter, and a clock that moves when told to."""

    def __init__(self, with_counters: bool = True) -> None:
        self.server = Simulation()
        self.meter = RateMeter()
        self.with_counters = with_counters
        self.time = START
        self.started = 1.0

    def poll(self) -> tuple[FinishedRequest, ...]:
        counters = self.server.counter_sample() if self.with_counters else None
        return self.feed("ready", self.server.slot_samples(), counters)

    def feed(
        self,
        state: ModelState,
        slots: tuple[Slot, ...] | None = None,
        counters: WorkCounters | None = None,
    ) -> tuple[FinishedRequest, ...]:
        return self.meter.feed(
            WorkSample(
                time=self.time,
                source="runner 7",
                pid=7,
                started=self.started,
                state=state,
                slots=slots,
                counters=counters,
            )
        )

    def decode(self, seconds: float, rate: int = 40, slot: int = 0) -> None:
        """Generate at ``rate``, polled four times a second."""
        for _ in range(round(seconds * 4)):
            self.time += 0.25
            self.server.decode(slot, rate // 4)
            self.server.counted_seconds += 0.25
            self.poll()

    def busy(self) -> Bench:
        """Bring one request to a steady 40 tokens/s."""
        self.poll()
        self.server.start(0, prompt=100)
        self.poll()
        self.decode(3)
        return self


def test_before_any_sample_nothing_is_known() -> None:
    rates = RateMeter().rates
    assert (rates.decode_tokens_per_second, rates.running, rates.decoded_total) == (None, None, None)


def test_no_request_is_no_rate_and_not_a_rate_of_0() -> None:
    bench = Bench()
    bench.poll()
    rates = bench.meter.rates
    assert (
        rates.decode_tokens_per_second,
        rates.prefill_tokens_per_second,
        rates.running,
        rates.waiting,
    ) == (None, None, 0, 0)


def test_an_idle_server_may_be_known_from_its_counters_alone() -> None:
    bench = Bench()
    bench.feed("ready", None, bench.server.counter_sample())
    assert bench.meter.rates.running == 0
    assert bench.meter.rates.sources == ("/metrics",)


def test_a_steady_request_has_its_rate() -> None:
    rates = Bench().busy().meter.rates
    assert rates.decode_tokens_per_second == 40.0
    assert [(slot.slot_id, slot.phase, slot.decode_tokens_per_second) for slot in rates.slots] == [
        (0, "decode", 40.0)
    ]


def test_the_first_poll_that_sees_tokens_is_no_rate_yet() -> None:
    bench = Bench()
    bench.poll()
    bench.server.start(0, prompt=10)
    bench.decode(0.25)
    assert bench.meter.rates.decode_tokens_per_second is None
    bench.decode(0.5)
    assert bench.meter.rates.decode_tokens_per_second == 40.0


def test_ten_tokens_between_two_looks_may_be_nine_and_are_no_rate() -> None:
    bench = Bench()
    bench.poll()
    bench.server.start(0, prompt=10)
    bench.decode(0.25)
    bench.decode(0.25)
    assert bench.meter.rates.decode_tokens_per_second is None


def test_the_rate_follows_within_2_seconds() -> None:
    bench = Bench().busy()
    bench.decode(2, rate=8)
    assert bench.meter.rates.decode_tokens_per_second == 8.0


def test_overlapping_requests_add_up() -> None:
    bench = Bench().busy()
    bench.server.start(1, prompt=10)
    for _ in range(12):
        bench.server.decode(1, 5)
        bench.decode(0.25)
    rates = bench.meter.rates
    assert rates.decode_tokens_per_second == 60.0
    assert [slot.decode_tokens_per_second for slot in rates.slots] == [40.0, 20.0]


def test_a_request_that_ends_takes_its_rate_along() -> None:
    bench = Bench().busy()
    bench.server.end(0)
    bench.poll()
    assert (bench.meter.rates.decode_tokens_per_second, bench.meter.rates.slots) == (None, ())


def test_a_prompt_has_a_rate_from_batch_to_batch() -> None:
    bench = Bench()
    bench.server.start(0, prompt=10_000)
    for _ in range(4):
        bench.poll()
        bench.time += 3
        bench.server.read(0, 1536)
    assert bench.meter.rates.prefill_tokens_per_second == 512.0
    assert bench.meter.rates.decode_tokens_per_second is None


def test_a_finished_prompt_has_the_rate_of_all_of_it() -> None:
    bench = Bench(with_counters=False)
    bench.server.start(0, prompt=4000)
    bench.poll()
    bench.time += 5
    bench.server.decode(0, 1)
    bench.poll()
    bench.server.end(0)
    [finished] = bench.poll()
    assert (finished.prefill_tokens_per_second, finished.first_token_seconds) == (800.0, 5.0)


def test_the_total_counts_a_request_under_way_and_then_as_ended() -> None:
    bench = Bench().busy()
    assert bench.meter.rates.decoded_total == 120
    bench.server.decode(0, 3)
    bench.server.end(0)
    bench.poll()
    assert bench.meter.rates.decoded_total == 123


def test_a_request_between_two_polls_is_in_the_total() -> None:
    bench = Bench()
    bench.poll()
    bench.server.start(0, prompt=1)
    bench.server.decode(0, 17)
    bench.server.end(0)
    bench.poll()
    assert bench.meter.rates.decoded_total == 17


def test_without_counters_the_total_is_a_lower_bound() -> None:
    bench = Bench(with_counters=False).busy()
    assert bench.meter.rates.decoded_total == 120
    assert bench.meter.rates.decoded_total_is_lower_bound
    assert bench.meter.rates.sources == ("/slots",)


def test_counters_that_turn_up_later_are_no_burst() -> None:
    bench = Bench(with_counters=False).busy()
    bench.server.counted += 1_000_000
    bench.with_counters = True
    bench.decode(0.5)
    assert bench.meter.rates.decode_tokens_per_second == 40.0


def test_counters_that_start_again_lose_nothing() -> None:
    bench = Bench().busy()
    bench.server.end(0)
    bench.poll()
    bench.server.counted = 0
    bench.poll()
    assert bench.meter.rates.decoded_total == 120


def test_cancelled_requests_that_a_server_does_not_count_are_kept() -> None:
    bench = Bench()
    bench.server.counts_cancelled = False
    bench.busy()
    bench.server.end(0, cancelled=True)
    for _ in range(3):
        bench.poll()
    bench.server.start(0, prompt=1)
    bench.decode(1)
    assert bench.meter.rates.decoded_total == 160


def test_a_restarted_runner_starts_over() -> None:
    bench = Bench().busy()
    bench.started = 2.0
    bench.server = Simulation()
    bench.poll()
    assert (bench.meter.rates.decoded_total, bench.meter.rates.decode_tokens_per_second) == (0, None)


def test_task_numbers_used_again_after_a_reload_are_another_request() -> None:
    bench = Bench(with_counters=False).busy()
    bench.server.slots[0].decoded = 4
    [finished] = bench.poll()
    assert finished.decoded_tokens == 120
    assert bench.meter.rates.decoded_total == 124


def test_a_busy_runner_keeps_its_rate_for_3_seconds() -> None:
    bench = Bench().busy()
    bench.time += 3
    bench.feed("busy")
    held = bench.meter.rates
    bench.time += 0.5
    bench.feed("busy")
    assert (held.decode_tokens_per_second, bench.meter.rates.decode_tokens_per_second) == (40.0, None)
    assert bench.meter.rates.decoded_total == 120


@pytest.mark.parametrize("state", ["asleep", "loading", "failing", "starting"])
def test_a_runner_that_does_not_serve_has_no_rate(state: ModelState) -> None:
    bench = Bench().busy()
    [finished] = bench.feed(state)
    assert (finished.decoded_tokens, finished.decoded_is_lower_bound) == (120, True)
    rates = bench.meter.rates
    assert (rates.decode_tokens_per_second, rates.running, rates.decoded_total) == (None, None, 120)


def test_a_finished_request_says_what_it_came_to() -> None:
    bench = Bench(with_counters=False)
    bench.poll()
    bench.server.start(0, prompt=100)
    bench.time += 1
    bench.poll()
    bench.decode(3)
    bench.server.decode(0, 6)
    bench.server.end(0)
    bench.time += 0.25
    [finished] = bench.poll()
    assert finished == FinishedRequest(
        slot_id=0,
        task_id=0,
        started=START + 1,
        ended=START + 4.25,
        prompt_tokens=100,
        decoded_tokens=126,
        decode_tokens_per_second=40.0,
        first_token_seconds=0.25,
        context_tokens=220,
        parallel=1,
        cached_tokens=0,
        held_tokens=225,
    )


def test_the_servers_own_rate_is_preferred_where_the_counters_are_of_this_request_alone() -> None:
    bench = Bench().busy()
    bench.server.counted_seconds = 2.5
    bench.server.end(0)
    [finished] = bench.poll()
    assert finished.decode_tokens_per_second == 119 / 2.5, "the first token comes of the prompt"


def test_two_requests_that_end_together_have_the_rates_that_were_seen() -> None:
    bench = Bench()
    bench.poll()
    for slot in (0, 1):
        bench.server.start(slot, prompt=10)
    for _ in range(12):
        bench.server.decode(1, 5)
        bench.decode(0.25)
    for slot in (0, 1):
        bench.server.end(slot)
    assert [request.decode_tokens_per_second for request in bench.poll()] == [40.0, 20.0]


def test_a_slot_taken_again_at_once_leaves_a_lower_bound() -> None:
    bench = Bench(with_counters=False).busy()
    bench.server.decode(0, 3)
    bench.server.end(0)
    bench.server.start(0, prompt=10)
    [finished] = bench.poll()
    assert (finished.decoded_tokens, finished.decoded_is_lower_bound) == (120, True)
    assert bench.meter.rates.running == 1


def test_a_request_whose_start_was_missed_has_no_time_to_first_token() -> None:
    bench = Bench()
    bench.server.start(0, prompt=10)
    bench.decode(1)
    bench.server.end(0)
    [finished] = bench.poll()
    assert finished.first_token_seconds is None


def test_the_context_is_that_of_the_fullest_slot_and_never_a_sum() -> None:
    bench = Bench()
    for slot, prompt in enumerate((100, 300)):
        bench.server.start(slot, prompt)
        bench.server.read(slot, prompt)
    bench.poll()
    assert (bench.meter.rates.context_tokens, bench.meter.rates.context_length) == (300, 4096)


def test_waiting_requests_are_known_from_the_counters_alone() -> None:
    bench = Bench()
    bench.server.waiting = 3
    bench.poll()
    assert bench.meter.rates.waiting == 3
    bench.with_counters = False
    bench.time += 5
    bench.poll()
    assert bench.meter.rates.waiting == 3, "counters are read every 5 s while nothing ends"
    bench.time += 2
    bench.poll()
    assert bench.meter.rates.waiting is None


@pytest.mark.parametrize(("drafted", "accepted", "share"), [(0.0, 0.0, None), (12.0, 9.0, 0.75)])
def test_draft_acceptance_is_known_where_there_are_drafts(
    drafted: float, accepted: float, share: float | None
) -> None:
    bench = Bench()
    counters = WorkCounters(draft_tokens_total=drafted, draft_accepted_total=accepted)
    bench.feed("ready", bench.server.slot_samples(), counters)
    assert bench.meter.rates.draft_acceptance == share


def read_by_batches(*batches: tuple[int, float]) -> list[tuple[float, float | None]]:
    """Return the prefill rate at each poll of a prompt read in batches: tokens and seconds of each."""
    meter, shown = RateMeter(), []
    computed, held, ends = 0, batches[0][0], batches[0][1]
    left = list(batches)
    for poll in range(round(sum(seconds for _, seconds in batches) * 2)):
        time = poll / 2
        while left and time >= ends:
            computed += left.pop(0)[0]
            if left:
                held, ends = held + left[0][0], ends + left[0][1]
        slot = Slot(
            slot_id=0,
            processing=True,
            task_id=7,
            prompt_tokens=held,
            prompt_tokens_processed=computed,
            prompt_tokens_cached=0,
            decoded_tokens=0,
        )
        meter.feed(
            WorkSample(time=START + time, source="runner 7", pid=7, started=1.0, state="ready", slots=(slot,))
        )
        shown.append((time, meter.rates.prefill_tokens_per_second))
    return shown


def test_a_prompt_that_gets_slower_is_not_shown_at_the_rate_of_its_first_batch() -> None:
    shown = read_by_batches((512, 4.43), (512, 7.0), (66, 0.97))
    assert all(rate is None for time, rate in shown if time < 4.43), "nothing has been computed yet"
    overdue = [rate or 0.0 for time, rate in shown if time >= 9.0]
    assert overdue == sorted(overdue, reverse=True), "it falls while the batch takes longer than it should"
    assert overdue[-1] == pytest.approx(1090 / 12.4, rel=0.05), "the server's log says 87.9 of the whole"


def test_a_prompt_whose_batches_are_alike_has_their_rate() -> None:
    shown = read_by_batches(*[(512, 4.0)] * 5)
    assert {rate for time, rate in shown if time >= 4} == {128.0}


def test_a_batch_that_hangs_lets_the_rate_fall_towards_nothing() -> None:
    shown = read_by_batches((512, 4.0), (512, 60.0))
    rate = shown[-1][1]
    assert rate is not None
    assert rate < 20.0
