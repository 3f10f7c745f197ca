"""What the rate meter tells of a model: live rates, totals, finished requests. ``None`` is unknown."""

from __future__ import annotations

from statistics import fmean
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.state.series import TIERS, Bucket, Series

Phase = Literal["prefill", "decode"]


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
