"""How fast a model is where all of it fits, and how fast its latest request was by its server's word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from gpumon.app.picture.memory import ModelMemory
from gpumon.app.state.rates.figures import RunnerRates
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import last_of
from gpumon.collectors.samples import LastRequest
from gpumon.text import units

if TYPE_CHECKING:
    from gpumon.app.physics.hardware import Band


class FullRate(NamedTuple):
    """In tokens per second, with the range in which about nine of ten measurements lie."""

    tokens_per_second: float
    low: float
    high: float
    is_measured: bool
    """Whether it is a rate that was seen; else it is an estimate."""


class LastPicture(NamedTuple):
    """The latest request that has ended, as its server tells of it: never what is so now."""

    request: LastRequest
    ended: float | None
    """When a look found that it had; ``None`` where that was before the first look."""
    seconds_ago: float | None
    origin: str | None
    """Where its server tells of it: a path."""

    @property
    def ago(self) -> str:
        """When it was; empty where that is not known."""
        return "" if self.seconds_ago is None else units.ago(self.seconds_ago)

    @property
    def note(self) -> str:
        """Its rate and when it was, in a few words; empty where no rate is told."""
        rate = self.request.decode_tokens_per_second
        return "" if rate is None else ", ".join(filter(None, (f"last request {units.rate(rate)}", self.ago)))

    @property
    def sentence(self) -> str:
        """All that is told of it, in one line."""
        when = f", {self.ago}" if self.ago else ""
        return f"request{when}: {', '.join(self.parts)}{f' ({self.origin})' if self.origin else ''}"

    @property
    def parts(self) -> Iterator[str]:
        """Yield all that is told of it, each in a few words."""
        one = self.request
        if one.prompt_tokens is not None:
            kept = "" if one.cached_tokens is None else f", {one.cached_tokens} of them not read again"
            yield f"{one.prompt_tokens} tokens of prompt{kept}"
        if one.prefill_tokens_per_second is not None:
            yield f"read at {units.rate(one.prefill_tokens_per_second)}"
        if one.first_token_seconds is not None:
            yield f"first token after {one.first_token_seconds:.1f} s"
        if one.decoded_tokens is not None:
            yield f"{one.decoded_tokens} tokens of reply"
        if one.decode_tokens_per_second is not None:
            yield f"generated at {units.rate(one.decode_tokens_per_second)}"
        if one.seconds is not None:
            yield f"took {one.seconds:.1f} s"


def last_picture(record: ModelRecord, state: State) -> LastPicture | None:
    """Return the latest request that has ended; ``None`` where no figure of it is told."""
    seen = last_of(record, state)
    if seen is None or seen.request == LastRequest(count=seen.request.count):
        return None
    ago = None if seen.ended is None else state.now - seen.ended
    return LastPicture(seen.request, seen.ended, ago, seen.origin)


def last_note(last: LastPicture | None, rates: RunnerRates) -> tuple[str, ...]:
    """Say how fast it was where there is no rate of now."""
    return (last.note,) if last and last.note and rates.decode_tokens_per_second is None else ()


def full_of(
    estimate: Band | None, rates: RunnerRates, record: ModelRecord, memory: ModelMemory
) -> FullRate | None:
    """Return how fast a model is where all of it is on GPUs, by an estimate and by what was seen of it."""
    on_gpu = memory.placement.spill_fraction == 0 and memory.agreement.kind != "driver_sees_less"
    now = None if rates.is_estimate else rates.decode_tokens_per_second
    return full_rate(estimate, now, record.history.peak_on_gpu.tokens_per_second, on_gpu=on_gpu)


def full_rate(
    estimate: Band | None, now: float | None, best: float | None, *, on_gpu: bool
) -> FullRate | None:
    """Return the best of what is estimated and what was seen.

    ``best`` was seen while all of it was on GPUs, and ``now`` is of whatever holds it now: an estimate below
    either is wrong. Nothing is known where nothing was estimated and it never was wholly ``on_gpu``.
    """
    seen = max((rate for rate in (now if estimate or on_gpu else None, best) if rate), default=None)
    if estimate is not None and (seen is None or seen <= estimate.expected):
        return FullRate(estimate.expected, estimate.low, estimate.high, is_measured=False)
    if seen is None:
        return None
    high = seen if estimate is None else max(seen, estimate.high)
    return FullRate(seen, seen, high, is_measured=True)
