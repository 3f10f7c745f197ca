"""One request in one slot, from the first poll that sees it to the first that does not."""

from __future__ import annotations

from collections import Counter, deque

from gpumon.app.state.rates.values import FinishedRequest, Phase, SlotRates
from gpumon.collectors.samples import Slot, WorkCounters

WINDOW_SECONDS = 2.0
SHORTEST_SECONDS = 0.2
"""A rate over less is noise."""


class Window:
    """Points of one count, the newest of those that are ``WINDOW_SECONDS`` old and all later ones."""

    def __init__(self, shortest_seconds: float = SHORTEST_SECONDS) -> None:
        self._shortest_seconds = shortest_seconds
        self._points: deque[tuple[float, float]] = deque()

    def add(self, time: float, count: float) -> None:
        """Note the count at ``time``, which comes after those before."""
        self._points.append((time, count))
        while len(self._points) > 2 and self._points[1][0] <= time - WINDOW_SECONDS:
            self._points.popleft()

    def clear(self) -> None:
        """Forget what was."""
        self._points.clear()

    @property
    def last(self) -> float | None:
        """The newest count."""
        return self._points[-1][1] if self._points else None

    @property
    def rate(self) -> float | None:
        """Counts per second, ``None`` where there is too little to tell."""
        if len(self._points) < 2:
            return None
        (first_time, first), (last_time, last) = self._points[0], self._points[-1]
        seconds = last_time - first_time
        return max(last - first, 0.0) / seconds if seconds >= self._shortest_seconds else None


SHORTEST_PREFILL_SECONDS = 2.0
"""Prompt tokens are counted in whole batches and seen a poll late: a rate over less is mostly chance."""
SHORTEST_DECODE_SECONDS = 0.5
SAME_COMPANY_SHARE = 0.75
"""Part of the polls in which as many requests must have been at work to name their number."""


class Task:
    """A request at work."""

    def __init__(self, slot: Slot, time: float, before: WorkCounters | None) -> None:
        self.slot = slot
        self.started = time
        self._before = before
        """The counters before it began."""
        self._prompt_tokens: int | None = None
        self._first_token_at: float | None = None
        self._seen_before_first_token = not slot.decoded_tokens
        self._seen_from_start = slot.prompt_tokens_processed == 0
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] | None = None
        self._decode = Window()
        self._prefill = Window(SHORTEST_PREFILL_SECONDS)
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

    def is_same(self, slot: Slot) -> bool:
        """Whether ``slot`` still works on this request; task numbers start again after a reload."""
        same_task = slot.processing and slot.task_id == self.slot.task_id
        return same_task and (slot.decoded_tokens or 0) >= self.decoded_tokens

    def see(self, slot: Slot, time: float) -> None:
        """Take in one poll of its slot."""
        self.slot = slot
        processed = slot.prompt_tokens_processed
        if processed is not None and processed != self._prefill.last:
            self._prefill.add(time, processed)
        if not slot.decoded_tokens:
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
        )

    def finish(self, resting: Slot | None, time: float, after: WorkCounters | None) -> FinishedRequest:
        """Return what it came to; ``resting`` is its slot as it is now, if that is known."""
        final = self._final_tokens(resting)
        prompt_processed = self.slot.prompt_tokens_processed if self.decoding else None
        return FinishedRequest(
            slot_id=self.slot.slot_id,
            task_id=self.slot.task_id,
            started=self.started,
            ended=time,
            prompt_tokens=self._prompt_tokens,
            decoded_tokens=self.slot.decoded_tokens if final is None else final,
            decoded_is_lower_bound=final is None,
            prefill_tokens_per_second=_prompt_rate(self._before, after, prompt_processed)
            or self._prefill_rate(),
            decode_tokens_per_second=_decode_rate(self._before, after, final) or self._decode_rate(),
            first_token_seconds=None if self._first_token_at is None else self._first_token_at - self.started,
            context_tokens=self.slot.prompt_tokens,
            parallel=self._parallel(),
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

    def _prefill_rate(self) -> float | None:
        """Return the rate over the whole prompt; none in builds that count a batch before it is computed."""
        processed = self.slot.prompt_tokens_processed
        if self._first_token_at is None or not self._seen_from_start or not processed:
            return None
        seconds = self._first_token_at - self.started
        return processed / seconds if seconds >= SHORTEST_PREFILL_SECONDS else None

    def _decode_rate(self) -> float | None:
        if self._first is None or self._last is None:
            return None
        seconds = self._last[0] - self._first[0]
        return (self._last[1] - self._first[1]) / seconds if seconds >= SHORTEST_DECODE_SECONDS else None


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
    if before is None or after is None:
        return None
    return _server_rate(
        (before.prompt_tokens_total, before.prompt_seconds_total),
        (after.prompt_tokens_total, after.prompt_seconds_total),
        tokens,
    )


def _decode_rate(before: WorkCounters | None, after: WorkCounters | None, tokens: int | None) -> float | None:
    if before is None or after is None:
        return None
    return _server_rate(
        (before.decoded_tokens_total, before.decoded_seconds_total),
        (after.decoded_tokens_total, after.decoded_seconds_total),
        tokens,
    )


def _server_rate(
    before: tuple[float | None, float | None], after: tuple[float | None, float | None], tokens: int | None
) -> float | None:
    """Return the server's own rate, where its counters grew by the tokens of this request and no other."""
    if before[0] is None or before[1] is None or after[0] is None or after[1] is None:
        return None
    seconds = after[1] - before[1]
    return tokens / seconds if tokens and after[0] - before[0] == tokens and seconds > 0 else None
