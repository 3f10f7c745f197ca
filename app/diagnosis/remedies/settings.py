"""Remedies in how a model is loaded: again, with more layers on the GPU, with less or smaller context."""

from __future__ import annotations

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import TIGHT_MARGIN_BYTES, Arithmetic
from gpumon.app.diagnosis.causes.settings import LEAST_CONTEXT_TOKENS
from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.diagnosis.remedies import commands
from gpumon.app.diagnosis.remedies.reckoned import reckoned
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.physics.options import BYTES_PER_ELEMENT, CacheType
from gpumon.app.physics.placement import largest_context

SMALLER_CACHE_TYPES: tuple[CacheType, ...] = ("q8_0", "q4_0")
"""The ones that llama.cpp has fast kernels for, the better first."""


def reload_model(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Load it again: what took the memory has gone, and the runtime does not move layers by itself."""
    if arithmetic.options.gpu_layers is not None or not arithmetic.fits(arithmetic.room.free_bytes):
        return None
    words = "unload it; the next request loads it anew, and it fits now"
    return reckoned("reload_model", words, commands.stop(subject.model), subject, arithmetic)


def raise_gpu_layers(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Ask for all layers: it would fit but for the runtime's margin, or for a number set by hand."""
    free, asked = arithmetic.room.free_bytes, arithmetic.options.gpu_layers
    if not arithmetic.fits(free, margin_bytes=TIGHT_MARGIN_BYTES):
        return None
    if (asked is None and arithmetic.fits(free)) or (asked or 0) >= arithmetic.layer_count:
        return None
    words = f"put all {arithmetic.layer_count} layers on the GPU"
    return reckoned(
        "raise_gpu_layers", words, subject.model.kind.set_layers(arithmetic.layer_count), subject, arithmetic
    )


def reduce_parallel(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Take the most slots with which it fits."""
    options = arithmetic.options
    fewer = (replace(options, parallel=slots) for slots in range(options.parallel - 1, 0, -1))
    fitting = next((one for one in fewer if arithmetic.fits(arithmetic.room.free_bytes, one)), None)
    if fitting is None:
        return None
    words = f"work on {fitting.parallel} request{'s' if fitting.parallel > 1 else ''} at once"
    command = subject.model.kind.set_slots(fitting.parallel)
    return reckoned("reduce_parallel", words, command, subject, arithmetic, fitting)


def quantize_cache(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Keep the context in a smaller type, the better of those with which it fits."""
    options = arithmetic.options
    for kind in SMALLER_CACHE_TYPES:
        smaller = replace(options, cache_type_k=kind, cache_type_v=kind, flash_attention=True)
        is_smaller = BYTES_PER_ELEMENT[kind] < BYTES_PER_ELEMENT[options.cache_type_k]
        if is_smaller and arithmetic.fits(arithmetic.room.free_bytes, smaller):
            command = commands.set_cache_type(subject, kind)
            words = f"keep the context as {kind}"
            return reckoned("quantize_cache", words, command, subject, arithmetic, smaller)
    return None


def shrink_context(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Take the largest context that fits."""
    options = arithmetic.options
    free = arithmetic.usable(arithmetic.room.free_bytes)
    tokens = largest_context(
        arithmetic.geometry, options, free, options.cache_type_k, arithmetic.margin_bytes
    )
    if tokens is None or not LEAST_CONTEXT_TOKENS <= tokens < options.context_length:
        return None
    shrunk = replace(options, context_length=tokens)
    if not arithmetic.fits(arithmetic.room.free_bytes, shrunk):
        return None
    command = subject.model.kind.set_context(tokens, options.parallel)
    words = f"shrink the context to {tokens} tokens{subject.model.kind.context_note}"
    return reckoned("shrink_context", words, command, subject, arithmetic, shrunk)
