"""What a model does, by its server or by its own process: state, slots, counters, rates."""

from __future__ import annotations

from typing import Literal

import msgspec

from gpumon.collectors.samples.base import Fact

ModelState = Literal[
    "starting",  # the port refuses: the first moment of a start
    "loading",  # 503, or a status that says so
    "ready",
    "asleep",  # llama-server --sleep-idle-seconds: must not be woken
    "busy",  # healthy, but statistics wait behind a batch
    "foreign",  # another program owns the port now
    "unreachable",  # in another network namespace
    "failing",
]

LOADING_STATES: frozenset[ModelState] = frozenset({"starting", "loading"})
AT_HAND_STATES: frozenset[ModelState] = frozenset({"ready", "busy"})
"""The model is in memory, and a request would be answered at once."""
LOADED_STATES: frozenset[ModelState] = AT_HAND_STATES | {"asleep"}
"""The load is over; a model that sleeps may have given its memory back since."""
UNSETTLED_STATES: frozenset[ModelState] = LOADING_STATES | {"asleep"}
"""What is measured now is not what the model takes when it works."""


class Slot(Fact, frozen=True, kw_only=True):
    """One slot of llama-server (``GET /slots``); no text of prompts or answers."""

    slot_id: int
    context_length: int | None = None
    processing: bool = False
    task_id: int | None = None
    """Changes with each request; ``None`` for a slot never used."""
    prompt_tokens: int | None = None
    """Tokens in the slot now: prompt so far and generated."""
    prompt_tokens_processed: int | None = None
    prompt_tokens_cached: int | None = None
    decoded_tokens: int | None = None
    """Generated so far in ``task_id``; falls to 0 when the request ends."""
    remaining_tokens: int | None = None


class WorkCounters(Fact, frozen=True, kw_only=True):
    """Counters of a server since it started (``GET /metrics``)."""

    grows_live: bool = False
    """Whether tokens are counted as they are generated (vLLM), so that two polls make a rate; llama-server
    counts them when a request ends."""

    prompt_tokens_total: float | None = None
    prompt_seconds_total: float | None = None
    prompt_tokens_cached_total: float | None = None
    decoded_tokens_total: float | None = None
    decoded_seconds_total: float | None = None
    requests_processing: int | None = None
    requests_deferred: int | None = None
    deferred_by_reason: dict[str, int] = msgspec.field(default_factory=dict)
    """Those that wait, by what for, in the server's words: ``capacity``."""
    preemptions_total: float | None = None
    """Requests that lost their place in the cache and start again (SGLang: retracted)."""
    prefix_tokens_total: float | None = None
    """Prompt tokens looked up in the cache of what was read before."""
    prefix_tokens_found_total: float | None = None
    read_bytes_total: float | None = None
    """What each GPU has read of its memory, as the server reckons it (vLLM: ``--enable-mfu-metrics``)."""
    draft_tokens_total: float | None = None
    draft_accepted_total: float | None = None


class CachePool(Fact, frozen=True, kw_only=True):
    """Memory that a server has set aside for the contexts of all its requests, used or not (vLLM, SGLang)."""

    used_fraction: float | None = None
    """0 to 1."""
    capacity_tokens: int | None = None
    used_tokens: int | None = None
    size_bytes: int | None = None
    """On all GPUs together."""


class LastRequest(Fact, frozen=True, kw_only=True):
    """What a server says of the latest request that has ended: never a rate of now."""

    count: int | None = None
    """How many have ended so far: a new one is known by it."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    """Those of the prompt that were not read again."""
    decoded_tokens: int | None = None
    prefill_tokens_per_second: float | None = None
    decode_tokens_per_second: float | None = None
    first_token_seconds: float | None = None
    seconds: float | None = None
    """From its start to its end."""


class PictureJob(Fact, frozen=True, kw_only=True):
    """What an image generator works on now; no word of a prompt."""

    job_id: str | None = None
    started: float | None = None
    """Unix time."""
    step: int | None = None
    """Steps that are done."""
    step_count: int | None = None
    seconds_per_step: float | None = None
    """As the server itself states it; two looks at ``step`` tell as well."""
    width: int | None = None
    height: int | None = None
    batch_size: int | None = None
    waiting: int | None = None
    """Jobs queued behind it."""
    seconds_left: float | None = None
    """As the server itself states it."""


class LoadFacts(Fact, frozen=True, kw_only=True):
    """What does not change while a model is loaded, asked once per load."""

    model_path: str | None = None
    build: str | None = None
    slot_count: int | None = None
    context_length: int | None = None
    parameter_count: int | None = None
    weights_bytes: int | None = None
    trained_context_length: int | None = None
    quantization: str | None = None
    """As llama.cpp calls the file's type: ``Q4_K - Medium``."""
    slots_enabled: bool | None = None
    metrics_enabled: bool | None = None
    weights_on_gpu_bytes: int | None = None
    """The part of ``weights_bytes`` that is on GPUs, where the server says so."""
    model_type: str | None = None
    """What sort of model an image generator has loaded, in its own words: ``SDXL``."""
    model_name: str | None = None
    """What the process calls its model, where its command line names none."""


class Said(Fact, frozen=True):
    """What a server or a process says of the work of one model at one look."""

    state: ModelState
    detail: str | None = None
    """What is switched off, or why there are no figures; one line."""
    progress: float | None = None
    """0 to 1 while it loads, where that is told."""
    facts: LoadFacts | None = None
    """Set in the first sample after each load."""
    slots: tuple[Slot, ...] | None = None
    """``None`` when not asked or not to be had."""
    counters: WorkCounters | None = None
    decode_tokens_per_second: float | None = None
    """A rate that the server itself states, all requests together; a meter of counts is better."""
    prefill_tokens_per_second: float | None = None
    origin: str | None = None
    """Where counters or rates stand, shown beside them: ``/metrics``."""
    pool: CachePool | None = None
    last: LastRequest | None = None
    job: PictureJob | None = None
    """``None`` where it makes no pictures, or none now."""


class WorkSample(Said, frozen=True, kw_only=True, tag_field="type", tag="work"):
    """What was said of a model's work, with when and of which.

    Asked by its server's URL (``source``) it is named by ``model``; asked on the port of its own process
    (source ``runner PID``) it is named by ``pid`` and ``started``. ``time`` and ``source`` are those of
    every ``Sample``.
    """

    time: float
    source: str
    model: str | None = None
    pid: int | None = None
    started: float | None = None
    port: int | None = None
