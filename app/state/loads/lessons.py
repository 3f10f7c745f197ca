"""What finished loads teach: sizes and durations of a model, and how fast this machine copies to its GPUs."""

from __future__ import annotations

from gpumon.app.state.loads.remaining import copies_later
from gpumon.app.state.records import Lesson, Load
from gpumon.app.state.records.evidence import is_mapped
from gpumon.app.state.records.load import identity
from gpumon.app.state.state import State
from gpumon.collectors.samples import RunnerSettings

LESSONS_KEPT = 200
MEASURABLE_SECONDS = 1.5
"""Shorter than this, a copy says little about its rate at one look a second."""
PLAUSIBLE_SHARE = 0.8
"""Fewer pages than this share of the size: the kernel has dropped some before the last was there."""


def recall(state: State, settings: RunnerSettings) -> Lesson | None:
    """Return what the latest load of the same model has taught, one with the same context if there is one."""
    key = identity(settings)
    if key is None:
        return None
    exact = state.lessons.get((key, settings.context_length))
    same_model = (lesson for (model, _), lesson in reversed(state.lessons.items()) if model == key)
    return exact or next(same_model, None)


def recall_copy_rate(state: State) -> float | None:
    """Return the rate in bytes per second at which the latest load that showed it was copied to the GPUs."""
    rates = (lesson.copy_bytes_per_second for lesson in reversed(state.lessons.values()))
    return next((rate for rate in rates if rate), None)


def learn(state: State, load: Load) -> None:
    """Keep what a load that has become ready teaches."""
    key = identity(load.settings)
    if key is None or load.ready_at is None:
        return
    lesson_key = (key, load.settings.context_length)
    state.lessons.pop(lesson_key, None)
    state.lessons[lesson_key] = _lesson(load, load.ready_at)
    if len(state.lessons) > LESSONS_KEPT:
        del state.lessons[next(iter(state.lessons))]


def _lesson(load: Load, ready_at: float) -> Lesson:
    evidence = load.evidence
    return Lesson(
        total_seconds=ready_at - load.started,
        weights_bytes=_weights_bytes(load),
        bytes_seen=evidence.arrived_at is not None,
        tail_seconds=None if evidence.arrived_at is None else ready_at - evidence.arrived_at,
        context_seconds=None if evidence.context_at is None else ready_at - evidence.context_at,
        copy_bytes_per_second=_copy_rate(load),
    )


def _weights_bytes(load: Load) -> int | None:
    """Return the size of the file: the pages that were mapped at most, if that can be all of them."""
    pages = int(load.evidence.pages.amount)
    if not is_mapped(load.evidence) or load.target_bytes is None:
        return None
    return pages if PLAUSIBLE_SHARE * load.target_bytes <= pages <= load.target_bytes else load.target_bytes


def _copy_rate(load: Load) -> float | None:
    evidence = load.evidence
    if evidence.arrived_at is None or evidence.context_at is None or not copies_later(load):
        return None
    seconds = evidence.context_at - evidence.arrived_at
    if seconds < MEASURABLE_SECONDS or not evidence.allocated_bytes:
        return None
    return evidence.allocated_bytes / seconds
