"""The latest request that has ended, as its server tells of it: never what is so now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpumon.app.state.rates.figures import RunnerRates
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import last_of
from gpumon.collectors.samples import LastRequest
from gpumon.text import units


class LastPicture(NamedTuple):
    """What is said of it."""

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
    """Return the picture of it; ``None`` where no figure of it is told."""
    seen = last_of(record, state)
    if seen is None or seen.request == LastRequest(count=seen.request.count):
        return None
    ago = None if seen.ended is None else state.now - seen.ended
    return LastPicture(seen.request, seen.ended, ago, seen.origin)


def last_note(last: LastPicture | None, rates: RunnerRates) -> tuple[str, ...]:
    """Say how fast it was where there is no rate of now."""
    return (last.note,) if last and last.note and rates.decode_tokens_per_second is None else ()
