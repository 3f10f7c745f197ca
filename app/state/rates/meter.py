"""Live rates of one model, from what its server says of its work or its log. Pure: samples say the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from msgspec.structs import replace

from gpumon.app.state.rates.figures import (
    LOG,
    TELLING_TOKENS,
    FinishedRequest,
    Lately,
    LogTimings,
    Request,
    RunnerRates,
    Streak,
    acceptance,
    growth,
    rate_of_answer,
    unseen,
)
from gpumon.app.state.rates.ledger import TokenLedger
from gpumon.app.state.rates.prefill import PromptTrack
from gpumon.app.state.rates.requests import TELLING_COUNTS, TELLING_SECONDS, Task, Window
from gpumon.collectors.samples import LogEvent, Slot, WorkCounters, WorkSample

HOLD_SECONDS = 3.0
"""So long a rate stands while the runner works and gives no statistics."""
COUNTERS_HOLD_SECONDS = 6.0
"""So long counters stand: while the same requests are at work they are read every 5 s."""


COUNTERS = "counters"
STATED = "server"
"""Where figures come from, where the sample does not name a path."""


class RateMeter:
    """Takes the samples of one model in time order; those of a restarted process start it over."""

    def __init__(self) -> None:
        self.rates = RunnerRates()
        """What the latest sample amounts to."""
        self._identity: tuple[int, float | None] | None = None
        self._start()

    def feed(self, sample: WorkSample) -> tuple[FinishedRequest, ...]:
        """Take in one sample and return the requests that it shows to have ended.

        Slots tell of each request; without them counters that grow while tokens are generated make a rate,
        and where there are none the rate that the server states is taken.
        """
        self._identify(sample)
        slots = _known_slots(sample)
        if slots is not None:
            return self._measure(slots, sample)
        if sample.state in ("busy", "ready"):
            self._without_slots(sample)
            return ()
        finished = self._end_all(sample.time)
        self.rates = RunnerRates(
            decoded_total=self._ledger.total, decoded_total_is_lower_bound=self._ledger.is_lower_bound
        )
        return finished

    def hear(self, event: LogEvent, now: float) -> FinishedRequest | None:
        """Take in one line of the server's log; return the request of which it says more than was known."""
        self.prompts.hear(event)
        ended = self._timings.take(event)
        if ended is None:
            return None
        request, told = ended
        self._heard_at = now
        self._streak.note_rate(now, told.decode_rate)
        task = self._tasks.get(request.slot)
        if task is not None and task.request == request:
            task.tell(told)
            return None
        if request not in self._lately and self._counters is None:
            self._streak.note_end(now, told.whole_seconds)
        self._ledger.add_told(self._lately.note(request, told.tokens))
        self.rates = replace(
            self.rates,
            decoded_total=self._ledger.total,
            awaited_until=self._streak.until(now),
            decode_tokens_per_second=self._decode_rate(now),
        )
        return told.finished(request, now)

    def knows(self, event: LogEvent) -> bool:
        """Whether the request of a line was seen in a slot."""
        return event.task is not None and any(
            (slot.slot_id, slot.task_id) == (event.slot, event.task) for slot in self._slots
        )

    def refresh(self, now: float) -> None:
        """Let go of what does not stand any more."""
        self.rates = self.rates.standing(now)

    def _identify(self, sample: WorkSample) -> None:
        """Start over with another process; a sample by a server's URL names none."""
        if sample.pid is None or self._identity == (sample.pid, sample.started):
            return
        if self._identity is not None:
            self._start()
        self._identity = (sample.pid, sample.started)

    def _without_slots(self, sample: WorkSample) -> None:
        counters = sample.counters
        if counters is not None and counters.grows_live:
            self._measure_counts(sample, counters)
        elif sample.decode_tokens_per_second is not None or sample.prefill_tokens_per_second is not None:
            self.rates = _stated(sample)
        else:
            self._without_statistics(sample)

    def _measure_counts(self, sample: WorkSample, counters: WorkCounters) -> None:
        """Measure the rate by the growth of counters, or take it as stated where these do not tell."""
        decoded, computed = counters.decoded_tokens_total, counters.prompt_tokens_total
        rebased = decoded is not None and self._ledger.add(decoded, 0, 0)
        for window, count in ((self._output, decoded), (self._input, computed)):
            if rebased or count is None or counters.requests_processing == 0 or _stands(window, count):
                window.clear()
            if count is not None:
                window.add(sample.time, count)
        self.rates = RunnerRates(
            decode_tokens_per_second=self._output.rate or sample.decode_tokens_per_second or None,
            prefill_tokens_per_second=self._input.rate,
            decoded_total=None if decoded is None else self._ledger.total,
            running=counters.requests_processing,
            waiting=counters.requests_deferred,
            draft_acceptance=acceptance(counters),
            sources=(sample.origin or COUNTERS,),
        )

    def _start(self) -> None:
        self._tasks: dict[int, Task] = {}
        self._ledger = TokenLedger()
        self._output = Window()
        self._input = Window()
        """Prompt tokens, where a server counts them as they are computed."""
        self._counters: WorkCounters | None = None
        self._counted_at = float("-inf")
        self._heard_at = float("-inf")
        self._streak: Streak = Streak()
        self._lately: Lately = Lately()
        self._timings: LogTimings = LogTimings()
        self.prompts: PromptTrack = PromptTrack()
        self._slots: tuple[Slot, ...] = ()
        self._measured_at: float | None = None

    def _measure(self, slots: tuple[Slot, ...], sample: WorkSample) -> tuple[FinishedRequest, ...]:
        time, counters = sample.time, sample.counters
        ended = self._ended(slots)
        finished = tuple(task.finish(_at(slots, task), time, counters) for task in ended)
        self._follow(slots, time)
        late = self._ledger.awaits_counter
        self._count(ended, finished, counters)
        self._note_ends(slots, time, finished, None if late else counters)
        if counters is not None:
            self._counters, self._counted_at = counters, time
        self._slots = slots or self._slots
        self._measured_at = time
        self.rates = self._summary(sample)
        return finished

    def _ended(self, slots: tuple[Slot, ...]) -> list[Task]:
        """Take out the tasks that no slot works on any more."""
        by_id = {slot.slot_id: slot for slot in slots}
        over = [key for key, task in self._tasks.items() if key not in by_id or not task.is_same(by_id[key])]
        return [self._tasks.pop(key) for key in over]

    def _follow(self, slots: tuple[Slot, ...], time: float) -> None:
        for slot in slots:
            if slot.slot_id in self._tasks:
                self._tasks[slot.slot_id].see(slot, time)
            elif slot.processing:
                is_older = self._measured_at is None
                self._tasks[slot.slot_id] = Task(slot, time, self._counters, is_older=is_older)
        for task in self._tasks.values():
            task.note_company(len(self._tasks))

    def _note_ends(
        self,
        slots: tuple[Slot, ...],
        time: float,
        finished: tuple[FinishedRequest, ...],
        counters: WorkCounters | None,
    ) -> None:
        """Note what has ended, seen at work or not; what ends together does not follow one another."""
        grown = growth(self._counters, counters)
        missed = unseen(self._slots, slots, self._lately)
        self._streak.note_unmeasured(missed, finished)
        for request, tokens in missed.items():
            self._ledger.add_told(self._lately.note(request, tokens))
        for one in finished:
            self.prompts.note(one)
            self._lately.note(Request(one.slot_id, one.task_id), one.decoded_tokens or 0)
            self._streak.note_rate(time, one.decode_tokens_per_second)
        counted = grown.decoded or (grown.prompt and not self._tasks)
        if finished:
            self._streak.note_end(time, min(one.ended - one.started for one in finished))
        elif missed or counted:
            self._streak.note_end(time)
        if grown.decoded >= TELLING_TOKENS:
            rate = rate_of_answer(grown.decoded, grown.decoded_seconds, max(len(finished), 1))
            self._streak.note_rate(time, rate)
        if not self._tasks:
            self._streak.note_embedding(time, grown.embedding_rate)

    def _count(
        self,
        ended: list[Task],
        finished: tuple[FinishedRequest, ...],
        counters: WorkCounters | None,
    ) -> None:
        counter = None if counters is None else counters.decoded_tokens_total
        counted = counter is not None or not self._ledger.is_lower_bound
        seen_tokens = sum(task.decoded_tokens for task in ended)
        final_tokens = sum(request.decoded_tokens or 0 for request in finished)
        running_tokens = sum(task.decoded_tokens for task in self._tasks.values())
        self._ledger.add(counter, seen_tokens if counted else final_tokens, running_tokens)

    def _decode_rate(self, now: float) -> float | None:
        """Return the sum of the requests at work; in one that has just begun, as much as in the others.

        Nothing but what a request has generated itself is counted: between two of them lies no time of its.
        Between short ones that follow one another the rate of the latest stands.
        """
        awaited = self._streak.until(now) is not None
        usual = self._streak.rate(now) if awaited else None
        decoding = [task for task in self._tasks.values() if task.decoding]
        if not decoding:
            return usual
        measured = _measured(decoding)
        if measured is not None:
            return measured
        return None if usual is None else usual * len(decoding)

    def _summary(self, sample: WorkSample) -> RunnerRates:
        tasks = tuple(self.prompts.rates_of(task) for _, task in sorted(self._tasks.items()))
        held = sample.time - self._counted_at <= COUNTERS_HOLD_SECONDS
        counters = self._counters if held else None
        fullest = max(self._slots, key=lambda slot: slot.prompt_tokens or 0, default=None)
        return RunnerRates(
            decode_tokens_per_second=self._decode_rate(sample.time),
            prefill_tokens_per_second=_sum(task.prefill_tokens_per_second for task in tasks)
            or self._streak.embedding_rate(sample.time),
            slots=tasks,
            decoded_total=self._ledger.total,
            decoded_total_is_lower_bound=self._ledger.is_lower_bound or sample.origin is not None,
            running=None if sample.origin is not None else len(tasks),
            waiting=counters.requests_deferred if counters else None,
            context_tokens=fullest.prompt_tokens if fullest else None,
            context_length=fullest.context_length if fullest else None,
            context_cached_tokens=self.prompts.cached_of(fullest) if fullest else None,
            draft_acceptance=acceptance(counters),
            sources=_sources(sample, counters, sample.time - self._heard_at <= COUNTERS_HOLD_SECONDS),
            awaited_until=self._streak.until(sample.time),
            unmeasured_requests=None if self._counters or self._heard_at > 0 else self._streak.unmeasured,
        )

    def _without_statistics(self, sample: WorkSample) -> None:
        """Keep the rates for a moment; they are not measured again as long as a batch is computed."""
        running = sample.counters.requests_processing if sample.counters else None
        if self._measured_at is None or sample.time - self._measured_at > HOLD_SECONDS:
            self.rates = replace(
                self.rates,
                decode_tokens_per_second=None,
                prefill_tokens_per_second=None,
                slots=(),
                running=running,
                waiting=None,
            )

    def _end_all(self, time: float) -> tuple[FinishedRequest, ...]:
        """End every request: the model is not there, or not as it was."""
        ended = list(self._tasks.values())
        finished = tuple(task.finish(None, time, None) for task in ended)
        self._tasks.clear()
        if ended:
            self._count(ended, finished, None)
        return finished


