"""Verdicts on the rate: slow though all of it is where it should be, or slower than usual."""

from __future__ import annotations

from gpumon.app.diagnosis import takers
from gpumon.app.diagnosis.diagnosis import Evidence, Verdict
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import ESTIMATE, GPUMON, SLOTS, band_words
from gpumon.app.insight.falls import (
    Change,
    ChangeKind,
    Comparison,
    changes_since,
    compare,
    paced_of,
    reason_words,
)
from gpumon.text import units

LONG_CONTEXT_SHARE = 0.8
"""Of the rate at the start of a context, below which a context is long."""
PARALLEL_SHARE = 0.7
"""Of the rate of a request alone, below which the others cost it something."""


def long_context(subject: Subject) -> Verdict | None:
    """Find that reading the context costs a good part of the rate: against the usual one, or the estimate."""
    tokens, rate = subject.rates.context_tokens, subject.rates.per_request
    evidence = fall_because(subject, "context") or _long_by_estimate(subject)
    if not evidence or tokens is None or not rate:  # what stands still is not slow
        return None
    words = f"is slow because of a long context: {units.rate(rate)} at {units.tokens(tokens)} tokens"
    said = Evidence("tokens in the context", str(tokens), SLOTS)
    return Verdict("long_context", "ok", f"{subject.name} {words}", (said, *evidence))


def parallel_requests(subject: Subject) -> Verdict | None:
    """Find that a request is slow because it shares the model with others."""
    rates = subject.rates
    evidence = fall_because(subject, "parallel") or _parallel_by_estimate(subject)
    if not evidence or rates.streams < 2 or not rates.per_request or rates.now is None:
        return None
    each, together = units.rate(rates.per_request), units.rate(rates.now)
    words = f"works on {rates.streams} requests at once: {each} each, {together} together"
    said = Evidence("requests", str(rates.streams), SLOTS)
    return Verdict("parallel_requests", "ok", f"{subject.name} {words}", (said, *evidence))


def _fall(subject: Subject) -> tuple[Comparison, tuple[Change, ...]] | None:
    """Return by how much it is slower than usual, and what has changed; ``None`` if it is not."""
    paced = paced_of(subject.model, subject.state)
    compared = compare(paced) if paced is not None else None
    if paced is None or compared is None or not compared.is_below:
        return None
    return compared, changes_since(paced, compared)


def fall_because(subject: Subject, kind: ChangeKind) -> tuple[Evidence, ...]:
    """Return the evidence of a fall that has one reason among its reasons."""
    fall = _fall(subject)
    if fall is None or not any(change.kind == kind for change in fall[1]):
        return ()
    return _fall_evidence(*fall)


def _long_by_estimate(subject: Subject) -> tuple[Evidence, ...]:
    rates = subject.rates
    if rates.per_request is None or subject.is_spilled or rates.streams > 1:
        return ()
    now, empty = subject.expected_fitting, subject.expected_empty
    if now is None or empty is None:
        return ()
    if max(now.expected, rates.per_request) > LONG_CONTEXT_SHARE * empty.expected:
        return ()
    return (
        Evidence("decode rate", units.rate(rates.per_request), SLOTS),
        Evidence("with this context", band_words(now), ESTIMATE),
        Evidence("with an empty one", band_words(empty), ESTIMATE),
    )


def _parallel_by_estimate(subject: Subject) -> tuple[Evidence, ...]:
    rates = subject.rates
    if rates.streams < 2 or rates.per_request is None:
        return ()
    alone = subject.expected_now
    if alone is None or rates.per_request > PARALLEL_SHARE * alone.low:
        return ()
    return (
        Evidence("decode rate of each", units.rate(rates.per_request), SLOTS),
        Evidence("of one alone", band_words(alone), ESTIMATE),
    )


def _fall_evidence(compared: Comparison, changes: tuple[Change, ...]) -> tuple[Evidence, ...]:
    usual = compared.usual
    return (
        Evidence("decode rate", units.rate(compared.pace.tokens_per_second), SLOTS),
        Evidence("usual rate", units.rate(usual.decode_tokens_per_second), f"{usual.request_count} requests"),
        *(Evidence("changed", change.words, "gpumon") for change in changes),
    )


def crowded(subject: Subject) -> Verdict | None:
    """Find an image generator of which a step takes far longer since another took memory of its card."""
    steps, cause = takers.step_change(subject), takers.crowded(subject)
    if steps is None or cause is None:
        return None
    now, before = (units.step_rate(one.seconds_per_step) for one in (steps.now, steps.before))
    evidence = (Evidence("a step", now, GPUMON), Evidence("a step before", before, GPUMON))
    return Verdict("crowded", "bad", f"{subject.name} is slower: {now}, {before} before", evidence)


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
