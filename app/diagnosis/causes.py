"""Why a model spills: the settings that ask for too much, and who else holds, or held, memory of the GPUs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import (
    FIT_MARGIN_BYTES,
    TIGHT_MARGIN_BYTES,
    Arithmetic,
    NoArithmetic,
)
from gpumon.app.diagnosis.asked import SMALLEST_DEFAULT_TOKENS, who_asked
from gpumon.app.diagnosis.choices import by_layers_alone, by_settings, cache_too_small, chosen, gpu_layers
from gpumon.app.diagnosis.diagnosis import Cause, CauseKind, Evidence
from gpumon.app.diagnosis.room import Occupant, Room, room_of
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.takers import (
    all_taken,
    crowded,
    given_back,
    taken,
    taken_by_bytes,
    taken_since_whole,
)
from gpumon.app.diagnosis.words import (
    ARITHMETIC,
    COMMAND_LINE,
    GPUMON,
    LOG,
    NVML,
    PS,
    gpu_words,
    needs_words,
    occupant_words,
    size_evidence,
)
from gpumon.app.fuses import UNFUSED, Fuses
from gpumon.app.insight.shapes import DEFAULT_CACHE_TYPE, cache_type_named, log_of
from gpumon.app.insight.wording import amount
from gpumon.app.physics.geometry import BYTES_PER_ELEMENT, CacheType, LoadOptions
from gpumon.app.physics.placement import place
from gpumon.app.state.holders.addresses import server_of
from gpumon.app.state.records import ModelRecord
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.text.units import MIB

NAMED = 3


def held_by_others(_subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find the models, or else the processes, but for which it would have fitted."""
    earlier = arithmetic.earlier
    for kind in ("model", "process"):
        enough = _enough([one for one in earlier if one.kind == kind], arithmetic)
        if enough:
            return _held(enough, arithmetic)
    return _held(enough, arithmetic) if (enough := _enough(_ended_at_will(earlier), arithmetic)) else None


