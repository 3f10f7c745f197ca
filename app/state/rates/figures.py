"""What meters tell of requests: rates, totals, those that ended, those too short to be seen at work."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Collection, Iterable
from statistics import fmean
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.state.rates.picture import Drawing
from gpumon.app.state.series import TIERS, Bucket, Series
from gpumon.collectors.samples import LogEvent, Slot, WorkCounters

Phase = Literal["prefill", "decode"]


class PromptProgress(Struct, frozen=True, kw_only=True):
    """How far a prompt is read. All but ``done_tokens`` is an estimate, never more."""

    done_tokens: int
    """Kept from before or read by now."""
    expected_tokens: int | None = None
    """About how long it is; ``None`` where nothing tells."""
    seconds_left: float | None = None


class SlotRates(Struct, frozen=True):
    """A slot that works on a request now."""

    slot_id: int
    task_id: int | None
    phase: Phase
    decode_tokens_per_second: float | None = None
    """Tokens per second over the last 2 s."""
    prefill_tokens_per_second: float | None = None
    """Prompt tokens per second, between batches; ``None`` before the second one."""
    decoded_tokens: int | None = None
    context_tokens: int | None = None
    context_length: int | None = None
    started: float | None = None
    """When its request was first seen at work."""
    is_older: bool = False
    """Whether it was at work already when its process was first asked."""
    cached_tokens: int | None = None
    """Those of its prompt that were kept from before."""
    prompt: PromptProgress | None = None
    """How far its prompt is read, while it is."""


class RunnerRates(Struct, frozen=True):
    """A runner at its latest sample. Rates are ``None`` where no request is in that phase."""

    decode_tokens_per_second: float | None = None
    """Tokens per second, all requests together."""
    is_estimate: bool = False
    """Whether ``decode_tokens_per_second`` rests on pieces of answers that were counted as tokens."""
    prefill_tokens_per_second: float | None = None
    """Prompt tokens per second, all requests together."""
    slots: tuple[SlotRates, ...] = ()
    decoded_total: int | None = None
    """Tokens generated: since the runner started where it counts them, else since it is watched."""
    decoded_total_is_lower_bound: bool = False
    """Without counters, what a request generates after its last poll may be missed."""
    running: int | None = None
    waiting: int | None = None
    """Requests that wait for a slot; only ``/metrics`` tells."""
    context_tokens: int | None = None
    """Tokens in the fullest slot; slots that share one cache each show the whole length."""
    context_length: int | None = None
    context_cached_tokens: int | None = None
    """Those of ``context_tokens`` that its latest request found there; ``None`` where it is not told."""
    draft_acceptance: float | None = None
    """Drafted tokens that were accepted, 0 to 1, since the runner started."""
    sources: tuple[str, ...] = ()
    """Where the figures come from: ``/slots``, ``/metrics``, ``meter``, ``log``."""
    unmeasured_requests: int | None = None
    """Those found to have ended that were too short for a rate, at the least.

    ``None`` where counters or a log tell of them."""
    awaited_until: float | None = None
    """Until when the next request is awaited, where some too short to be seen at work follow one another. So
    long the model counts as at work, and its rate is that of the latest of them."""
    drawing: Drawing | None = None
    """The picture that an image generator works on."""

    @property
    def are_too_short(self) -> bool:
        """Whether requests follow one another that are too short for a rate, and nothing else tells it."""
        rate = self.decode_tokens_per_second or self.prefill_tokens_per_second
        return self.awaited_until is not None and bool(self.unmeasured_requests) and not rate

    def standing(self, now: float) -> RunnerRates:
        """Return what of it still stands at a time at which nothing new was heard."""
        if self.awaited_until is None or now <= self.awaited_until:
            return self
        if self.slots:
            return replace(self, awaited_until=None)
        return replace(
            self, awaited_until=None, decode_tokens_per_second=None, prefill_tokens_per_second=None
        )


class FinishedRequest(Struct, frozen=True):
    """A request that was seen at work and has ended."""

    slot_id: int
    task_id: int | None
    started: float
    """When it was first seen at work."""
    ended: float
    """When it was first seen to have ended."""
    prompt_tokens: int | None = None
    decoded_tokens: int | None = None
    decoded_is_lower_bound: bool = False
    """Its end was not seen: ``decoded_tokens`` is what the last poll found."""
    prefill_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None
    first_token_seconds: float | None = None
    """From when it was first seen to its first token, to within a poll; ``None`` where either was missed."""
    source: str = "/slots"
    """Where the figures come from: ``/slots``, or ``log``."""
    context_tokens: int | None = None
    """Tokens in the slot at the last poll of it."""
    parallel: int | None = None
    """Requests at work together while it generated; ``None`` where their number changed much."""
    cached_tokens: int | None = None
    """Those of its prompt that were kept from before, and not read."""
    held_tokens: int | None = None
    """Prompt and answer, as its slot holds them after it."""
    has_shifted: bool = False
    """Whether its slot has dropped the oldest tokens to go on (llama.cpp: ``--context-shift``)."""
    energy_joules: float | None = None
    """What its GPUs took from its start to its end, as far as nobody else was at work on them."""


class RateSummary(NamedTuple):
    """Tokens per second, over what a series holds."""

    last: float
    average: float
    """Of the time in which there was a rate."""
    best: float


def summary_of(series: Series, now: float) -> RateSummary | None:
    """Return the summary of a series; ``None`` where it never had a value."""
    tiers = [_buckets(series, now, width, count) for width, count in TIERS]
    longest = tiers[-1]
    if not longest:
        return None
    recent = next(buckets for buckets in tiers if buckets)
    return RateSummary(
        last=recent[-1].mean if series.last is None else series.last,
        average=fmean(bucket.mean for bucket in longest),
        best=max(bucket.maximum for bucket in longest),
    )


def _buckets(series: Series, now: float, width: float, count: int) -> list[Bucket]:
    return [bucket for bucket in series.window(now, width * count, count) if bucket is not None]


LOG = "log"

SHORT_SECONDS = 4.0
"""A request that took longer is seen at work by the polls."""
FOLLOW_SECONDS = 6.0
"""Two that end within this time follow one another."""
HOLD_SECONDS = 4.0
"""So long after the latest one the next is awaited; its rate stands as long."""
TELLING_TOKENS = 8
"""Counters that grew by fewer say little of a rate: how many requests that were is not known."""


class Streak:
    """When short requests ended, and how fast the latest was."""

    def __init__(self) -> None:
        self.unmeasured = 0
        """Requests that were found to have ended, and of which no look made a rate."""
        self._ended: deque[float] = deque(maxlen=2)
        self._rate: float | None = None
        self._rate_at = float("-inf")
        self._embedding: float | None = None
        self._embedding_at = float("-inf")

    def note_end(self, time: float, seconds: float = 0.0) -> None:
        """Note that a request was found to have ended, and how long it was seen at work."""
        if seconds <= SHORT_SECONDS:
            self._ended.append(time)

    def note_unmeasured(self, missed: Collection[Request], finished: Iterable[FinishedRequest]) -> None:
        """Count the requests that no look saw at work, and those that were seen too seldom."""
        self.unmeasured += len(missed) + sum(one.decode_tokens_per_second is None for one in finished)

    def note_rate(self, time: float, tokens_per_second: float | None) -> None:
        """Note the decode rate of a request that has ended."""
        if tokens_per_second is not None:
            self._rate, self._rate_at = tokens_per_second, time

    def rate(self, now: float) -> float | None:
        """Return the rate of the latest request, unless that was long ago."""
        return self._rate if now - self._rate_at <= FOLLOW_SECONDS else None

    def note_embedding(self, time: float, tokens_per_second: float | None) -> None:
        """Note the rate of a request that was a prompt only."""
        if tokens_per_second is not None:
            self._embedding, self._embedding_at = tokens_per_second, time

    def embedding_rate(self, now: float) -> float | None:
        """Return the rate of the latest prompt without an answer, while the next is awaited."""
        fresh = self.until(now) is not None and now - self._embedding_at <= FOLLOW_SECONDS
        return self._embedding if fresh else None

    def until(self, now: float) -> float | None:
        """Return until when the next request is awaited; ``None`` where none is."""
        if len(self._ended) < 2 or self._ended[1] - self._ended[0] > FOLLOW_SECONDS:
            return None
        end = self._ended[1] + HOLD_SECONDS
        return end if now <= end else None


KEPT = 64


class Request(NamedTuple):
    """The identity of a request of one process."""

    slot: int
    task: int | None


class Told(NamedTuple):
    """What a log says of a finished request."""

    tokens: int
    seconds: float
    prompt: tuple[int, float] | None = None
    """Tokens and seconds, where it says so."""

    @property
    def decode_rate(self) -> float | None:
        """Return the decode rate."""
        return rate_of_answer(self.tokens, self.seconds)

    @property
    def prefill_rate(self) -> float | None:
        """Return the prefill rate."""
        if self.prompt is None or self.prompt[0] == 0 or self.prompt[1] <= 0:
            return None
        return self.prompt[0] / self.prompt[1]

    @property
    def whole_seconds(self) -> float:
        """Return how long it took from the first prompt token on."""
        return self.seconds + (self.prompt[1] if self.prompt else 0.0)

    def finished(self, request: Request, now: float) -> FinishedRequest:
        """Return it as a request of which nothing else is known."""
        return FinishedRequest(
            slot_id=request.slot,
            task_id=request.task,
            started=now - self.whole_seconds,
            ended=now,
            decoded_tokens=self.tokens,
            prefill_tokens_per_second=self.prefill_rate,
            decode_tokens_per_second=self.decode_rate,
            source=LOG,
        )


def rate_of_answer(tokens: float, seconds: float, requests: int = 1) -> float | None:
    """Return tokens per second of answers, ``None`` where too little was computed.

    The first token of an answer comes out of the prompt, before the time of its generation is counted
    (llama.cpp: tools/server/server-context.cpp, ``t_start_generation``).
    """
    return (tokens - requests) / seconds if tokens > requests and seconds > 0 else None


class LogTimings:
    """Joins the lines of a request: the time of its prompt is in one of its own, before its answer's."""

    def __init__(self) -> None:
        self._prompts: OrderedDict[Request, tuple[int, float]] = OrderedDict()

    def take(self, event: LogEvent) -> tuple[Request, Told] | None:
        """Take in one line; return the request that it ends."""
        if event.slot is None or event.count is None or event.seconds is None:
            return None
        request = Request(event.slot, event.task)
        if event.kind == "request_decode":
            return request, Told(event.count, event.seconds, self._prompts.pop(request, None))
        if event.kind == "request_prefill":
            self._prompts[request] = (event.count, event.seconds)
            if len(self._prompts) > KEPT:
                self._prompts.popitem(last=False)
        return None


