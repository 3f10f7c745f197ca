"""The installed models, and the page on whether one of them fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.diagnosis.causes import LEAST_CONTEXT_TOKENS
from gpumon.app.diagnosis.fit.listing import Answer, Here, here_words, summary_words
from gpumon.app.diagnosis.fit.machine import (
    Installed,
    Machine,
    fit_on,
    installed_models,
    machine_of,
    options_of,
)
from gpumon.app.diagnosis.fit.report import COMPARED_CACHE_TYPES, FitReport
from gpumon.app.diagnosis.fit.text import after_words, answer_words, fit_rows
from gpumon.app.insight.wording import address, model_id
from gpumon.app.physics.geometry import CacheType, LoadOptions, NoGeometry
from gpumon.app.state.records import ModelKey
from gpumon.app.state.state import State
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.kit.lines import Level
from gpumon.widgets.views import Fact, InstalledRow, VerdictView

MOST_CONTEXT_TOKENS = 2**20
"""Where a file does not say what its model was trained with."""

NOT_LISTED = "not known: no server has listed its models yet"


class FitChoice(Struct, frozen=True):
    """What the user has changed; ``None`` leaves it as the server would take it."""

    context_length: int | None = None
    cache_type: CacheType | None = None


class FitView(Struct, frozen=True):
    """One instant of the page, and where its keys lead from there."""

    verdict: VerdictView
    facts: tuple[Fact, ...] = ()
    more: FitChoice = FitChoice()
    """With the next larger context."""
    less: FitChoice = FitChoice()
    other_cache: FitChoice = FitChoice()
    """With the next type of cache."""


def installed_rows(
    state: State, filter_text: str = "", answer: Callable[[Installed], Answer] = Answer
) -> tuple[InstalledRow, ...]:
    """Return what can be loaded, of which the name contains ``filter_text``: the most useful first."""
    wanted, models = filter_text.casefold(), installed_models(state)
    names = [model.name for model in models]
    found = (_as_of_now(answer(model), state) for model in models if wanted in model.name.casefold())
    return tuple(
        _row(one, address(one.model.key.source) if names.count(one.model.name) > 1 else "")
        for one in sorted(found, key=lambda one: one.usefulness)
    )


def _as_of_now(answer: Answer, state: State) -> Answer:
    """Return the answer; of a model that is loaded and has none yet, that it is."""
    is_new = answer.here == "unknown" and answer.model.key in state.models
    return replace(answer, here="loaded") if is_new else answer


def _row(answer: Answer, server: str) -> InstalledRow:
    model = answer.model
    return InstalledRow(
        key=model_id(model.key),
        name=visible(model.name),
        size_bytes=model.size_bytes,
        server=server,
        needed_bytes=answer.needed_bytes,
        level=_level_here(answer),
        here=() if answer.here == "unknown" else here_words(answer),
        tokens_per_second=answer.decode,
        context_length=answer.context_length,
    )


LEVELS_HERE: dict[Here, Level] = {
    "loaded": "ok",
    "fits": "ok",
    "after_unloading": "ok",
    "spills": "watch",
    "does_not_run": "bad",
    "unknown": "unknown",
}


def _level_here(answer: Answer) -> Level:
    if answer.here == "loaded" and answer.ram_fraction:
        return "watch"
    return LEVELS_HERE[answer.here]


def list_verdict(state: State, answer: Callable[[Installed], Answer], asked: int) -> VerdictView:
    """Count the answers; ``asked`` is of how many models nobody has said yet what their files hold."""
    answers = [_as_of_now(answer(model), state) for model in installed_models(state)]
    if not answers:
        return VerdictView("unknown", "no model is installed" if state.installed else NOT_LISTED)
    waiting = f"; reading what {asked} of them hold" if asked else ""
    is_known = any(one.here != "unknown" for one in answers)
    words = f"{len(answers)} installed: {summary_words(answers)}{waiting}"
    return VerdictView("ok" if is_known else "unknown", words)


def installed_of(state: State, row_key: str) -> Installed | None:
    """Return the installed model of a row."""
    return next((one for one in installed_models(state) if model_id(one.key) == row_key), None)


def fit_view(state: State, model: Installed, choice: FitChoice, missing: str, cache_key: str = "") -> FitView:
    """Build the page; ``missing`` says what is done about facts that are not known yet.

    ``cache_key`` is the key that takes the next type of cache.
    """
    facts, name = state.facts.get(model.key), visible(model.name)
    if facts is None:
        return FitView(VerdictView("unknown", f"{name}: {missing}"))
    machine = machine_of(state, model.key)
    options = _chosen(options_of(state, model.key, facts, machine), choice)
    report = fit_on(machine, facts, options, model.size_bytes)
    if isinstance(report, NoGeometry):
        return FitView(VerdictView("unknown", f"{name}: cannot tell: {visible(report.reason)}"))
    view = _view(name, replace(report, name=model.name), choice, machine, model.key)
    keys = {"context": "+ -", "cache type": cache_key}
    facts_with_keys = (replace(fact, origin=keys.get(fact.label, "")) for fact in view.facts)
    return replace(view, facts=tuple(facts_with_keys))


def _chosen(options: LoadOptions, choice: FitChoice) -> LoadOptions:
    """Return the options as changed; a number of layers asked for belongs to the load as it is."""
    kind = choice.cache_type
    return replace(
        options,
        context_length=choice.context_length or options.context_length,
        cache_type_k=kind or options.cache_type_k,
        cache_type_v=kind or options.cache_type_v,
        flash_attention=options.flash_attention or kind not in {None, "f16"},
        gpu_layers=options.gpu_layers if choice == FitChoice() else None,
    )


def _view(name: str, report: FitReport, choice: FitChoice, machine: Machine, key: ModelKey) -> FitView:
    context, kind = report.options.context_length, report.options.cache_type_k
    steps = context_steps(report)
    larger = next((step for step in steps if step > context), context)
    smaller = next((step for step in reversed(steps) if step < context), context)
    return FitView(
        VerdictView(_level(report), f"{name} {_answer(report, machine, key)}"),
        (*_asked(report), *_facts(report)),
        replace(choice, context_length=larger),
        replace(choice, context_length=smaller),
        replace(choice, cache_type=_next_cache(kind)),
    )


def context_steps(report: FitReport) -> list[int]:
    """Return the contexts worth a look: powers of two, the largest that fit, the trained one."""
    most = report.geometry.trained_context_length or MOST_CONTEXT_TOKENS
    doubled = (1 << power for power in range(LEAST_CONTEXT_TOKENS.bit_length() - 1, most.bit_length()))
    largest = (tokens for tokens in (report.max_context or {}).values() if tokens)
    return sorted({*doubled, *largest, most})


def _next_cache(kind: CacheType) -> CacheType:
    known = COMPARED_CACHE_TYPES
    return known[(known.index(kind) + 1) % len(known)] if kind in known else known[0]


def _level(report: FitReport) -> Level:
    if report.fits is None:
        return "unknown"
    if report.lacks_ram:
        return "bad"
    then = report.in_the_end
    return "ok" if then.fits and not then.may_be_split else "watch"


def _answer(report: FitReport, machine: Machine, key: ModelKey) -> str:
    if machine.cards or machine.has_no_gpu:
        return "; ".join((answer_words(report), *after_words(report)))
    needed = f"needs {units.size(report.required_vram_bytes)}"
    return f"{needed}; the GPUs that {address(key.source)} has are not known"


def _asked(report: FitReport) -> Iterator[Fact]:
    options = report.options
    kinds = "/".join(dict.fromkeys((options.cache_type_k, options.cache_type_v)))
    yield Fact("context", f"{options.context_length} tokens")
    yield Fact("cache type", kinds)
    if options.parallel > 1:
        yield Fact("slots", str(options.parallel))


def _facts(report: FitReport) -> Iterator[Fact]:
    for label, words in fit_rows(report):
        yield Fact(label.strip(), " ".join(words.split()))
