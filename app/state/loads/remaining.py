"""How long a load will take: what is left at the present rate, and what comes after the last byte."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.state.records import Lesson, Load
from gpumon.app.state.records.evidence import arriving, is_mapped

CONTEXT_SECONDS = 1.5
"""Rule of thumb for context and warm-up."""
COPY_BYTES_PER_SECOND = 8e9
"""Rule of thumb for mapped pages to a GPU over PCIe 4.0 x16."""
COPIED_MEANWHILE_SHARE = 0.2
"""If no more of the file was mapped when device memory was taken, then reading and copying go together."""
OVERDUE_SHARE = 0.1
"""What takes longer than expected is expected to take at least this much longer again."""
STALLED_SHARE = 1e-4
"""Share of the weights per second below which nothing moves."""


class TimeLeft(NamedTuple):
    """Seconds until ready, and the share of the time that is over where only the time is known."""

    seconds: float | None
    share: float | None = None


def seconds_left(load: Load, now: float) -> TimeLeft:
    """Return the time until ready, and note in the load whether it contains a rule of thumb."""
    evidence, lesson = load.evidence, load.lesson
    load.estimated = lesson is None or (lesson.tail_seconds is None and lesson.context_seconds is None)
    if evidence.context_at is not None and (evidence.arrived_at is None or _copy_is_unknown(load)):
        return TimeLeft(_remaining(context_seconds(load), now - evidence.context_at))
    if evidence.arrived_at is not None:
        return TimeLeft(_remaining(tail_seconds(load), now - evidence.arrived_at))
    if evidence.said.amount or arriving(evidence) is not None:
        arrival = _arrival_seconds(load)
        return TimeLeft(None if arrival is None else arrival + tail_seconds(load))
    if lesson is None:
        return TimeLeft(None)
    load.estimated = False
    return _by_total(lesson, load.elapsed_seconds(now))


def tail_seconds(load: Load) -> float:
    """Return how long copy, context and warm-up take after the last byte has arrived in RAM."""
    if load.lesson is not None and load.lesson.tail_seconds is not None:
        return load.lesson.tail_seconds
    return _copy_seconds(load) + context_seconds(load)


def context_seconds(load: Load) -> float:
    """Return how long context and warm-up take."""
    known = load.lesson.context_seconds if load.lesson else None
    return CONTEXT_SECONDS if known is None else known


def copies_later(load: Load) -> bool:
    """Tell whether the weights are copied to a GPU only after all of them have arrived in RAM."""
    evidence, target = load.evidence, load.target_bytes
    if evidence.said.amount or not is_mapped(evidence) or target is None:
        return False
    return evidence.allocated_bytes is None or evidence.allocated_pages > COPIED_MEANWHILE_SHARE * target


def _copy_is_unknown(load: Load) -> bool:
    """Tell whether the end of the copy says more than a rule of thumb from its start on."""
    return copies_later(load) and (load.lesson is None or load.lesson.tail_seconds is None)


def _copy_seconds(load: Load) -> float:
    if not copies_later(load) or load.target_bytes is None:
        return 0.0
    room = load.evidence.allocated_bytes
    amount = min(load.target_bytes, load.room_bytes if room is None else room)
    return amount / (load.copy_bytes_per_second or COPY_BYTES_PER_SECOND)


def _arrival_seconds(load: Load) -> float | None:
    """Return how long the rest of the weights takes at the rate of the last seconds."""
    said = load.evidence.said
    if said.amount:
        return _at_rate(1.0 - said.amount, said.rate, STALLED_SHARE)
    stream, target = arriving(load.evidence), load.target_bytes
    if stream is None or target is None:
        return None
    return _at_rate(max(0.0, target - stream.amount), stream.rate, STALLED_SHARE * target)


def _at_rate(amount: float, rate: float | None, stalled: float) -> float | None:
    return None if rate is None or rate < stalled else amount / rate


def _remaining(whole_seconds: float, elapsed_seconds: float) -> float:
    return max(whole_seconds - elapsed_seconds, OVERDUE_SHARE * elapsed_seconds)


def _by_total(lesson: Lesson, elapsed_seconds: float) -> TimeLeft:
    """Expect what it took the last time; bytes may soon tell better, then there is no share."""
    left = _remaining(lesson.total_seconds, elapsed_seconds)
    share = elapsed_seconds / max(elapsed_seconds + left, 1e-9)
    return TimeLeft(left, None if lesson.bytes_seen else share)
