"""Live rates of one runner from the polls of its port. Pure: time is what the samples say."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from gpumon.app.state.rates.ledger import TokenLedger
from gpumon.app.state.rates.tasks import Task
from gpumon.app.state.rates.values import FinishedRequest, RunnerRates
from gpumon.app.state.rates.window import Window
from gpumon.collectors.samples import RunnerCounters, RunnerSample, ServedModelSample, Slot

Answer = RunnerSample | ServedModelSample
"""One poll of a llama-server, on its own port or by its URL."""

HOLD_SECONDS = 3.0
"""So long a rate stands while the runner works and gives no statistics."""
COUNTERS_HOLD_SECONDS = 6.0
"""So long counters stand: while the same requests are at work they are read every 5 s."""


class RateMeter:
    """Takes the samples of one runner in time order; those of a restarted one start it over."""

    def __init__(self) -> None:
        self.rates = RunnerRates()
        """What the latest sample amounts to."""
        self._identity: tuple[int, float] | None = None
        self._start()

    def feed(self, sample: RunnerSample) -> tuple[FinishedRequest, ...]:
        """Take one sample and return the requests that it shows to have ended."""
        if self._identity != (sample.pid, sample.started):
            self._identity = (sample.pid, sample.started)
            self._start()
        return self.take(sample)

    def take(self, sample: Answer) -> tuple[FinishedRequest, ...]:
        """Take one sample of a server whose process is not known; return the requests that have ended."""
        slots = _known_slots(sample)
        if slots is not None:
            return self._measure(sample.time, slots, sample)
        if sample.state in ("busy", "ready"):
            self._without_statistics(sample)
            return ()
        finished = self._end_all(sample.time)
        self.rates = RunnerRates(
            decoded_total=self._ledger.total, decoded_total_is_lower_bound=self._ledger.is_lower_bound
        )
        return finished

    def _start(self) -> None:
        self._tasks: dict[int, Task] = {}
        self._ledger = TokenLedger()
        self._output = Window()
        self._counters: RunnerCounters | None = None
        self._counted_at = float("-inf")
        self._slots: tuple[Slot, ...] = ()
        self._measured_at: float | None = None

    def _measure(self, time: float, slots: tuple[Slot, ...], sample: Answer) -> tuple[FinishedRequest, ...]:
        counters = sample.counters
        ended = self._ended(slots)
        finished = tuple(task.finish(_at(slots, task), time, counters) for task in ended)
        self._follow(slots, time)
        self._count(time, ended, finished, counters)
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
                self._tasks[slot.slot_id] = Task(slot, time, self._counters)
        for task in self._tasks.values():
            task.note_company(len(self._tasks))

    def _count(
        self,
        time: float,
        ended: list[Task],
        finished: tuple[FinishedRequest, ...],
        counters: RunnerCounters | None,
    ) -> None:
        counter = None if counters is None else counters.decoded_tokens_total
        counted = counter is not None or not self._ledger.is_lower_bound
        seen_tokens = sum(task.decoded_tokens for task in ended)
        final_tokens = sum(request.decoded_tokens or 0 for request in finished)
        running_tokens = sum(task.decoded_tokens for task in self._tasks.values())
        rebased = self._ledger.add(counter, seen_tokens if counted else final_tokens, running_tokens)
        self._note_output(time, rebased)

    def _note_output(self, time: float, rebased: bool) -> None:
        """Note the total while tokens are generated: what lies between two such spells is no rate."""
        late = self._measured_at is not None and time - self._measured_at > HOLD_SECONDS
        decoding = [task for task in self._tasks.values() if task.decoding]
        new_spell = late and all(task.started == time for task in decoding)
        if rebased or new_spell or not decoding:
            self._output.clear()
        if decoding and self._ledger.total is not None:
            self._output.add(time, self._ledger.total)

    def _summary(self, sample: Answer) -> RunnerRates:
        tasks = tuple(task.rates() for _, task in sorted(self._tasks.items()))
        held = sample.time - self._counted_at <= COUNTERS_HOLD_SECONDS
        counters = self._counters if held else None
        fullest = max(self._slots, key=lambda slot: slot.prompt_tokens or 0, default=None)
        return RunnerRates(
            decode_rate=self._output.rate,
            prefill_rate=_sum(task.prefill_rate for task in tasks),
            slots=tasks,
            decoded_total=self._ledger.total,
            decoded_total_is_lower_bound=self._ledger.is_lower_bound,
            running=len(tasks),
            waiting=counters.requests_deferred if counters else None,
            context_tokens=fullest.prompt_tokens if fullest else None,
            context_length=fullest.context_length if fullest else None,
            draft_acceptance=_acceptance(counters),
            sources=_sources(sample.slots, counters),
        )

    def _without_statistics(self, sample: Answer) -> None:
        """Keep the rates for a moment; they are not measured again as long as a batch is computed."""
        running = sample.counters.requests_processing if sample.counters else None
        if self._measured_at is None or sample.time - self._measured_at > HOLD_SECONDS:
            self.rates = replace(
                self.rates, decode_rate=None, prefill_rate=None, slots=(), running=running, waiting=None
            )

    def _end_all(self, time: float) -> tuple[FinishedRequest, ...]:
        """End every request: the model is not there, or not as it was."""
        ended = list(self._tasks.values())
        finished = tuple(task.finish(None, time, None) for task in ended)
        self._tasks.clear()
        if ended:
            self._count(time, ended, finished, None)
        return finished


def _known_slots(sample: Answer) -> tuple[Slot, ...] | None:
    """Return the slots; none at work where the counters alone say so, ``None`` where nothing is known."""
    if sample.slots is not None or sample.counters is None:
        return sample.slots
    return () if sample.counters.requests_processing == 0 else None


def _at(slots: tuple[Slot, ...], task: Task) -> Slot | None:
    return next((slot for slot in slots if slot.slot_id == task.slot.slot_id), None)


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _acceptance(counters: RunnerCounters | None) -> float | None:
    if counters is None or not counters.draft_tokens_total or counters.draft_accepted_total is None:
        return None
    return min(counters.draft_accepted_total / counters.draft_tokens_total, 1.0)


def _sources(slots: tuple[Slot, ...] | None, counters: RunnerCounters | None) -> tuple[str, ...]:
    said = (("/slots", slots), ("/metrics", counters))
    return tuple(path for path, answer in said if answer is not None)