class Lately:
    """How many tokens were counted of requests that ended lately, so that none is counted twice."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[Request, int] = OrderedDict()

    def __contains__(self, request: object) -> bool:
        return request in self._tokens

    def note(self, request: Request, tokens: int) -> int:
        """Note what is known of a request now; return how many of its tokens were not counted before."""
        before = self._tokens.pop(request, 0)
        self._tokens[request] = max(tokens, before)
        if len(self._tokens) > KEPT:
            self._tokens.popitem(last=False)
        return max(tokens - before, 0)


def unseen(before: tuple[Slot, ...], now: tuple[Slot, ...], known: Lately) -> dict[Request, int]:
    """Return the requests that began and ended between two looks, one for each slot that rests.

    A slot that rests keeps the number of its latest task and, in builds up to mid-2026, the tokens of its
    answer; else 0. How many came before in the same slot is not told: each turn of the server's loop, each
    question and each cancelled request takes a number as well.
    """
    tasks = {slot.slot_id: slot.task_id for slot in before}
    left = {
        Request(slot.slot_id, slot.task_id): slot.decoded_tokens or 0
        for slot in now
        if not slot.processing and slot.task_id is not None and slot.slot_id in tasks
    }
    return {one: tokens for one, tokens in left.items() if one.task != tasks[one.slot] and one not in known}


class Growth(NamedTuple):
    """By how much counters grew; 0 where it is not known."""

    decoded: float = 0.0
    decoded_seconds: float = 0.0
    prompt: float = 0.0
    prompt_seconds: float = 0.0

    @property
    def embedding_rate(self) -> float | None:
        """Return prompt tokens per second of requests without an answer; ``None`` where there were others."""
        if self.decoded or not self.prompt or not self.prompt_seconds:
            return None
        return self.prompt / self.prompt_seconds


def growth(before: WorkCounters | None, after: WorkCounters | None) -> Growth:
    """Return by how much the counters grew from one look to another."""
    if before is None or after is None:
        return Growth()
    return Growth(
        _grown(before.decoded_tokens_total, after.decoded_tokens_total),
        _grown(before.decoded_seconds_total, after.decoded_seconds_total),
        _grown(before.prompt_tokens_total, after.prompt_tokens_total),
        _grown(before.prompt_seconds_total, after.prompt_seconds_total),
    )


def _grown(before: float | None, after: float | None) -> float:
    return 0.0 if before is None or after is None else max(after - before, 0.0)


def acceptance(counters: WorkCounters | None) -> float | None:
    """Return the share of drafted tokens that were accepted; ``None`` where nothing was drafted."""
    if counters is None or not counters.draft_tokens_total or counters.draft_accepted_total is None:
        return None
    return min(counters.draft_accepted_total / counters.draft_tokens_total, 1.0)
