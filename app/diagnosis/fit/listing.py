"""The installed models, each with its answer: whether it fits here, how fast, with how much context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.diagnosis.fit.machine import (
    Installed,
    Machine,
    chosen_cards,
    fit_on,
    machine_of,
    options_of,
)
from gpumon.app.diagnosis.fit.report import FitReport
from gpumon.app.diagnosis.fit.text import no_ram_words
from gpumon.app.diagnosis.fit.wishes import NO_WISHES, Wishes, with_wishes
from gpumon.app.physics.geometry import LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Band
from gpumon.app.state.records import ModelKey
from gpumon.app.state.records.machine import free_bytes
from gpumon.app.state.state import State
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.text.units import MIB

Here = Literal[
    "loaded",
    "fits",  # wholly on GPU, or in RAM where there is none
    "after_unloading",  # fits when its server has made room, which it does by itself
    "spills",
    "does_not_run",  # RAM and swap are too little for what no GPU takes
    "unknown",
]
USEFUL: tuple[Here, ...] = ("loaded", "fits", "after_unloading", "spills", "does_not_run", "unknown")
"""The most useful first."""


class Answer(Struct, frozen=True):
    """What is known of one installed model."""

    model: Installed
    here: Here = "unknown"
    report: FitReport | None = None
    """How it would be loaded; ``None`` where that cannot be computed."""
    ram_fraction: float | None = None
    """Part of it that is in RAM, or would be once room is made."""
    reason: str = ""
    """Why it is unknown."""

    @property
    def needed_bytes(self) -> int | None:
        """What it takes wholly on GPU, or of RAM where it runs from there."""
        report = self.report
        return None if report is None else report.required_ram_bytes or report.required_vram_bytes

    @property
    def decode(self) -> Band | None:
        """Tokens per second as it would be loaded in the end, an estimate."""
        return None if self.report is None else self.report.in_the_end.decode

    @property
    def context_length(self) -> int | None:
        """The most tokens per slot with which all of it is on GPU; 0: with none; ``None``: not known."""
        contexts = None if self.report is None else self.report.in_the_end.max_context
        if self.report is None or contexts is None:
            return None
        return contexts.get(self.report.options.cache_type_k) or 0

    @property
    def usefulness(self) -> tuple[int, float, int, str]:
        """Return what sorts the most useful first: of those that fit the largest, else the least split."""
        share = (self.ram_fraction or 0.0) if self.here == "spills" else 0.0
        return (USEFUL.index(self.here), share, -(self.model.size_bytes or 0), self.model.name.casefold())


Change = Callable[[LoadOptions], LoadOptions]


def answer_of(
    state: State,
    model: Installed,
    machine: Machine | None = None,
    change: Change | None = None,
    wishes: Wishes = NO_WISHES,
) -> Answer:
    """Return whether a model fits on its server's machine or on another, loaded as usual or as changed.

    Raises:
        GpumonError: the wishes name a card that is not there.
    """
    facts, loaded = state.facts.get(model.key), state.models.get(model.key)
    is_loaded = loaded is not None and machine is None
    unknown = Answer(
        model,
        "loaded" if is_loaded else "unknown",
        ram_fraction=loaded.split.spill_fraction if loaded and is_loaded else None,
    )
    if facts is None:
        return unknown
    there = machine or machine_of(state, model.key)
    there = replace(there, cards=chosen_cards(there.cards, wishes.devices))
    usual = options_of(state, model.key, facts, there)
    options = with_wishes(change(usual) if change else usual, wishes)
    report = fit_on(there, facts, options, model.size_bytes, wishes, compared=(options.cache_type_k,))
    if isinstance(report, NoGeometry):
        return _because(unknown, report.reason)
    if is_loaded:
        return Answer(model, "loaded", report, unknown.ram_fraction)
    return answer_of_report(model, report)


def answer_of_report(model: Installed, report: FitReport) -> Answer:
    """Return what is known of a model that is not loaded."""
    if report.placement is None:
        return Answer(model, "unknown", report, reason="the GPUs of its server's machine are not known")
    placement = report.in_the_end.placement
    return Answer(model, _here(report), report, placement.spill_fraction if placement else None)


def _because(answer: Answer, reason: str) -> Answer:
    return Answer(answer.model, answer.here, None, answer.ram_fraction, reason)


def _here(report: FitReport) -> Here:
    if report.lacks_ram:
        return "does_not_run"
    if report.fits or (report.runs_from_ram and report.fits is None):
        return "fits"
    return "after_unloading" if report.in_the_end.fits else "spills"


def here_words(answer: Answer) -> tuple[str, ...]:
    """Say it in short, and in ever more words."""
    report = answer.report
    if answer.here == "loaded":
        share = answer.ram_fraction
        return (f"{_share(share)} in RAM", f"loaded, {_share(share)} in RAM") if share else ("loaded",)
    if report is None or answer.here == "unknown":
        return (units.UNKNOWN,)
    if answer.here == "does_not_run":
        words = f"does not run: {no_ram_words(report)}"
        return ("does not run", words.partition(",")[0], words)
    return _ram_words(answer, report) if report.runs_from_ram else _gpu_words(answer, report)


def _ram_words(answer: Answer, report: FitReport) -> tuple[str, ...]:
    if answer.here == "fits":
        return ("in RAM", "runs from RAM")
    free = units.size(report.available_ram_bytes)
    return ("short of RAM", f"needs {units.size(answer.needed_bytes)} of RAM, {free} free")


def _gpu_words(answer: Answer, report: FitReport) -> tuple[str, ...]:
    if answer.here == "fits":
        if report.is_in_part:
            return ("fits", "fits as asked")
        return ("fits", "fits, may be split") if report.may_be_split else ("fits",)
    if answer.here == "after_unloading":
        return ("after unload", "after unloading", f"after unloading {_names(report)}")
    return (f"spills {_share(answer.ram_fraction)}",)


def _share(fraction: float | None) -> str:
    """Write a part in RAM; a trace is not nothing."""
    if fraction is None:
        return units.UNKNOWN
    return "<1%" if 0 < fraction < 0.005 else f"{fraction:.0%}"


def _names(report: FitReport) -> str:
    first = visible(report.evicted[0].name)
    return first if len(report.evicted) == 1 else f"{len(report.evicted)} models"


def summary_words(answers: Sequence[Answer]) -> str:
    """Count the answers: ``2 loaded, 5 fit, 1 after unloading, 3 spill``."""
    words = {
        "loaded": "loaded",
        "fits": "fit",
        "after_unloading": "after unloading",
        "spills": "spill",
        "does_not_run": "do not run",
        "unknown": "not known",
    }
    counts = {here: sum(answer.here == here for answer in answers) for here in USEFUL}
    return ", ".join(f"{counts[here]} {words[here]}" for here in USEFUL if counts[here])


NOTICED_BYTES = 256 * MIB
"""Free memory that comes and goes without a new answer: what a desktop takes and gives."""


class _Basis(NamedTuple):
    """What all answers rest on."""

    loaded: tuple[tuple[ModelKey, int | None, int | None], ...]
    free_bytes: tuple[tuple[str, int | None], ...]
    ram_bytes: int
    servers: int

    def is_like(self, other: _Basis) -> bool:
        """Return whether only trifles have changed."""
        pairs = zip(self.free_bytes, other.free_bytes, strict=False)
        return (
            (self.loaded, self.servers) == (other.loaded, other.servers)
            and [uuid for uuid, _ in self.free_bytes] == [uuid for uuid, _ in other.free_bytes]
            and all(abs((a or 0) - (b or 0)) < NOTICED_BYTES for (_, a), (_, b) in pairs)
            and abs(self.ram_bytes - other.ram_bytes) < NOTICED_BYTES
        )


class Answers:
    """Keeps each answer until what it rests on is another; a few are computed at a time."""

    def __init__(self) -> None:
        self._basis: _Basis | None = None
        self._kept: dict[ModelKey, Answer] = {}
        self._facts: dict[ModelKey, int] = {}
        self._stale: set[ModelKey] = set()

    def of(self, model: Installed) -> Answer:
        """Return what was computed last."""
        return self._kept.get(model.key) or Answer(model)

    def refresh(self, state: State, models: Sequence[Installed], most: int) -> bool:
        """Compute at most so many that are due; return whether more are."""
        basis = _basis(state)
        if self._basis is None or not self._basis.is_like(basis):
            self._basis = basis
            self._stale = {model.key for model in models}
        due = [model for model in models if self._is_due(state, model)]
        for model in due[:most]:
            self._stale.discard(model.key)
            self._facts[model.key] = id(state.facts.get(model.key))
            self._kept[model.key] = answer_of(state, model)
        return len(due) > most

    def _is_due(self, state: State, model: Installed) -> bool:
        facts = state.facts.get(model.key)
        return model.key in self._stale or self._facts.get(model.key) != id(facts)


def _basis(state: State) -> _Basis:
    system = state.system.sample if state.system else None
    return _Basis(
        tuple((key, one.claim.context_length, one.split.gpu_bytes) for key, one in state.models.items()),
        tuple(
            (uuid, free_bytes(gpu.reading.memory) if gpu.reading.memory else None)
            for uuid, gpu in state.gpus.items()
        ),
        system.ram_available_bytes if system and not state.gpus else 0,
        len(state.servers),
    )