def _sources(sample: WorkSample, counters: WorkCounters | None, heard: bool) -> tuple[str, ...]:
    counted = sample.origin or "/metrics"
    said = (("/slots", sample.slots is not None), (counted, counters is not None), (LOG, heard))
    return tuple(path for path, answered in said if answered)


def _measured(decoding: Sequence[Task]) -> float | None:
    """Return the rate of all requests; ``None`` before it rests on enough tokens."""
    spans = [task.decode_span for task in decoding]
    rates = [rate for task in decoding if (rate := task.decode_rate) is not None]
    is_telling = sum(counts for counts, _ in spans) >= TELLING_COUNTS or any(
        seconds >= TELLING_SECONDS for _, seconds in spans
    )
    if not rates or not is_telling:
        return None
    return sum(rates) + (len(decoding) - len(rates)) * fmean(rates)


def _stated(sample: WorkSample) -> RunnerRates:
    """Return the rates that a server itself states; one of 0 is no request at work."""
    return RunnerRates(
        decode_tokens_per_second=sample.decode_tokens_per_second or None,
        prefill_tokens_per_second=sample.prefill_tokens_per_second or None,
        running=sample.counters.requests_processing if sample.counters else None,
        waiting=sample.counters.requests_deferred if sample.counters else None,
        sources=(sample.origin or STATED,),
    )


def _stands(window: Window, count: float) -> bool:
    """Whether a count is what it was: nothing was generated since, and what comes next is a new spell."""
    return window.last is not None and count <= window.last


def _known_slots(sample: WorkSample) -> tuple[Slot, ...] | None:
    """Return the slots; none at work where counters alone say so or tell of ended ones only."""
    if sample.slots is not None or sample.counters is None or sample.counters.grows_live:
        return sample.slots
    ended_only = sample.counters.requests_processing is None and sample.origin is not None
    return () if ended_only or sample.counters.requests_processing == 0 else None


def _at(slots: tuple[Slot, ...], task: Task) -> Slot | None:
    return next((slot for slot in slots if slot.slot_id == task.slot.slot_id), None)


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None
