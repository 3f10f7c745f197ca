"""The rows of the history as they are read: a field for each column of the view of its name.

Times are Unix, ``minute`` is that at which a minute begins; ``monotonic_seconds`` go on where the clock was
set, and with ``session`` put rows in order. ``None`` is unknown.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from msgspec import Struct


class Span(NamedTuple):
    """A span of time: from ``start`` until before ``end``, Unix."""

    start: float
    end: float


class ModelName(NamedTuple):
    """By what a model is known from run to run."""

    server: str
    kind: str
    name: str
    digest: str | None
    quantization: str | None


class Row(Struct, frozen=True, kw_only=True, gc=False):
    """A row; ``VIEW`` is what it is read from."""

    VIEW: ClassVar[str]
    minute: int
    host: str
    session: int
    number: int
    """Grows with each row of a session, whatever the clock does."""
    monotonic_seconds: float


class Session(Struct, frozen=True, kw_only=True, gc=False):
    """One run of gpumon that has kept what it saw."""

    session: int
    session_id: str
    boot_id: str | None
    host: str
    gpumon_version: str | None
    command: str
    started: float
    started_monotonic: float
    seen: float
    """When it last wrote."""


class MachineMinute(Row, frozen=True, kw_only=True, gc=False):
    """A minute of the machine: that it was watched, its RAM and CPU at the end of it."""

    VIEW = "machine_minutes"
    watched_seconds: float
    ram_used_bytes: int | None = None
    ram_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    cpu_percent: float | None = None


class OfModel(Row, frozen=True, kw_only=True, gc=False):
    """A row about a model, which is its name, digest and quantization on a server."""

    server: str | None
    """URL without credentials; ``process`` where its process alone tells of it."""
    kind: str | None
    """Name of the kind of server."""
    name: str
    digest: str | None
    quantization: str | None


class ModelMinute(OfModel, frozen=True, kw_only=True, gc=False):
    """A minute of a loaded model. Memory, context and level are those at the end of it."""

    VIEW = "model_minutes"
    watched_seconds: float
    busy_seconds: float
    """At work on a request, reading its prompt included."""
    decoding_seconds: float
    """With a decode rate."""
    waiting_seconds: float
    """With requests that waited for a place."""
    decoded_tokens: int | None
    decoded_is_estimate: int
    """1 where they are reckoned from the rate, or of a counter that may miss the end of an answer."""
    requests: int
    """Seen to end."""
    prompt_tokens: int | None
    """Of these requests, as those below."""
    kept_tokens: int | None
    """Of the prompts, found in the cache."""
    reread_tokens: int | None
    """Of the prompts, read again though they had been read a moment before."""
    lost_seconds: float | None
    """What that took."""
    decode_tokens_per_second: float | None
    """Mean of the time with a rate."""
    decode_tokens_per_second_peak: float | None
    prefill_tokens_per_second: float | None
    full_tokens_per_second: float | None
    """An estimate of its rate wholly on GPUs."""
    usual_tokens_per_second: float | None
    """Of one request, as learned on this machine."""
    vram_bytes: int | None
    ram_bytes: int | None
    spill_fraction: float | None
    """Of what can spill, 0 to 1."""
    context_length: int | None
    context_tokens: int | None
    level: str
    """``ok``, ``watch``, ``bad`` or ``unknown``: the worst of the minute's end."""
    trouble: str
    """The kind of verdict or alert that ``level`` is of."""
    energy_joules: float | None
    """Of the requests that ended and were alone on their GPUs."""


class GpuMinute(Row, frozen=True, kw_only=True, gc=False):
    """A minute of a GPU; means, where it does not say peak."""

    VIEW = "gpu_minutes"
    uuid: str
    gpu_index: int | None
    name: str | None
    watched_seconds: float
    used_bytes: int | None
    used_bytes_peak: int | None
    total_bytes: int | None
    utilization_percent: float | None
    utilization_percent_peak: float | None
    temperature_celsius: float | None
    temperature_celsius_peak: float | None
    power_watts: float | None
    power_watts_peak: float | None
    power_limit_watts: float | None
    throttled_seconds: float
    """Slowed down by heat, power or hardware."""
    throttle_reasons: str | None
    """What for, in the driver's words, joined by commas; ``None`` where nothing slowed it down."""
    energy_joules: float | None
    level: str


class Request(OfModel, frozen=True, kw_only=True, gc=False):
    """A request that was seen to end; ``minute`` is that of its end."""

    VIEW = "requests"
    started: float
    ended: float
    source: str
    """Where its figures come from: ``/slots``, ``log``, ``meter``, a path."""
    slot_id: int | None
    task_id: int | None
    prompt_tokens: int | None
    kept_tokens: int | None
    reread_tokens: int | None
    lost_seconds: float | None
    decoded_tokens: int | None
    decoded_is_lower_bound: int
    prefill_tokens_per_second: float | None
    decode_tokens_per_second: float | None
    waited_seconds: float | None
    """For a place, before it began; only few servers tell."""
    first_token_seconds: float | None
    seconds: float
    context_tokens: int | None
    parallel: int | None
    energy_joules: float | None
    ending: str
    """``finished``, ``end not seen``, or ``context shifted``."""


class Load(OfModel, frozen=True, kw_only=True, gc=False):
    """A load that is over; ``minute`` is that of its end. Texts that hold several things are JSON."""

    VIEW = "loads"
    pid: int
    started: float
    ended: float
    outcome: str
    """``loaded``, ``failed``, ``retried_smaller_context``, ``aborted``."""
    seconds: float
    phases: str
    """JSON: seconds by phase."""
    target_bytes: int | None
    vram_bytes: int | None
    ram_bytes: int | None
    context_length: int | None
    evicted: str
    """JSON: names of the models that left for it."""
    reload_cause: str | None
    changes: str
    """JSON: settings that differ from the load before, each as name, before, after."""
    reason: str | None
    """Why it failed, by the log."""
    forecast_vram_bytes: int | None
    forecast_ram_bytes: int | None
    forecast_tokens_per_second_low: float | None
    forecast_tokens_per_second_high: float | None


class Event(Row, frozen=True, kw_only=True, gc=False):
    """Something that happened, or an alert with its end."""

    VIEW = "events"
    time: float
    until: float | None
    kind: str
    about: str
    subject_id: str
    subject: str
    level: str | None
    words: str


class Trouble(OfModel, frozen=True, kw_only=True, gc=False):
    """A time in which something was wrong with a model, with the words that were said of it last."""

    VIEW = "troubles"
    started: float
    until: float
    trouble: str
    """The kind of verdict or alert: ``spilled``, ``prompt_reread``, ``throttled``, …"""
    level: str
    sentence: str
    cause: str | None
    cure: str | None
    command: str | None
    busy_seconds: float
    decode_tokens_per_second: float | None
    """Mean of the time with a rate."""
    full_tokens_per_second: float | None
    """An estimate of its rate wholly on GPUs."""
