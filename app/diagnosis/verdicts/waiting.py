"""A verdict on requests that wait for a place, and what holds the places."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.diagnosis.diagnosis import Cause, Evidence, Verdict
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.verdicts.cache import source_of
from gpumon.app.diagnosis.words import SLOTS
from gpumon.app.insight.waiting import Waiting, waiting_words


def waiting(subject: Subject) -> Verdict | None:
    """Find requests that queue up for a place."""
    found = subject.loaded.waiting
    if found is None:
        return None
    words = waiting_words(subject.name, found)
    return Verdict("waiting", "watch", words, tuple(_evidence(subject, found)))


def waiting_cause(subject: Subject) -> Cause | None:
    """Return what holds the places; ``None`` where nobody waits, or that is not known."""
    found = subject.loaded.waiting
    if found is None or not found.held:
        return None
    return Cause("slots_held", found.held, tuple(_evidence(subject, found)))


def _evidence(subject: Subject, found: Waiting) -> Iterator[Evidence]:
    source = source_of(subject)
    yield Evidence("requests waiting", str(found.requests), source)
    if found.running is not None:
        yield Evidence("requests running", str(found.running), source)
    if found.slot_count is not None:
        yield Evidence("slots", str(found.slot_count), SLOTS)
