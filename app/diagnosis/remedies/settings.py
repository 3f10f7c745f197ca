"""Remedies in how a model is loaded: more layers on the GPU, smaller context, fewer slots, or several."""

from __future__ import annotations

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import TIGHT_MARGIN_BYTES, Arithmetic, NoArithmetic
from gpumon.app.diagnosis.causes import LEAST_CONTEXT_TOKENS, SMALLER_CACHE_TYPE
from gpumon.app.diagnosis.choices import choice_of
from gpumon.app.diagnosis.diagnosis import Remedy, RemedyAction
from gpumon.app.diagnosis.remedies import commands
from gpumon.app.diagnosis.remedies.commands import Command
from gpumon.app.diagnosis.subject import Subject, expected_fitting
from gpumon.app.diagnosis.words import needs_words
from gpumon.app.physics.geometry import BYTES_PER_ELEMENT, CacheType, LoadOptions
from gpumon.app.physics.placement import largest_context


def computed(
    action: RemedyAction,
    words: str,
    command: Command,
    subject: Subject,
    arithmetic: Arithmetic,
    options: LoadOptions | None = None,
) -> Remedy:
    """Return the remedy with its figures under ``options``; ``None`` leaves the options as they are."""
    need = arithmetic.need_bytes(options)
    tokens = min(subject.rates.usual_context_tokens, (options or arithmetic.options).context_length)
    return Remedy(
        action,
        words,
        command.line,
        needs_words(need, arithmetic.room.free_total_bytes),
        frees_bytes=arithmetic.need_bytes() - need if options else None,
        expected_tokens_per_second=expected_fitting(arithmetic, tokens, options),
        where=command.where,
        context_tokens=(options or arithmetic.options).context_length,
        need_bytes=need,
    )


SMALLER_CACHE_TYPES: tuple[CacheType, ...] = ("q8_0", "q4_0")
"""The ones that llama.cpp has fast kernels for, the better first."""


