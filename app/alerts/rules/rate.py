"""The rule about rates: a model that is slower than it usually is."""

from __future__ import annotations

from gpumon.app.alerts.finding import CLEAR, UNKNOWN, Finding
from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.falls import Change, Comparison, Paced, changes_since, compare, reason_words
from gpumon.text.safe import visible
from gpumon.text.units import percent

BAD_PERCENT = 50.0
"""A fall from here on is bad, unless the work is harder."""
HARDER_WORK = frozenset({"context", "parallel"})


def slower(paced: Paced, limits: Limits, active: bool) -> Finding:
    """Find a decode rate below the model's own baseline, and say what has changed since that was learned."""
    compared = compare(paced, limits.slower_percent, active=active)
    if compared is None:
        return UNKNOWN
    if not compared.is_below:
        return CLEAR
    changes, name = changes_since(paced, compared), visible(paced.model.claim.name)
    return Finding(
        level="bad" if _is_bad(compared, changes) else "watch",
        subject=name,
        message=f"{name} {compared.words} (-{percent(compared.lost_percent)}), {reason_words(changes)}",
        hold_seconds=limits.slower_seconds,
        measure=compared.lost_percent,
    )


def _is_bad(compared: Comparison, changes: tuple[Change, ...]) -> bool:
    return compared.lost_percent >= BAD_PERCENT and not any(change.kind in HARDER_WORK for change in changes)
