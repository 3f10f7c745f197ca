"""Verdicts on requests: prompts that are read again at each turn, full contexts, and those that wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpumon.app.diagnosis.diagnosis import Cause, CauseKind, Evidence, Verdict
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.verdicts.cache import source_of
from gpumon.app.diagnosis.words import LOG, SLOTS, tokens_evidence
from gpumon.app.insight.full_context import Filled, filled_words
from gpumon.app.insight.rereads import RereadCause, cause_of, cause_words, goes_not_back, reread_words
from gpumon.app.insight.waiting import Waiting, waiting_words
from gpumon.app.state.rates.rereads import Losses
from gpumon.text import units

CAUSES: Mapping[RereadCause, CauseKind] = {"others": "shared_slot", "window": "window_too_short"}


def prompt_reread(subject: Subject) -> Verdict | None:
    """Find a conversation of which the server keeps little or nothing from turn to turn."""
    losses = subject.loaded.rereads
    if losses is None:
        return None
    return Verdict("prompt_reread", "watch", reread_words(subject.name, losses), tuple(_evidence(losses)))


def context_full(subject: Subject) -> Verdict | None:
    """Find requests that have lately filled the context: an answer ends there, or the oldest is dropped."""
    found = subject.loaded.filled
    if found is None:
        return None
    words = filled_words(subject.name, found, subject.model.kind.full_context_words)
    return Verdict("context_full", "watch", words, tuple(_of_context(subject, found)))


def _of_context(subject: Subject, found: Filled) -> Iterator[Evidence]:
    yield Evidence("requests that filled it", f"{found.filled} of {found.among}", SLOTS)
    yield tokens_evidence("context", found.context_length, SLOTS)
    trained = subject.model.facts.trained_context_length if subject.model.facts else None
    if trained is not None:
        yield tokens_evidence("trained on", trained, "its file")


def reread_cause(subject: Subject) -> Cause | None:
    """Return why a prompt is read again; ``None`` where none is."""
    losses = subject.loaded.rereads
    if losses is None:
        return None
    words = cause_words(losses, is_windowed=goes_not_back(subject.model, subject.state))
    kind: CauseKind = CAUSES.get(cause_of(losses), "prompt_changes")
    between = Evidence("turns with others in between", f"{losses.others_between} of {losses.turns}", SLOTS)
    return Cause(kind, words, (between, *_evidence(losses)))


def _evidence(losses: Losses) -> Iterator[Evidence]:
    yield Evidence("turns that lost it in the last hour", str(losses.turns), SLOTS)
    yield tokens_evidence("read again at each", losses.tokens_each, SLOTS)
    yield tokens_evidence("kept", losses.same_tokens, SLOTS)
    if losses.common_tokens is not None:
        yield tokens_evidence("the same as before", losses.common_tokens, LOG)
    yield tokens_evidence("latest prompt", losses.prompt_tokens, SLOTS)
    if losses.seconds_each is not None:
        yield Evidence("lost at each", units.duration(losses.seconds_each), SLOTS)


def waiting(subject: Subject) -> Verdict | None:
    """Find requests that queue up for a place."""
    found = subject.loaded.waiting
    if found is None:
        return None
    words = waiting_words(subject.name, found)
    return Verdict("waiting", "watch", words, tuple(_of_waiting(subject, found)))


def waiting_cause(subject: Subject) -> Cause | None:
    """Return what holds the places; ``None`` where nobody waits, or that is not known."""
    found = subject.loaded.waiting
    if found is None or not found.held:
        return None
    return Cause("slots_held", found.held, tuple(_of_waiting(subject, found)))


def _of_waiting(subject: Subject, found: Waiting) -> Iterator[Evidence]:
    source = source_of(subject)
    yield Evidence("requests waiting", str(found.requests), source)
    if found.running is not None:
        yield Evidence("requests running", str(found.running), source)
    if found.slot_count is not None:
        yield Evidence("slots", str(found.slot_count), SLOTS)
