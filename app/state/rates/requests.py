"""One request in one slot, from the first poll that sees it to the first that does not."""

from __future__ import annotations

from collections import Counter, deque
from itertools import pairwise
from typing import NamedTuple

from gpumon.app.state.rates.figures import FinishedRequest, Phase, Request, SlotRates, Told, rate_of_answer
from gpumon.collectors.samples import Slot, WorkCounters

WINDOW_SECONDS = 2.0
LONGEST_WINDOW_SECONDS = 6.0
SHORTEST_SECONDS = 0.2
"""A rate over less is noise."""
TELLING_COUNTS = 11
"""Two looks miss up to one token at either end: over fewer a rate may be too high by more than a tenth."""
TELLING_SECONDS = 4.0
"""But after so long a rough rate is better than none."""


class Window:
    """Points of one count over the last ``WINDOW_SECONDS``, over more where that is few counts."""

    def __init__(self, shortest_seconds: float = SHORTEST_SECONDS) -> None:
        self._shortest_seconds = shortest_seconds
        self._points: deque[tuple[float, float]] = deque()

    def add(self, time: float, count: float) -> None:
        """Note the count at ``time``, which comes after those before."""
        self._points.append((time, count))
        while len(self._points) > 2 and self._is_enough(self._points[1]):
            self._points.popleft()

    def _is_enough(self, point: tuple[float, float]) -> bool:
        """Whether what came after a point is enough for a rate."""
        time, count = self._points[-1]
        return (point[0] <= time - WINDOW_SECONDS and count - point[1] >= TELLING_COUNTS) or (
            point[0] <= time - LONGEST_WINDOW_SECONDS
        )

    def clear(self) -> None:
        """Forget what was."""
        self._points.clear()

    @property
    def last(self) -> float | None:
        """The newest count."""
        return self._points[-1][1] if self._points else None

    @property
    def span(self) -> tuple[float, float]:
        """Counts and seconds from the oldest to the newest point."""
        if len(self._points) < 2:
            return 0.0, 0.0
        (first_time, first), (last_time, last) = self._points[0], self._points[-1]
        return max(last - first, 0.0), last_time - first_time

    @property
    def rate(self) -> float | None:
        """Counts per second, ``None`` where there is too little to tell."""
        counts, seconds = self.span
        return counts / seconds if seconds and seconds >= self._shortest_seconds else None


SHORTEST_PREFILL_SECONDS = 2.0
"""Prompt tokens are counted in whole batches and seen a poll late: a rate over less is mostly chance."""
PROMPT_WINDOW_SECONDS = 20.0
SHORTEST_DECODE_SECONDS = 0.5
SAME_COMPANY_SHARE = 0.75
"""Part of the polls in which as many requests must have been at work to name their number."""


class Prompt:
    """How fast one prompt is read: over all of it, or its last ``PROMPT_WINDOW_SECONDS``.

    What has been computed shows at the end of a batch only, and a batch may take seconds. While one takes
    longer than those before, the rate is what it would be if the batch ended now.
    """

    def __init__(self) -> None:
        self._points: deque[tuple[float, int]] = deque()
        self._in_batch = 0
        self._seen = 0.0

    def see(self, slot: Slot, time: float) -> None:
        """Take in one poll of its slot."""
        self._seen = time
        processed = slot.prompt_tokens_processed
        if processed is None:
            return
        if not self._points or processed != self._points[-1][1]:
            self._points.append((time, processed))
        while len(self._points) > 2 and self._points[1][0] <= time - PROMPT_WINDOW_SECONDS:
            self._points.popleft()
        ahead = (slot.prompt_tokens or 0) - (slot.prompt_tokens_cached or 0) - processed
        self._in_batch = ahead if ahead > 0 else self._largest_batch()

    @property
    def rate(self) -> float | None:
        """Tokens per second; ``None`` before the second batch, and where that is too short to tell."""
        if len(self._points) < 2:
            return None
        (begun, first), (computed, last) = self._points[0], self._points[-1]
        if computed - begun < SHORTEST_PREFILL_SECONDS:
            return None
        at_most = (last - first + self._in_batch) / (self._seen - begun)
        return min((last - first) / (computed - begun), at_most)

    def _largest_batch(self) -> int:
        return max((after[1] - before[1] for before, after in pairwise(self._points)), default=0)


class ReadSoFar(NamedTuple):
    """A prompt that is being read, as its slot tells."""

    slot: Slot
    seconds: float | None
    """For how long; ``None`` where its beginning was missed."""
    tokens_per_second: float | None

    @property
    def cached(self) -> int:
        """Tokens that were kept from before."""
        return self.slot.prompt_tokens_cached or 0

    @property
    def done(self) -> int | None:
        """Tokens that need not be read any more, kept or read.

        Builds differ in whether what is processed has what was kept in it; the slot holds no more than that.
        """
        held, processed = self.slot.prompt_tokens, self.slot.prompt_tokens_processed
        return None if held is None or processed is None else min(held, self.cached + processed)


