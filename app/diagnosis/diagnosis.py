"""The values of a diagnosis: verdict, cause, remedies, each with what it rests on."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from gpumon.app.physics.hardware import Band

VerdictKind = Literal[
    "silent_fallback",  # claimed on the GPU, and not there
    "hidden_spill",  # a part claimed on the GPU is not there
    "lost_gpu",  # had a GPU, and has none since a suspend or a reset
    "no_gpu_found",  # never found the GPU that the driver shows
    "crowded",  # an image generator, since another took memory of its card
    "read_from_disk",  # its weights do not stay in RAM
    "spilled",
    "thrashing",
    "evicted",
    "swapping",
    "throttled",
    "link_degraded",
    "below_baseline",  # slower than its own usual rate for no visible reason
    "long_context",
    "parallel_requests",
    "context_full",
    "cache_full",  # the cache of all contexts is full, and requests lose their place in it
    "prompt_reread",  # what was read a moment ago is read again
    "waiting",  # requests queue up for a place
    "on_cpu_by_choice",
    "in_ram_by_choice",  # a part of it
    "loaded_in_part",  # of an image generator, where it is not told how much stays in RAM
    "streams_weights",  # the same, by the traffic to its card
    "drawing",  # an image generator: what it holds and does
    "process_ended",  # still listed, and its process is no more
    "loading",
    "healthy",
    "unknown",
]
Severity = Literal["ok", "watch", "bad", "unknown"]

CauseKind = Literal[
    "context_default",  # the server's default for this much VRAM
    "context_request",  # the request or the Modelfile asked for it
    "slots",  # OLLAMA_NUM_PARALLEL
    "cache_type",  # a smaller cache type would fit
    "other_model",
    "foreign_process",
    "safety_margin",  # it would fit; the runtime keeps a margin
    "gpu_layers",  # num_gpu set by the user
    "kept_in_ram",  # by settings on purpose: --n-cpu-moe, --override-tensor, -ngl, --no-kv-offload
    "larger_than_gpu",  # the weights alone are larger
    "gpu_not_used",
    "cache_too_small",  # for the requests under way, of a server that sets it aside when it starts
    "shared_slot",  # requests of others come between two turns
    "prompt_changes",
    "window_too_short",  # the prompt is the same, and its context cannot go back to it
    "slots_held",  # by the requests at work, for as long as others wait
    "unknown",
]

RemedyAction = Literal[
    "raise_gpu_layers",
    "shrink_context",
    "reduce_parallel",
    "quantize_cache",
    "grow_cache",  # by letting the server take more of each GPU
    "unload_model",
    "leave_gpu",  # unload it, and let another have the card
    "free_process",
    "smaller_quantization",
    "experts_to_cpu",
    "keep_less_in_ram",  # a better value of a setting on purpose
    "restart_server",
    "cool_or_power",
    "reload_model",
    "combine_settings",  # where no setting alone is enough
    "fit_both",  # smaller settings with which another model stays loaded too
    "raise_loaded_models",
    "same_context",
    "keep_longer",
    "keep_in_ram",
    "draw_less",  # smaller pictures, or fewer at once
    "raise_context",
    "more_slots",
    "keep_window",  # all of the context, not its last tokens alone
    "steady_prompt",
    "raise_ram_limit",  # of its container or its unit
]


AND = ", and "
"""Joins the place of a remedy's command with a second line to type, and its place."""


class Evidence(NamedTuple):
    """A figure that a statement rests on, ready to draw."""

    name: str
    value: str
    source: str
    """``/api/ps``, ``NVML``, ``command line``, ``arithmetic``, …"""


class Verdict(Struct, frozen=True):
    """One plain sentence about a model, no trailing full stop."""

    kind: VerdictKind
    severity: Severity
    sentence: str
    evidence: tuple[Evidence, ...] = ()


class Took(NamedTuple):
    """Someone who took memory of the GPUs, in the time that made the difference."""

    name: str
    """Of the model or the process, harmless to draw."""
    pid: int | None
    url: str | None
    """Of its server, where that speaks of it."""
    vram_bytes: int
    """Of what it took then, what it holds now."""
    time: float
    """When it took the most of that, Unix."""


class Cause(Struct, frozen=True):
    """Why a model spills, is slower than it was, preempts requests, or reads its prompt again."""

    kind: CauseKind
    sentence: str
    evidence: tuple[Evidence, ...] = ()
    brief: str = ""
    """The same in short, where there is a shorter way."""
    takers: tuple[Took, ...] = ()
    """Who took the memory, the largest first; empty where nobody was seen to take it."""


class Remedy(Struct, frozen=True):
    """What would help, and by how much."""

    action: RemedyAction
    sentence: str
    """What to do, in words: "shrink the context to 12288 tokens"."""
    command: str | None
    """The exact line to type; ``None`` where there is none."""
    arithmetic: str
    """Why it fits then: "needs 11.2 of 11.4 GiB free"."""
    frees_bytes: int | None = None
    expected_tokens_per_second: Band | None = None
    """The decode rate after it; ``None`` where it cannot be estimated."""
    where: str | None = None
    """Where the command goes, where it is no shell line: "in ollama run", "in the server's environment"."""
    context_tokens: int | None = None
    """The context that it has then; ``None`` where that is not reckoned."""
    need_bytes: int | None = None
    """What it takes of the GPUs then; ``None`` where that is not reckoned."""
    missing_bytes: int | None = None
    """What would still be missing then, where it helps and is not enough."""


class Diagnosis(Struct, frozen=True):
    """All that is said of one model."""

    verdict: Verdict
    """The most severe."""
    others: tuple[Verdict, ...] = ()
    """What else is true of it, the most severe first."""
    cause: Cause | None = None
    remedies: tuple[Remedy, ...] = ()
    """In order of gain."""
    decode_tokens_per_second_now: float | None = None
    """Measured."""
    decode_tokens_per_second_before: float | None = None
    """Measured while all of it was on GPUs, of a model that spills now."""
    seconds_per_step: tuple[float, float] | None = None
    """Before and now, of an image generator that has become slower."""
    expected_now: Band | None = None
    """What the hardware gives with the present split; an estimate."""
    expected_fitting: Band | None = None
    """What it would give wholly on GPU; an estimate."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """All of them, the most severe first."""
        return (self.verdict, *self.others)
