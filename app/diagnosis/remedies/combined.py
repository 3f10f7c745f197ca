"""Two or three settings together, where one alone is not enough or costs more of the context."""

from __future__ import annotations

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import Arithmetic
from gpumon.app.diagnosis.causes.settings import LEAST_CONTEXT_TOKENS, SMALLER_CACHE_TYPE
from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.diagnosis.remedies import commands
from gpumon.app.diagnosis.remedies.reckoned import reckoned
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.physics.options import BYTES_PER_ELEMENT, LoadOptions
from gpumon.app.physics.placement import largest_context

WORTH_IT = 1.25
"""By so much the context must be longer than with nothing but a shorter context."""


def combine_settings(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Take a smaller type of cache, or one slot as well, with the longest context that fits then."""
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
    """Tell whether more than one setting differs: one alone is another remedy."""
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
    return reckoned("combine_settings", words, command, subject, arithmetic, wanted)


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