class Task:
    """A request at work."""

    def __init__(
        self, slot: Slot, time: float, before: WorkCounters | None, *, is_older: bool = False
    ) -> None:
        self.slot = slot
        self.started = self._seen = time
        self._is_older = is_older
        self._before = before
        """The counters before it began."""
        self._prompt_tokens: int | None = None
        self._first_token_at: float | None = None
        self._seen_before_first_token = not slot.decoded_tokens
        self._has_shifted = False
        self._seen_from_start = slot.prompt_tokens_processed == 0
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] | None = None
        self._decode = Window()
        self._prefill = Prompt()
        self._told: Told | None = None
        self._company: Counter[int] = Counter()
        self.see(slot, time)

    @property
    def decoding(self) -> bool:
        """Whether it has generated a token."""
        return bool(self.slot.decoded_tokens)

    @property
    def decoded_tokens(self) -> int:
        """Tokens generated at the last poll."""
        return self.slot.decoded_tokens or 0

    @property
    def request(self) -> Request:
        """Its identity."""
        return Request(self.slot.slot_id, self.slot.task_id)

    @property
    def decode_rate(self) -> float | None:
        """Tokens per second over the last seconds; rough where ``decode_span`` is short."""
        return self._decode.rate

    @property
    def decode_span(self) -> tuple[float, float]:
        """Tokens and seconds that ``decode_rate`` rests on."""
        return self._decode.span

    def tell(self, told: Told) -> None:
        """Note what the log says of it: it has ended, and the next poll will show so."""
        self._told = told

    def is_same(self, slot: Slot) -> bool:
        """Whether ``slot`` still works on this request; task numbers start again after a reload."""
        same_task = slot.processing and slot.task_id == self.slot.task_id
        return same_task and (slot.decoded_tokens or 0) >= self.decoded_tokens

    def see(self, slot: Slot, time: float) -> None:
        """Take in one poll of its slot."""
        was, self.slot, self._seen = self.slot, slot, time
        self._has_shifted = self._has_shifted or _is_shift(was, slot)
        if not slot.decoded_tokens:
            self._prefill.see(slot, time)
            return
        if self._first is None:
            self._first = (time, slot.decoded_tokens)
            self._first_token_at = time if self._seen_before_first_token else None
            self._prompt_tokens = _prompt_tokens(slot)
        self._last = (time, slot.decoded_tokens)
        self._decode.add(time, slot.decoded_tokens)

    def note_company(self, count: int) -> None:
        """Record how many requests are at work, this one included."""
        if self.decoding:
            self._company[count] += 1

    def rates(self) -> SlotRates:
        """Return what it does now."""
        phase: Phase = "decode" if self.decoding else "prefill"
        return SlotRates(
            slot_id=self.slot.slot_id,
            task_id=self.slot.task_id,
            phase=phase,
            decode_tokens_per_second=self._decode.rate,
            prefill_tokens_per_second=None if self.decoding else self._prefill.rate,
            decoded_tokens=self.slot.decoded_tokens,
            context_tokens=self.slot.prompt_tokens,
            context_length=self.slot.context_length,
            started=self.started,
            is_older=self._is_older,
            cached_tokens=self.slot.prompt_tokens_cached,
        )

    @property
    def reading(self) -> ReadSoFar | None:
        """How far its prompt is; ``None`` once it generates."""
        if self.decoding:
            return None
        seconds = self._seen - self.started if self._seen_from_start and not self._is_older else None
        return ReadSoFar(self.slot, seconds, self._prefill.rate)

    def finish(self, resting: Slot | None, time: float, after: WorkCounters | None) -> FinishedRequest:
        """Return what it came to; ``resting`` is its slot as it is now, if that is known."""
        told = self._told
        final = self._final_tokens(resting) if told is None else told.tokens
        prompt_tokens = self._prompt_tokens
        if final is None and (counted := _counted_alone(self._before, after, resting)):
            prompt_tokens, final = counted
        prompt_processed = self.slot.prompt_tokens_processed if self.decoding else None
        return FinishedRequest(
            slot_id=self.slot.slot_id,
            task_id=self.slot.task_id,
            started=self.started,
            ended=time,
            prompt_tokens=prompt_tokens,
            decoded_tokens=self.slot.decoded_tokens if final is None else final,
            decoded_is_lower_bound=final is None,
            prefill_tokens_per_second=(told and told.prefill_rate)
            or _prompt_rate(self._before, after, prompt_processed)
            or self._prefill_rate(),
            decode_tokens_per_second=(told and told.decode_rate)
            or _decode_rate(self._before, after, final)
            or self._decode_rate(),
            first_token_seconds=None if self._first_token_at is None else self._first_token_at - self.started,
            context_tokens=self.slot.prompt_tokens,
            parallel=self._parallel(),
            cached_tokens=self.slot.prompt_tokens_cached,
            held_tokens=self._held_tokens(resting),
            has_shifted=self._has_shifted,
        )

    def _parallel(self) -> int | None:
        if not self._company:
            return None
        count, polls = self._company.most_common(1)[0]
        return count if polls >= SAME_COMPANY_SHARE * self._company.total() else None

    def _final_tokens(self, resting: Slot | None) -> int | None:
        """Return how many tokens it generated, from what it left in its slot.

        Builds up to mid-2026 leave ``n_decoded``. Later ones leave only the cached tokens: prompt and answer
        less the last token, which was sampled and never computed (recorded for b9713, b10434 and b11549).
        """
        if resting is None or resting.processing or resting.task_id != self.slot.task_id:
            return None
        if resting.decoded_tokens and resting.decoded_tokens >= self.decoded_tokens:
            return resting.decoded_tokens
        if self._prompt_tokens is None or resting.prompt_tokens is None:
            return None
        left = self.slot.remaining_tokens
        final = resting.prompt_tokens - self._prompt_tokens + 1
        plausible = final >= self.decoded_tokens and (left is None or final <= self.decoded_tokens + left)
        return final if plausible else None

    def _held_tokens(self, resting: Slot | None) -> int | None:
        """Return what its slot holds now, where nothing else is in it."""
        is_its_own = resting is not None and resting.task_id == self.slot.task_id and not resting.processing
        return resting.prompt_tokens if resting is not None and is_its_own else None

    def _prefill_rate(self) -> float | None:
        """Return the rate over the whole prompt; none in builds that count a batch before it is computed."""
        processed = self.slot.prompt_tokens_processed
        if self._first_token_at is None or not self._seen_from_start or not processed:
            return None
        seconds = self._first_token_at - self.started
        return processed / seconds if seconds >= SHORTEST_PREFILL_SECONDS else None

    def _decode_rate(self) -> float | None:
        """Return the rate from its first look to its last; ``None`` where no token came between them."""
        if self._first is None or self._last is None:
            return None
        seconds, tokens = self._last[0] - self._first[0], self._last[1] - self._first[1]
        return tokens / seconds if tokens and seconds >= SHORTEST_DECODE_SECONDS else None


