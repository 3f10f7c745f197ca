"""What a pass-through meter (``gpumon meter``) says of the requests that went through it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gpumon.collectors.samples.base import Fact, Sample

Name = Annotated[str, msgspec.Meta(max_length=512)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**60)]
Amount = Annotated[float, msgspec.Meta(ge=0)]

Outcome = Literal[
    "finished",
    "cancelled",  # the client left
    "failed",  # the server's answer broke off
]


class MeteredRequest(Fact, frozen=True, kw_only=True):
    """A request that has ended; nothing of what was asked or answered."""

    ended_seconds_ago: Amount
    seconds: Amount
    """From its first byte to its end."""
    outcome: Outcome = "finished"
    first_token_seconds: Amount | None = None
    """From its first byte to the first piece of the answer: waiting, loading and prefill together."""
    prompt_tokens: Count | None = None
    """Those found in the cache included."""
    decoded_tokens: Count | None = None
    decoded_is_estimate: bool = False
    """Pieces of the answer, counted on the way: the server did not say."""
    prefill_tokens_per_second: Amount | None = None
    """Only where the server tells computed tokens from cached ones (llama-server: ``timings``)."""
    decode_tokens_per_second: Amount | None = None
    decode_rate_is_estimate: bool = False
    """By the times at which pieces passed: the server gave no duration."""


class MeteredModel(Fact, frozen=True, kw_only=True):
    """The requests to one model."""

    name: Name | None = None
    """As the requests name it; ``None`` where neither request nor answer did."""
    requests_running: Count = 0
    requests_ended: Count = 0
    decode_tokens_per_second: Amount | None = None
    """Now, all requests together; ``None`` where no answer is under way."""
    decode_rate_is_estimate: bool = False
    decoded_tokens_total: Count = 0
    """Since the meter started, requests under way included."""
    decoded_total_is_estimate: bool = False
    prompt_tokens_total: Count = 0
    requests: tuple[MeteredRequest, ...] = ()
    """The last ones that ended, the oldest first."""


class MeterSample(Sample, frozen=True, kw_only=True, tag="meter"):
    """One poll of ``/.gpumon/meter``; source ``meter HOST:PORT``."""

    server: str
    """URL under which the meter is watched: the source of the models that its figures are of."""
    upstream: Name | None = None
    """URL to which the meter forwards, as seen from the meter's machine."""
    models: tuple[MeteredModel, ...] | None = None
    """``None`` when it did not answer."""