def held_by_session(_subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find the programs of the desktop, where without them it would have fitted."""
    enough = _enough(arithmetic.earlier, arithmetic)
    return _held(enough, arithmetic) if enough else None


def all_earlier(_subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Name everyone who was there before, where anybody was."""
    earlier = _ended_at_will(arithmetic.earlier)
    return _held(earlier, arithmetic) if earlier else None


def gone_since(subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find who held memory when the model was loaded, and has gone."""
    started = arithmetic.started
    if started is None:
        return None
    departed = [one for one in subject.state.departed if _was_there(one, started)]
    if departed:
        last = max(departed, key=lambda one: one.split.gpu_bytes or 0)
        return _gone("other_model", last.claim.name, last.split.gpu_bytes or 0, arithmetic)
    back = [one for one in subject.state.returned if one.time > started and one.name]
    if back:
        largest = max(back, key=lambda one: one.vram_bytes)
        return _gone("foreign_process", largest.name or "", largest.vram_bytes, arithmetic)
    return given_back(subject, arithmetic, started)


def _was_there(model: ModelRecord, at: float) -> bool:
    return model.first_seen < at < (model.gone or at) and bool(model.split.gpu_bytes)


def _ended_at_will(occupants: Sequence[Occupant]) -> list[Occupant]:
    return [one for one in occupants if one.kind != "session"]


def _enough(occupants: Sequence[Occupant], arithmetic: Arithmetic) -> list[Occupant]:
    """Return the fewest, the largest first, without whom it would have fitted; none if it would not."""
    free = dict(zip(arithmetic.room.uuids, arithmetic.free_at_load_bytes, strict=True))
    for count, occupant in enumerate(occupants, start=1):
        for uuid, size in occupant.vram_by_gpu.items():
            free[uuid] = free.get(uuid, 0) + size
        if arithmetic.fits([free[uuid] for uuid in arithmetic.room.uuids]):
            return list(occupants[:count])
    return []


def _held(occupants: Sequence[Occupant], arithmetic: Arithmetic) -> Cause:
    first, shown = occupants[0], occupants[:NAMED]
    kind: CauseKind = "other_model" if first.kind == "model" else "foreign_process"
    verb = "was" if len(shown) == 1 else "were"
    return Cause(
        kind,
        f"{occupant_words(shown)} {verb} on the GPU before it",
        (
            *(size_evidence(visible(one.name), one.vram_bytes, NVML) for one in shown),
            size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
            size_evidence("free at its load", sum(arithmetic.free_at_load_bytes), NVML),
        ),
    )


def _gone(kind: CauseKind, name: str, held_bytes: int, arithmetic: Arithmetic) -> Cause:
    shown = visible(name)
    return Cause(
        kind,
        f"{shown} held {amount(held_bytes)} when it was loaded, and has gone since",
        (
            size_evidence(shown, held_bytes, NVML),
            size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
            size_evidence("free for it now", arithmetic.room.free_total_bytes, NVML),
        ),
    )


LEAST_CONTEXT_TOKENS = 2048
"""A smaller context is of little use."""
SMALLER_CACHE_TYPE: CacheType = "q8_0"
"""The one that costs hardly any quality."""


def least_options(options: LoadOptions) -> LoadOptions:
    """Return the least that anybody would load the model with."""
    return replace(options, context_length=min(options.context_length, LEAST_CONTEXT_TOKENS), parallel=1)


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


def context_cause(
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


def _had_room(subject: Subject, room: Room, claimed_bytes: int) -> bool:
    """Return whether a layer would have gone onto a GPU: by the arithmetic, else all by the claim."""
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


Rule = Callable[[Subject, Arithmetic], Cause | None]


def cause_of(subject: Subject, fuses: Fuses = UNFUSED) -> Cause | None:
    """Return why the model spills; ``None`` where it does not, or is on the CPU by choice.

    Unknown where nothing tells.
    """
    is_chosen = subject.loaded.by_choice and not by_layers_alone(subject)
    if not subject.is_spilled or is_chosen:
        return chosen(subject) or crowded(subject) or cache_too_small(subject)
    arithmetic = subject.arithmetic
    plain = gpu_layers(subject) or gpu_not_used(subject) or by_settings(subject)
    if plain is not None:
        return plain
    if isinstance(arithmetic, NoArithmetic):
        reason = visible(arithmetic.reason)  # it names what the file says of itself
        untold = _unknown(f"the cause cannot be told: {reason}", "what is missing", reason)
        return taken_by_bytes(subject) or (None if subject.model.kind.makes_pictures else untold)
    asked = 0
    for rule in _RULES:
        with fuses.guard(f"cause {rule.__name__}", subject.model.key):
            if (found := rule(subject, arithmetic)) is not None:
                return found
            asked += 1
    if asked < len(_RULES):
        return _unknown("the cause cannot be told: internal error", "what is missing", "internal error")
    return _largest_part(subject, arithmetic)


def larger_than_gpu(_subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find a model that no context is small enough for, on cards that hold nothing else."""
    least = least_options(arithmetic.options)
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
    gone = gone_since(subject, arithmetic)
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


def safety_margin(subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find that it would fit but for what the runtime leaves free."""
    free = arithmetic.free_at_load_bytes
    if not arithmetic.fits(free, margin_bytes=TIGHT_MARGIN_BYTES):
        return None
    margin = arithmetic.margin_bytes
    return Cause(
        "safety_margin",
        f"it would fit, but the runtime leaves {units.size(margin)} of each GPU free"
        f"{_margin_setting(subject)}: it {_needs(arithmetic, free)}",
        (
            size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
            size_evidence("free for it", sum(free), "NVML"),
            size_evidence("margin per GPU", margin, "llama.cpp"),
        ),
    )


def _margin_setting(subject: Subject) -> str:
    """Name the setting that makes the margin; nothing where it is the usual one."""
    runner = subject.runner
    if runner is None:
        return ""
    orders = runner.process.settings.orders
    if orders.fit_target_bytes:
        by_variable = "fit_target" in orders.by_environment
        told_by = runner.server_kind
        mib = max(orders.fit_target_bytes) // MIB
        return f" ({told_by.setting_words('fit_target', mib, in_environment=by_variable)})"
    server = server_of(subject.state, runner)
    settings = server.settings if server and not runner.kind.layers_are_asked else {}
    return " (OLLAMA_GPU_OVERHEAD)" if subject.model.kind.reserved_bytes(settings) else ""


def _largest_part(subject: Subject, arithmetic: Arithmetic) -> Cause:
    """Choose, where no single change would do, between the others and the context by their size."""
    others = all_taken(subject, arithmetic) or all_earlier(subject, arithmetic)
    context = context_cause(subject, arithmetic, arithmetic.room.capacity_bytes)
    if others is None or context is None:
        nothing = "no single change would make it fit"
        return others or context or _unknown(nothing, "need", units.size(arithmetic.need_bytes()))
    saved = arithmetic.need_bytes() - arithmetic.need_bytes(least_options(arithmetic.options))
    return context if saved >= sum(one.vram_bytes for one in arithmetic.earlier) else others


def _needs(arithmetic: Arithmetic, free: tuple[int, ...]) -> str:
    return needs_words(arithmetic.need_bytes(), sum(free))


def _unknown(sentence: str, name: str, value: str) -> Cause:
    return Cause("unknown", sentence, (Evidence(name, value, GPUMON),))


_RULES: tuple[Rule, ...] = (
    larger_than_gpu,
    room_since,
    taken_since_whole,
    safety_margin,
    taken,
    held_by_others,
    slots,
    cache_type,
    context_cause,
    held_by_session,
)