def _is_shift(before: Slot, after: Slot) -> bool:
    """Return whether a slot holds less than before though more has been generated."""
    held, holds = before.prompt_tokens, after.prompt_tokens
    generates = bool(before.decoded_tokens) and (after.decoded_tokens or 0) > (before.decoded_tokens or 0)
    return held is not None and holds is not None and holds < held and generates


def _prompt_tokens(slot: Slot) -> int | None:
    """Return the length of the prompt, where the two ways to tell it agree.

    The slot holds prompt and answer; builds up to mid-2026 less the newest token (recorded for b9713).
    """
    held, processed, decoded = slot.prompt_tokens, slot.prompt_tokens_processed, slot.decoded_tokens
    if held is None or processed is None or decoded is None:
        return None
    lengths = {processed, processed + (slot.prompt_tokens_cached or 0)}
    return next((length for length in (held - decoded, held - decoded + 1) if length in lengths), None)


def _prompt_rate(before: WorkCounters | None, after: WorkCounters | None, tokens: int | None) -> float | None:
    """Return the server's own rate, where its counters grew by the tokens of this prompt and no other."""
    if before is None or after is None or not tokens:
        return None
    counted = _grown(before.prompt_tokens_total, after.prompt_tokens_total)
    seconds = _grown(before.prompt_seconds_total, after.prompt_seconds_total)
    return tokens / seconds if counted == tokens and seconds else None


def _decode_rate(before: WorkCounters | None, after: WorkCounters | None, tokens: int | None) -> float | None:
    """Return the server's own rate, where its counters grew by the tokens of this answer and no other."""
    if before is None or after is None or not tokens:
        return None
    counted = _grown(before.decoded_tokens_total, after.decoded_tokens_total)
    seconds = _grown(before.decoded_seconds_total, after.decoded_seconds_total)
    return rate_of_answer(tokens, seconds) if counted == tokens and seconds else None


def _counted_alone(
    before: WorkCounters | None, after: WorkCounters | None, resting: Slot | None
) -> tuple[int, int] | None:
    """Return the tokens of prompt and answer by which the counters grew, where its slot holds just these."""
    if before is None or after is None or resting is None or resting.processing:
        return None
    read = _grown(before.prompt_tokens_total, after.prompt_tokens_total)
    cached = _grown(before.prompt_tokens_cached_total, after.prompt_tokens_cached_total) or 0
    decoded = _grown(before.decoded_tokens_total, after.decoded_tokens_total)
    if not read or not decoded or read + cached + decoded - 1 != resting.prompt_tokens:
        return None
    return round(read + cached), round(decoded)


def _grown(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before
