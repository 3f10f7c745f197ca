"""What the pages of GPUs and models have in common."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

from msgspec import Struct

from gpumon.app.alerts.book import AlertBook
from gpumon.text import units
from gpumon.widgets.views import ChartView, Fact, VerdictView

NVML = "NVML"
PS = "/api/ps"
SHOW = "/api/show"
PROC = "/proc"
GPUMON = "gpumon"


class PageView(Struct, frozen=True):
    """One instant of a page."""

    verdict: VerdictView
    facts: tuple[Fact, ...] = ()
    charts: tuple[ChartView, ...] = ()
    first: tuple[Fact, ...] = ()
    """What is said before the charts: a model's diagnosis."""


def page_verdict(title: str, subject_id: str, alerts: AlertBook, known: bool, label: str = "") -> VerdictView:
    """Return the worst alert on the subject, or its title with a healthy mark.

    Messages begin with ``label``, the short name of the subject: the title takes its place.
    """
    worst = next((alert for alert in alerts.active if alert.subject_id == subject_id), None)
    if worst is None:
        return VerdictView("ok" if known else "unknown", title)
    if title in worst.message:
        return VerdictView(worst.severity, worst.message)
    if label and worst.message.startswith(f"{label} "):
        return VerdictView(worst.severity, f"{title}{worst.message.removeprefix(label)}")
    return VerdictView(worst.severity, f"{title}: {worst.message}")


def of_maximum(value: int | None, maximum: int | None, unit: str = "") -> str:
    """Write a figure with the most it can be: ``16 of 16``."""
    words = text_of(value) if maximum is None else f"{text_of(value)} of {maximum}"
    return f"{words} {unit}".strip()


def prefixed(prefix: str, value: int | None) -> str:
    """Write a number after a prefix: ``P2``."""
    return units.UNKNOWN if value is None else f"{prefix}{value}"


def text_of(value: int | None) -> str:
    """Write a whole number."""
    return units.UNKNOWN if value is None else str(value)


def request_labels(newest: str) -> Iterator[str]:
    """Give the labels of requests, the newest first, without end."""
    return chain((newest,), repeat("  the one before"))


def about(words: str, *, estimate: bool) -> str:
    """Mark an estimate: ``~41 tok/s``; what is unknown stays as it is."""
    return f"~{words}" if estimate and words != units.UNKNOWN else words
