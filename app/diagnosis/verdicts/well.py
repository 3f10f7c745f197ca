"""Verdicts on a model that is as it should be, or of which too little is known."""

from __future__ import annotations

from gpumon.app.diagnosis.diagnosis import Evidence, Verdict
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import ESTIMATE, NVML, SLOTS, band_words, size_evidence
from gpumon.app.insight.wording import amount
from gpumon.app.state.hindrances import rivals
from gpumon.text import units


def loading(subject: Subject) -> Verdict | None:
    """Find a model that is not ready yet."""
    if subject.loaded.activity != "loading":
        return None
    state = subject.runner.answer.state if subject.runner and subject.runner.answer else "loading"
    return Verdict(
        "loading", "ok", f"{subject.name} is loading", (Evidence("its port says", state, "/health"),)
    )


def healthy(subject: Subject) -> Verdict | None:
    """Say that all of it is where it should be, and how near it is to what the card can do."""
    split = subject.split
    if split.spill_fraction is None or subject.is_spilled:
        return None
    where = "on GPU" if split.gpu_bytes else "in RAM, as no GPU is known there"
    size_bytes = split.gpu_bytes or split.ram_bytes or 0
    claimed = size_evidence("on GPU" if split.gpu_bytes else "in RAM", size_bytes, subject.split_source)
    return Verdict(
        "healthy",
        "ok",
        f"{subject.name} is well: {amount(size_bytes)} {where}{_share_words(subject)}",
        (claimed, *_measured_evidence(subject), *_rate_evidence(subject)),
    )


def unknown(subject: Subject) -> Verdict:
    """Say that nothing tells where the model is."""
    said = Evidence("placement", "not told", subject.split_source)
    return Verdict("unknown", "unknown", f"{subject.name} is loaded; where it is cannot be told", (said,))


def _share_words(subject: Subject) -> str:
    """Say the rate, and what share of the estimate it is: ``, 131 tok/s, 96% of what this card can do``.

    The estimate is that of the data sheet: one that follows what was observed would always be reached.

    The share means nothing while others work on the same GPU, or the request has others beside it.
    """
    rate, best = subject.rates.measured, subject.rates.expected_by_card
    if rate is None:
        return ""
    if subject.runner is not None and rivals(subject.state, subject.runner):
        return f", {units.rate(rate)} beside another model at work"
    words = f", {units.rate(rate)}"
    if best is None or subject.rates.streams > 1:
        return words
    return f"{words}, {units.percent(rate / best.expected * 100)} of what {_cards(subject)} can do"


def _cards(subject: Subject) -> str:
    """Name what it runs on."""
    held = subject.runner.vram_by_gpu if subject.runner else {}
    if not subject.split.gpu_bytes:
        return "this machine"
    return "this card" if len(held) < 2 else f"these {len(held)} cards"


def _measured_evidence(subject: Subject) -> tuple[Evidence, ...]:
    measured = subject.loaded.measured_bytes
    return () if measured is None else (size_evidence("VRAM measured", measured, NVML),)


def _rate_evidence(subject: Subject) -> tuple[Evidence, ...]:
    rate, best = subject.rates.measured, subject.rates.expected_now
    found = [] if rate is None else [Evidence("decode rate", units.rate(rate), SLOTS)]
    return (*found, *([] if best is None else [Evidence("to be expected", band_words(best), ESTIMATE)]))
