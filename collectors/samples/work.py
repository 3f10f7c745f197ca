"""What a model does, by its server or by its own process: state, slots, counters, rates."""

from __future__ import annotations

from typing import Literal

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
    draft_tokens_total: float | None = None
    draft_accepted_total: float | None = None


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
