"""What helps a model that is loaded again and again, or that others make leave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import Arithmetic, NoArithmetic
from gpumon.app.diagnosis.causes import LEAST_CONTEXT_TOKENS, SMALLER_CACHE_TYPE
from gpumon.app.diagnosis.diagnosis import Remedy, RemedyAction
from gpumon.app.diagnosis.remedies.commands import Command
from gpumon.app.diagnosis.remedies.settings import computed
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.verdicts.machine import rivals_for_memory, thrash_of
from gpumon.app.insight.shapes import log_of, options_of_settings
from gpumon.app.physics.geometry import BYTES_PER_ELEMENT, CacheType, Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.placement import place
from gpumon.app.physics.shape import geometry_of
from gpumon.app.state.loads.endings import WINDOW_SECONDS
from gpumon.app.state.records import Thrash
from gpumon.text.safe import visible

CONTEXT_STEPS = (131072, 65536, 32768, 16384, 8192, 4096, LEAST_CONTEXT_TOKENS)


class Other(NamedTuple):
    """A model that takes turns with the one that is loaded."""

    name: str
    geometry: Geometry
    options: LoadOptions


class Pair(NamedTuple):
    """Two models that would be loaded together, and what is free for both."""

    arithmetic: Arithmetic
    other: Other
    free_bytes: tuple[int, ...]

    def fits(self, own: LoadOptions, theirs: LoadOptions) -> bool:
        """Return whether the second one fits beside the first."""
        margin, usable = self.arithmetic.margin_bytes, self.arithmetic.usable(self.free_bytes)
        first = place(self.arithmetic.geometry, replace(own, gpu_layers=None), usable, margin)
        left = [free - held for free, held in zip(usable, first.vram_bytes_by_gpu, strict=True)]
        return first.fits and place(self.other.geometry, theirs, left, margin).fits


def reload_remedies(subject: Subject) -> Iterator[Remedy]:
    """Yield what would end the loads."""
    if not subject.model.kind.manages_memory:
        return
    thrash = thrash_of(subject)
    if thrash is not None and thrash.cause == "expired":
        yield _keep_longer(subject, thrash)
    is_reset, rivals = thrash is not None and thrash.cause == "settings", rivals_for_memory(subject)[:1]
    if not (is_reset or rivals) or isinstance(subject.arithmetic, NoArithmetic):
        return
    if thrash is not None and is_reset:
        yield from _same_context(subject, subject.arithmetic, thrash)
    for name in rivals:
        other = _other(name, subject)
        if other is not None:
            yield from _together(subject, subject.arithmetic, other)


def _keep_longer(subject: Subject, thrash: Thrash) -> Remedy:
    loads = f"{thrash.count} loads in {WINDOW_SECONDS / 60:.0f} min"
    command = subject.model.kind.keep_longer()
    return Remedy(
        "keep_longer",
        "keep models loaded for longer after a request",
        command.line,
        f"{loads}, each because the time to keep it had run out",
        where=command.where,
    )


def _same_context(subject: Subject, arithmetic: Arithmetic, thrash: Thrash) -> Iterator[Remedy]:
    """Advise one context for all clients: the largest of those asked for that fits."""
    asked = {
        tokens
        for change in thrash.changes
        if change.setting == "context"
        for tokens in (change.before, change.after)
        if isinstance(tokens, int)
    }
    options = (replace(arithmetic.options, context_length=tokens) for tokens in sorted(asked, reverse=True))
    found = next((one for one in options if arithmetic.fits(arithmetic.room.free_bytes, one)), None)
    if found is None:
        return
    tokens = found.context_length
    words = f"have every client ask for the same context, {tokens} tokens, or for none"
    command = subject.model.kind.fix_context(tokens)
    yield _remedy("same_context", words, command, subject, arithmetic, found)


def _together(subject: Subject, arithmetic: Arithmetic, other: Other) -> Iterator[Remedy]:
    """Advise what lets both models stay."""
    evicted = [one for one in arithmetic.room.occupants if one.kind == "model" and one.name == other.name]
    pair = Pair(arithmetic, other, arithmetic.room.without(evicted))
    if pair.fits(arithmetic.options, other.options):
        yield from _more_models(subject, arithmetic, other)
        return
    for smaller in _smaller(arithmetic.options, other.options):
        own = smaller.own
        if pair.fits(own, smaller.theirs):
            words = f"make room for {visible(other.name)} beside it"
            command = subject.model.kind.shrink_all(
                context_length=smaller.context_length, cache_type=smaller.cache_type
            )
            yield _remedy("fit_both", words, command, subject, arithmetic, own)
            return


def _more_models(subject: Subject, arithmetic: Arithmetic, other: Other) -> Iterator[Remedy]:
    """Advise a higher limit, where the log says that it is set as low as what is loaded."""
    log = log_of(subject.model, subject.state)
    limit = subject.model.kind.loaded_limit(log.settings) if log else None
    if limit is None or limit > max(1, len(subject.state.models)):
        return
    words = f"let the server keep {limit + 1} models loaded: {visible(other.name)} fits beside it"
    command = subject.model.kind.allow_loaded(limit + 1)
    yield _remedy("raise_loaded_models", words, command, subject, arithmetic, arithmetic.options)


class Smaller(NamedTuple):
    """A way to load two models with less, and what is set for it: it holds for all models of the server."""

    own: LoadOptions
    theirs: LoadOptions
    context_length: int | None
    cache_type: CacheType | None


def _smaller(own: LoadOptions, theirs: LoadOptions) -> Iterator[Smaller]:
    """Yield ever smaller ways to load both."""
    longest = max(own.context_length, theirs.context_length)
    for quantized in (False, True):
        first, second = (_quantized(one) if quantized else one for one in (own, theirs))
        cache_type: CacheType | None = SMALLER_CACHE_TYPE if quantized else None
        if quantized:
            yield Smaller(first, second, None, cache_type)
        for tokens in CONTEXT_STEPS:
            if tokens < longest:
                yield Smaller(_at_most(first, tokens), _at_most(second, tokens), tokens, cache_type)


def _at_most(options: LoadOptions, tokens: int) -> LoadOptions:
    return replace(options, context_length=min(options.context_length, tokens))


def _quantized(options: LoadOptions) -> LoadOptions:
    if BYTES_PER_ELEMENT[options.cache_type_k] <= BYTES_PER_ELEMENT[SMALLER_CACHE_TYPE]:
        return options
    return replace(
        options,
        cache_type_k=SMALLER_CACHE_TYPE,
        cache_type_v=SMALLER_CACHE_TYPE,
        flash_attention=True,
    )


def _other(name: str, subject: Subject) -> Other | None:
    """Return another model of the server as it was loaded last; ``None`` where its shape is not known."""
    state, source = subject.state, subject.model.key.source
    facts = next((one for key, one in state.facts.items() if (key.source, one.name) == (source, name)), None)
    loads = (one for one in reversed(state.finished_loads) if one.name == name and one.outcome == "loaded")
    load = next(loads, None)
    if facts is None or load is None:
        return None
    installed = state.installed.get(source)
    rows = installed.models if installed else ()
    size = next((row.size_bytes for row in rows if row.digest == facts.digest), None)
    geometry, options = geometry_of(facts, size), options_of_settings(load.settings)
    if isinstance(geometry, NoGeometry) or options is None:
        return None
    return Other(name, geometry, options)


def _remedy(
    action: RemedyAction,
    words: str,
    command: Command,
    subject: Subject,
    arithmetic: Arithmetic,
    options: LoadOptions,
) -> Remedy:
    """Return the remedy; other options than at the last load may need more, which frees nothing."""
    made = computed(action, words, command, subject, arithmetic, options)
    return replace(made, frees_bytes=max(0, made.frees_bytes or 0) or None)
