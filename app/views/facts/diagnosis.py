"""A diagnosis as lines on a model's page."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.alerts.book import AlertBook
from gpumon.app.diagnosis.diagnose import RANKS
from gpumon.app.diagnosis.diagnosis import AND, Diagnosis, Remedy
from gpumon.app.diagnosis.report import cost_words, remedy_words
from gpumon.app.diagnosis.words import ARITHMETIC, ESTIMATE
from gpumon.app.views.page import page_verdict
from gpumon.widgets.views import Fact, VerdictView


def diagnosis_verdict(title: str, subject_id: str, alerts: AlertBook, found: Diagnosis) -> VerdictView:
    """Return the worse of the diagnosis and the worst alert on the model; of equals the diagnosis."""
    alert = page_verdict(title, subject_id, alerts, known=True)
    own = found.verdict
    if RANKS[alert.level] < RANKS[own.severity] and alert.level != "ok":
        return alert
    return VerdictView(own.severity, own.sentence)


def diagnosis_facts(found: Diagnosis) -> Iterator[Fact]:
    """Give what is wrong besides, the cause, the cost, and each remedy with what to type."""
    for verdict in found.verdicts[1:]:
        yield Fact("also", verdict.sentence, verdict.evidence[0].source if verdict.evidence else "")
    if found.cause is not None:
        yield Fact("cause", found.cause.sentence, found.cause.evidence[0].source, found.verdict.severity)
    if (cost := cost_words(found)) is not None:
        yield Fact("cost", cost, ESTIMATE)
    for number, remedy in enumerate(found.remedies, start=1):
        yield from _remedy(number, remedy)


def _remedy(number: int, remedy: Remedy) -> Iterator[Fact]:
    yield Fact(f"remedy {number}", remedy_words(remedy), ARITHMETIC)
    if remedy.command is None:
        return
    where, _, besides = (remedy.where or "in a shell").partition(AND)
    yield Fact("  type", remedy.command, where)
    if besides:
        yield Fact("  and", besides, "")
