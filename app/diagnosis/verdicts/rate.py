"""The verdict on a model that is slower than it usually is, where no other verdict says why."""

from __future__ import annotations

from gpumon.app.diagnosis.diagnosis import Evidence, Verdict
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import SLOTS
from gpumon.app.insight.changes import ChangeKind, changes_since, reason_words
from gpumon.app.insight.falls import Comparison, compare, paced_of
from gpumon.text import units

HAVE_THEIR_OWN: frozenset[ChangeKind] = frozenset(
    {"spill", "throttling", "swapping", "link", "context", "parallel"}
)
"""Changes of which another verdict speaks."""


def below_baseline(subject: Subject) -> Verdict | None:
    """Find a decode rate below the usual one that nothing else explains."""
    paced = paced_of(subject.model, subject.state)
    compared = compare(paced) if paced is not None else None
    if paced is None or compared is None or not compared.is_below:
        return None
    changes = changes_since(paced, compared)
    if any(change.kind in HAVE_THEIR_OWN for change in changes):
        return None
    return Verdict(
        "below_baseline",
        "watch",
        f"{subject.name} {compared.words}, {reason_words(changes)}",
        _evidence(compared),
    )


def _evidence(compared: Comparison) -> tuple[Evidence, ...]:
    usual = compared.usual
    spread = f"{units.rate(usual.decode_tokens_per_second)} ± {usual.spread_tokens_per_second:.1f}"
    return (
        Evidence("decode rate of a request", units.rate(compared.pace.tokens_per_second), SLOTS),
        Evidence("usual rate", spread, f"learned from {usual.request_count} requests"),
    )