def reload_model(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Load it again: what took the memory has gone, and the runtime does not move layers by itself."""
    if arithmetic.options.gpu_layers is not None or not arithmetic.fits(arithmetic.room.free_bytes):
        return None
    words = "start it again: it fits now"
    if subject.model.kind.manages_memory:
        words = "unload it; the next request loads it again, and it fits now"
    return computed("reload_model", words, commands.stop(subject.model), subject, arithmetic)


def raise_gpu_layers(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Ask for all layers: it would fit but for the runtime's margin, or for a number set by hand."""
    free, asked = arithmetic.room.free_bytes, arithmetic.options.gpu_layers
    if not arithmetic.fits(free, margin_bytes=TIGHT_MARGIN_BYTES):
        return None
    if (asked is None and arithmetic.fits(free)) or (asked or 0) >= arithmetic.layer_count:
        return None
    words = f"put all {arithmetic.layer_count} layers on the GPU"
    return computed(
        "raise_gpu_layers", words, subject.model.kind.set_layers(arithmetic.layer_count), subject, arithmetic
    )


def keep_less_in_ram(subject: Subject) -> Remedy | None:
    """Suggest the value of a setting on purpose with which the most would be on the card."""
    choice = choice_of(subject)
    if choice is None or choice.better is None or isinstance(subject.arithmetic, NoArithmetic):
        return None
    better, free = choice.better, subject.arithmetic.room.free_total_bytes
    return Remedy(
        "keep_less_in_ram",
        better.words,
        better.line.line,
        needs_words(better.need_bytes, free),
        frees_bytes=better.frees_ram_bytes,
        expected_tokens_per_second=better.rate,
        where=better.line.where,
        need_bytes=better.need_bytes,
    )


def reduce_parallel(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Suggest the most slots with which it fits."""
    options = arithmetic.options
    fewer = (replace(options, parallel=slots) for slots in range(options.parallel - 1, 0, -1))
    fitting = next((one for one in fewer if arithmetic.fits(arithmetic.room.free_bytes, one)), None)
    if fitting is None:
        return None
    words = f"work on {fitting.parallel} request{'s' if fitting.parallel > 1 else ''} at once"
    command = commands.set_slots(subject.model, fitting)
    return computed("reduce_parallel", words, command, subject, arithmetic, fitting)


def quantize_cache(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Keep the context in a smaller type, the better of those with which it fits."""
    options = arithmetic.options
    for kind in SMALLER_CACHE_TYPES:
        smaller = replace(options, cache_type_k=kind, cache_type_v=kind, flash_attention=True)
        is_smaller = BYTES_PER_ELEMENT[kind] < BYTES_PER_ELEMENT[options.cache_type_k]
        if is_smaller and arithmetic.fits(arithmetic.room.free_bytes, smaller):
            command = commands.set_cache_type(subject, kind)
            words = f"keep the context as {kind}"
            return computed("quantize_cache", words, command, subject, arithmetic, smaller)
    return None


def shrink_context(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Suggest the largest context that fits."""
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
    command = subject.model.kind.set_context(tokens, commands.caches(options))
    words = f"shrink the context to {tokens} tokens{subject.model.kind.context_note}"
    return computed("shrink_context", words, command, subject, arithmetic, shrunk)


WORTH_IT = 1.25
"""By so much the context must be longer than with nothing but a shorter context."""


def combine_settings(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Suggest a smaller type of cache, or one slot as well, with the longest context that fits then."""
    combinations = _combinations(arithmetic.options)
    if any(arithmetic.fits(arithmetic.room.free_bytes, one) for one in combinations[:2]):
        return None
    alone = _longest(arithmetic, arithmetic.options) or 0
    for tried in combinations:
        tokens = _longest(arithmetic, tried)
        if tokens is None or tokens < max(LEAST_CONTEXT_TOKENS, WORTH_IT * alone):
            continue
        fitting = replace(tried, context_length=min(tokens, tried.context_length))
        if arithmetic.fits(arithmetic.room.free_bytes, fitting) and _is_combined(fitting, arithmetic.options):
            return _remedy(fitting, subject, arithmetic)
    return None


def _combinations(options: LoadOptions) -> tuple[LoadOptions, LoadOptions, LoadOptions]:
    """Return the options with a smaller cache, then with one slot, then with both."""
    smaller = options
    if BYTES_PER_ELEMENT[SMALLER_CACHE_TYPE] < BYTES_PER_ELEMENT[options.cache_type_k]:
        smaller = replace(
            options,
            cache_type_k=SMALLER_CACHE_TYPE,
            cache_type_v=SMALLER_CACHE_TYPE,
            flash_attention=True,
        )
    return smaller, replace(options, parallel=1), replace(smaller, parallel=1)


def _is_combined(wanted: LoadOptions, present: LoadOptions) -> bool:
    """Return whether more than one setting differs: one alone is another remedy."""
    changed = (
        wanted.cache_type_k != present.cache_type_k,
        wanted.parallel != present.parallel,
        wanted.context_length != present.context_length,
    )
    return sum(changed) > 1


def _longest(arithmetic: Arithmetic, options: LoadOptions) -> int | None:
    free = arithmetic.usable(arithmetic.room.free_bytes)
    return largest_context(arithmetic.geometry, options, free, options.cache_type_k, arithmetic.margin_bytes)


def _remedy(wanted: LoadOptions, subject: Subject, arithmetic: Arithmetic) -> Remedy:
    command = commands.set_together(subject, wanted, arithmetic.options)
    words = _words(wanted, arithmetic.options)
    return computed("combine_settings", words, command, subject, arithmetic, wanted)


def _words(wanted: LoadOptions, present: LoadOptions) -> str:
    parts = []
    if wanted.parallel != present.parallel:
        parts.append("work on 1 request at once")
    if wanted.cache_type_k != present.cache_type_k:
        parts.append(f"keep the context as {wanted.cache_type_k}")
    if wanted.context_length != present.context_length:
        what = "it" if wanted.cache_type_k != present.cache_type_k else "the context"
        parts.append(f"shrink {what} to {wanted.context_length} tokens")
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
