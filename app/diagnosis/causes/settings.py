"""Spills because of how the model was loaded: layers, context, slots, cache type, or no GPU at all."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import FIT_MARGIN_BYTES, Arithmetic, NoArithmetic
from gpumon.app.diagnosis.asked import SMALLEST_DEFAULT_TOKENS, who_asked
from gpumon.app.diagnosis.diagnosis import Cause, Evidence
from gpumon.app.diagnosis.room import Room, room_of
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import (
    ARITHMETIC,
    COMMAND_LINE,
    LOG,
    NVML,
    PS,
    size_evidence,
)
from gpumon.app.insight.wording import amount
from gpumon.app.physics.options import BYTES_PER_ELEMENT, CacheType, LoadOptions
from gpumon.app.physics.placement import place
from gpumon.app.state.loads.options import DEFAULT_CACHE_TYPE, cache_type_named, log_of

LEAST_CONTEXT_TOKENS = 2048
"""A smaller context is of little use."""
SMALLER_CACHE_TYPE: CacheType = "q8_0"
"""The one that costs hardly any quality."""


def least_options(options: LoadOptions) -> LoadOptions:
    """Return the least that anybody would load the model with."""
    return replace(options, context_length=min(options.context_length, LEAST_CONTEXT_TOKENS), parallel=1)


def gpu_layers(subject: Subject) -> Cause | None:
    """Find a number of layers set by hand that is lower than what would go on the GPUs."""
    settings = subject.runner.process.settings if subject.runner else None
    asked = settings.gpu_layers if settings else None
    count = _layer_count(subject)
    if asked is None or count is None or asked >= count:
        return None
    if not isinstance(subject.arithmetic, NoArithmetic):
        free = subject.arithmetic.free_at_load_bytes
        chosen = replace(subject.arithmetic.options, gpu_layers=None)
        margin = subject.arithmetic.margin_bytes
        if place(subject.arithmetic.geometry, chosen, free, margin).layers_on_gpu <= asked:
            return None
    evidence = Evidence("GPU layers asked for", f"{asked} of {count}", COMMAND_LINE)
    return Cause("gpu_layers", f"num_gpu {asked} was set by hand, of {count} layers", (evidence,))


def gpu_not_used(subject: Subject) -> Cause | None:
    """Find a model of which nothing is on a GPU though there was room for a part, or none was found."""
    if subject.split.gpu_bytes != 0:
        return None
    log = log_of(subject.model, subject.state)
    if log is not None and log.found_no_gpu:
        said = Evidence("GPUs found by the server", "none", LOG)
        return Cause("gpu_not_used", "the server found no GPU when it started", (said,))
    room = room_of(subject.model, subject.runner, subject.state)
    claimed = subject.split.ram_bytes or 0
    if room is None or not _had_room(subject, room, claimed):
        return None
    return Cause(
        "gpu_not_used",
        f"no GPU was used, though {amount(room.free_total_bytes)} are free",
        (
            size_evidence("on GPU", 0, subject.split_source),
            size_evidence("its size", claimed, subject.split_source),
            size_evidence("free on GPUs", room.free_total_bytes, NVML),
        ),
    )


def slots(_subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find that it would have fitted with one slot."""
    options = arithmetic.options
    if options.parallel <= 1:
        return None
    single = replace(options, parallel=1)
    if not arithmetic.fits(arithmetic.free_at_load_bytes, single):
        return None
    return Cause(
        "slots",
        f"it has {options.parallel} slots of {options.context_length} tokens each; with one it would fit",
        (
            Evidence("slots", str(options.parallel), COMMAND_LINE),
            size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
            size_evidence("need with one slot", arithmetic.need_bytes(single), ARITHMETIC),
        ),
    )


def cache_type(subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find that the type of the cache is to blame: larger than the usual or than what the server is set to.

    The usual one is only to blame where the context cannot be called too large.
    """
    better = _better_cache_type(subject, arithmetic.options)
    if better is None:
        return None
    smaller = replace(arithmetic.options, cache_type_k=better, cache_type_v=better)
    if not arithmetic.fits(arithmetic.free_at_load_bytes, smaller):
        return None
    present = arithmetic.options.cache_type_k
    return Cause(
        "cache_type",
        f"its context is kept as {present}; as {better} it would fit",
        (
            Evidence("cache type", present, COMMAND_LINE),
            size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
            size_evidence(f"need with {better}", arithmetic.need_bytes(smaller), ARITHMETIC),
        ),
    )


def context(
    subject: Subject, arithmetic: Arithmetic, free_bytes: Sequence[int] | None = None
) -> Cause | None:
    """Find that it would have fitted with less context, and say who asked for so much."""
    options = arithmetic.options
    if options.context_length <= LEAST_CONTEXT_TOKENS:
        return None
    least, free = least_options(options), free_bytes or arithmetic.free_at_load_bytes
    if not arithmetic.fits(free, least):
        return None
    is_seen = subject.runner is not None and subject.runner.process.settings.context_length is not None
    source = COMMAND_LINE if is_seen else PS
    asked = who_asked(subject.model, options.context_length, subject.state, source)
    return Cause(
        asked.kind,
        f"its context is too large: {asked.words}",
        (
            asked.evidence,
            size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
            size_evidence(
                f"need with {least.context_length} tokens", arithmetic.need_bytes(least), ARITHMETIC
            ),
            size_evidence("VRAM" if free_bytes else "free for it", sum(free), NVML),
        ),
    )


def _layer_count(subject: Subject) -> int | None:
    """Return the blocks and the output: by the file, else by the log."""
    if not isinstance(subject.arithmetic, NoArithmetic):
        return subject.arithmetic.layer_count
    if subject.model.facts is not None and subject.model.facts.layer_count:
        return subject.model.facts.layer_count + 1
    placement = subject.runner.placement if subject.runner else None
    return placement.layer_count if placement else None


def _had_room(subject: Subject, room: Room, claimed_bytes: int) -> bool:
    """Tell whether at least a layer would have gone onto a GPU: by the arithmetic, else all by the claim."""
    arithmetic = subject.arithmetic
    if isinstance(arithmetic, NoArithmetic):
        return claimed_bytes + FIT_MARGIN_BYTES <= max(room.free_bytes)
    free = arithmetic.free_at_load_bytes
    return place(arithmetic.geometry, arithmetic.options, free, arithmetic.margin_bytes).layers_on_gpu > 0


def _better_cache_type(subject: Subject, options: LoadOptions) -> CacheType | None:
    """Return the type that the server is set to, else the usual one; a smaller one for a small context."""
    present, log = options.cache_type_k, log_of(subject.model, subject.state)
    wanted = cache_type_named(log.settings.get("OLLAMA_KV_CACHE_TYPE", "")) if log else None
    if options.context_length <= SMALLEST_DEFAULT_TOKENS:
        wanted = wanted or SMALLER_CACHE_TYPE
    better = wanted or DEFAULT_CACHE_TYPE
    return better if BYTES_PER_ELEMENT[better] < BYTES_PER_ELEMENT[present] else None
