"""Why a model spills: from its settings, from who came first, and from what would fit."""

from __future__ import annotations

from collections.abc import Callable

from gpumon.app.diagnosis.arithmetic import TIGHT_MARGIN_BYTES, Arithmetic, NoArithmetic
from gpumon.app.diagnosis.causes import held, settings
from gpumon.app.diagnosis.diagnosis import Cause, Evidence
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import ARITHMETIC, GPUMON, gpu_words, needs_words, size_evidence
from gpumon.text import units
from gpumon.text.safe import visible

Rule = Callable[[Subject, Arithmetic], Cause | None]


def cause_of(subject: Subject) -> Cause | None:
    """Return why the model spills, ``None`` where it does not, or by choice; unknown where nothing tells."""
    if not subject.is_spilled or subject.loaded.by_choice:
        return None
    arithmetic = subject.arithmetic
    plain = settings.gpu_layers(subject) or settings.gpu_not_used(subject)
    if plain is not None:
        return plain
    if isinstance(arithmetic, NoArithmetic):
        reason = visible(arithmetic.reason)  # it names what the file says of itself
        return _unknown(f"the cause cannot be told: {reason}", "what is missing", reason)
    found = (rule(subject, arithmetic) for rule in _RULES)
    return next(filter(None, found), None) or _largest_part(subject, arithmetic)


def larger_than_gpu(_subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find a model that no context is small enough for, on cards that hold nothing else."""
    least = settings.least_options(arithmetic.options)
    capacity = arithmetic.room.capacity_bytes
    if arithmetic.fits(capacity, least, margin_bytes=TIGHT_MARGIN_BYTES):
        return None
    need, has = arithmetic.need_bytes(least), arithmetic.room.capacity_total_bytes
    cards = gpu_words(arithmetic.room.labels)
    verb = "has" if len(arithmetic.room.labels) == 1 else "have"
    return Cause(
        "larger_than_gpu",
        f"it is larger than {cards}: it needs {units.gib(need)} GiB with the least context, "
        f"{cards} {verb} {units.gib(has)}",
        (
            size_evidence("weights", arithmetic.geometry.file_bytes, ARITHMETIC),
            size_evidence(f"least need, {least.context_length} tokens", need, ARITHMETIC),
            size_evidence("VRAM", has, "NVML"),
        ),
    )


def room_since(subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find that it would fit if it were loaded now, with the runtime's own margin."""
    free = arithmetic.free_at_load_bytes
    if not arithmetic.fits(free):
        return None
    gone = held.gone_since(subject, arithmetic)
    if gone is not None:
        return gone
    return Cause(
        "unknown",
        f"what took the memory when it was loaded was not seen; now it {_needs(arithmetic, free)}",
        (
            size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
            size_evidence("free for it", sum(free), "NVML"),
        ),
    )


def safety_margin(_subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find that it would fit but for what the runtime leaves free."""
    free = arithmetic.free_at_load_bytes
    if not arithmetic.fits(free, margin_bytes=TIGHT_MARGIN_BYTES):
        return None
    margin = arithmetic.margin_bytes
    return Cause(
        "safety_margin",
        f"it would fit, but the runtime leaves {units.size(margin)} of each GPU free: "
        f"it {_needs(arithmetic, free)}",
        (
            size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
            size_evidence("free for it", sum(free), "NVML"),
            size_evidence("margin per GPU", margin, "llama.cpp"),
        ),
    )


def _largest_part(subject: Subject, arithmetic: Arithmetic) -> Cause:
    """Choose, where no single change would do, between the others and the context by their size."""
    others = held.all_earlier(subject, arithmetic)
    context = settings.context(subject, arithmetic, arithmetic.room.capacity_bytes)
    if others is None or context is None:
        nothing = "no single change would make it fit"
        return others or context or _unknown(nothing, "need", units.size(arithmetic.need_bytes()))
    saved = arithmetic.need_bytes() - arithmetic.need_bytes(settings.least_options(arithmetic.options))
    return context if saved >= sum(one.vram_bytes for one in arithmetic.earlier) else others


def _needs(arithmetic: Arithmetic, free: tuple[int, ...]) -> str:
    return needs_words(arithmetic.need_bytes(), sum(free))


def _unknown(sentence: str, name: str, value: str) -> Cause:
    return Cause("unknown", sentence, (Evidence(name, value, GPUMON),))


_RULES: tuple[Rule, ...] = (
    larger_than_gpu,
    room_since,
    safety_margin,
    held.held_by_others,
    settings.slots,
    settings.cache_type,
    settings.context,
    held.held_by_session,
)
