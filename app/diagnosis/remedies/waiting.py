"""What helps requests that wait for a place: one place more with what it takes, or more room for contexts."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import NoArithmetic
from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.diagnosis.remedies import commands
from gpumon.app.diagnosis.remedies.cache import more_room
from gpumon.app.diagnosis.remedies.settings import computed
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.insight.pool import pool_of
from gpumon.app.insight.waiting import is_for_room

MOST_SLOTS = 8


def waiting_remedies(subject: Subject) -> Iterator[Remedy]:
    """Yield what would let them be worked on."""
    found, pool = subject.loaded.waiting, pool_of(subject.model, subject.state)
    if found is None:
        return
    if pool is not None and is_for_room(subject.model, subject.state):
        yield from more_room(subject, pool)
    elif pool is not None:
        yield from _more_at_once(subject, found.running)
    else:
        slots = (found.slot_count or 1) + 1
        otherwise = "each is slower while all are at work"
        yield from more_slots(subject, slots, f"work on {slots} at once", otherwise)


def more_slots(
    subject: Subject, slots: int, words: str, otherwise: str, *, must_fit: bool = True
) -> Iterator[Remedy]:
    """Yield so many slots with what they take; where that cannot be reckoned, what is said ``otherwise``.

    Where they ``must_fit`` nothing is said if a part would be in RAM then: each would be slower.
    """
    if slots > MOST_SLOTS:
        return
    arithmetic = subject.arithmetic
    if isinstance(arithmetic, NoArithmetic):
        line = subject.model.kind.set_slots(slots)
        if line.line is not None:
            yield Remedy("more_slots", words, line.line, otherwise, where=line.where)
        return
    wanted = replace(arithmetic.options, parallel=slots)
    line_of = commands.set_slots(subject.model, wanted)
    remedy = computed("more_slots", words, line_of, subject, arithmetic, wanted)
    if not must_fit or arithmetic.fits(arithmetic.room.free_bytes, wanted):
        yield remedy


def _more_at_once(subject: Subject, running: int | None) -> Iterator[Remedy]:
    """Suggest twice as many requests at once to a server whose contexts share one cache."""
    settings = subject.runner.process.settings if subject.runner else None
    most = (settings.parallel if settings else None) or running
    line = subject.model.kind.set_slots(2 * most) if most else None
    if line is not None and line.line is not None:
        words, why = f"work on {2 * (most or 0)} at once", f"{most} are at work, and the cache has room"
        yield Remedy("more_slots", words, line.line, why, where=line.where)
