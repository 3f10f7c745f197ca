"""What the document says of a model's work: its requests, its cache, the picture that it makes."""

from __future__ import annotations

import msgspec


class PictureEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The picture that an image generator works on."""

    step: int | None
    step_count: int | None
    seconds_per_step: float | None
    seconds_left: float | None
    """For the steps that are left, by the generator or by ``seconds_per_step``."""
    started: float | None
    """Unix time; ``None`` where its beginning was not seen."""
    width: int | None
    height: int | None
    batch_size: int | None
    waiting: int | None
    """Jobs queued behind it."""


class LastRequestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The latest request that has ended, by its server; nothing of it is so now."""

    ended: float | None
    count: int | None
    prompt_tokens: int | None
    cached_tokens: int | None
    decoded_tokens: int | None
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None
    first_token_seconds: float | None
    seconds: float | None
    source: str | None


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The memory that a server has set aside for all contexts."""

    used_fraction: float | None
    used_tokens: int | None
    capacity_tokens: int | None
    size_bytes: int | None
    size_is_estimate: bool | None
    size_by_gpu: dict[str, int] | None
    waiting_by_reason: dict[str, int]
    preemptions_total: int | None
    preempted_last_minute: int | None
    full_since: float | None
    prompt_found_fraction: float | None
    prompt_found_fraction_last_minute: float | None
    memory_read_bytes_per_second: float | None
    memory_read_fraction: float | None


class RequestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A request that has ended; no word of it."""

    started: float
    ended: float
    prompt_tokens: int | None
    cached_tokens: int | None
    generated_tokens: int | None
    generated_is_lower_bound: bool
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None
    first_token_seconds: float | None
    energy_joules: float | None
    source: str


class RereadEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What it costs that a prompt is read again at each turn."""

    cause: str
    turns: int
    tokens_each: int
    seconds_each: float | None
    time_fraction: float | None
    kept_tokens: int
