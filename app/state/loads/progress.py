"""How far a load is: its phase, the bytes that have arrived, the time left, and what it teaches."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.state.records import PHASES, Lesson, Load, LoadPhase, RunnerRecord
from gpumon.app.state.records.evidence import NOISE_BYTES, arriving, is_mapped, take_process, take_vram
from gpumon.app.state.records.load import identity
from gpumon.app.state.state import State
from gpumon.collectors.samples import RunnerSettings

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
    """Return whether the weights are copied to a GPU only after all of them have arrived in RAM."""
    evidence, target = load.evidence, load.target_bytes
    if evidence.said.amount or not is_mapped(evidence) or target is None:
        return False
    return evidence.allocated_bytes is None or evidence.allocated_pages > COPIED_MEANWHILE_SHARE * target


def _copy_is_unknown(load: Load) -> bool:
    """Return whether the end of the copy says more than a rule of thumb from its start on."""
    return copies_later(load) and (load.lesson is None or load.lesson.tail_seconds is None)


def _copy_seconds(load: Load) -> float:
    if not copies_later(load) or load.target_bytes is None:
        return 0.0
    allocated = load.evidence.allocated_bytes
    room = load.room_bytes if allocated is None else allocated
    amount = load.target_bytes if room is None else min(load.target_bytes, room)
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


COMPLETE_SHARE = 0.985
"""The rest may be the file's header, or a page that is not needed."""
MAPPED_SHARE = 0.5
"""If so much of the file was mapped when device memory was taken, then all of it was."""
FALLEN_SHARE = 0.9
"""Pages of weights that are on a GPU are unmapped; then fewer than this share are left."""
NOT_YET_READY = 0.99
WARM_UP_AFTER_SECONDS = 1.0


def follow_load(load: Load, runner: RunnerRecord, now: float) -> None:
    """Take in what is known of the runner now; of one that is ready only its memory."""
    _take(load, runner, now)
    if load.ready_at is not None:
        return
    _note_milestones(load, runner, now)
    enter(load, _phase(load, runner, now), now)
    _tell(load, now)


def enter(load: Load, phase: LoadPhase, now: float) -> None:
    """Go on to a phase; a load never goes back to an earlier one."""
    if PHASES.index(phase) <= PHASES.index(load.phase):
        return
    load.phase_seconds[load.phase] = max(0.0, now - load.phase_since)
    load.phase, load.phase_since = phase, now
    if phase == "ready":
        load.ready_at = now
        load.fraction, load.seconds_left, load.bytes_per_second = 1.0, 0.0, None


def _take(load: Load, runner: RunnerRecord, now: float) -> None:
    evidence = load.evidence
    take_process(evidence, runner.process, runner.seen)
    load.ram_bytes = runner.process.rss_bytes
    if runner.placement is not None and runner.placement.progress is not None:
        evidence.said.take(now, runner.placement.progress)
    if runner.vram_seen is not None and runner.vram_seen >= load.watched:
        take_vram(evidence, runner.vram_by_gpu, runner.vram_seen, load.target_bytes)
    load.vram_by_gpu = dict(runner.vram_by_gpu)
    if load.vram_by_gpu:
        load.peak_vram_bytes = max(load.peak_vram_bytes or 0, sum(load.vram_by_gpu.values()))
    if runner.answer is not None and runner.answer.progress is not None:
        evidence.said.take(runner.answer.time, min(1.0, max(0.0, runner.answer.progress)))


def _note_milestones(load: Load, runner: RunnerRecord, now: float) -> None:
    evidence = load.evidence
    if evidence.arrived_at is None:
        evidence.arrived_at = _arrival(load)
    if evidence.context_at is None and (_has_context(load) or _context_is_logged(load, runner)):
        evidence.context_at = now


def _arrival(load: Load) -> float | None:
    """Return when the last byte of the weights had arrived; ``None`` while it has not."""
    evidence, target = load.evidence, load.target_bytes
    if evidence.said.amount:
        return evidence.said.time_of(1.0) if evidence.said.amount >= COMPLETE_SHARE else None
    stream = arriving(evidence)
    if stream is None or target is None:
        return None
    if stream.amount >= COMPLETE_SHARE * target:
        return stream.time_of(target)
    return evidence.allocated_at if evidence.allocated_pages >= MAPPED_SHARE * target else None


def _has_context(load: Load) -> bool:
    evidence = load.evidence
    is_unmapped = evidence.pages_now < FALLEN_SHARE * evidence.pages.amount
    return evidence.regrown or (evidence.arrived_at is not None and evidence.gpu_bytes > 0 and is_unmapped)


def _context_is_logged(load: Load, runner: RunnerRecord) -> bool:
    """Return whether llama.cpp has logged memory for the context after the weights were there.

    It logs the same while it tries arrangements; Ollama's own engine takes that memory first.
    """
    if load.placement is None or not runner.kind.logs_context_last:
        return False
    after = load.evidence.arrived_at or load.evidence.allocated_at
    logged = load.placement.context_seen
    return after is not None and logged is not None and logged > after


def _has_compute_buffer(load: Load) -> bool:
    return load.placement is not None and bool(load.placement.compute_lines)


def _phase(load: Load, runner: RunnerRecord, now: float) -> LoadPhase:
    evidence = load.evidence
    if evidence.context_at is not None:
        all_taken = evidence.vram_steady or _has_compute_buffer(load)
        return "warm_up" if all_taken and now - evidence.context_at >= WARM_UP_AFTER_SECONDS else "context"
    if arriving(evidence) or evidence.said.amount or evidence.gpu_bytes >= NOISE_BYTES:
        return "weights"
    if runner.answer is None or runner.answer.state != "loading":
        return "starting"
    return "weights" if load.has_no_gpu else "fitting"


def _tell(load: Load, now: float) -> None:
    evidence, stream, target = load.evidence, arriving(load.evidence), load.target_bytes
    share: float | None = evidence.said.amount or None
    if share is not None and target is not None:
        load.loaded_bytes = max(load.loaded_bytes or 0, int(share * target))
    elif share is None and stream is not None:
        seen = int(stream.amount) if target is None else min(int(stream.amount), target)
        load.loaded_bytes = max(load.loaded_bytes or 0, seen)
        share = load.loaded_bytes / target if target else None
    load.bytes_per_second = _bytes_per_second(load)
    load.seconds_left, time_share = seconds_left(load, now)
    share = share if share is not None else time_share
    if share is not None:
        load.fraction = max(load.fraction or 0.0, min(share, NOT_YET_READY))


def _bytes_per_second(load: Load) -> float | None:
    evidence = load.evidence
    if evidence.arrived_at is not None or evidence.context_at is not None:
        return None
    if evidence.said.amount:
        rate = evidence.said.rate
        return rate * load.target_bytes if rate and load.target_bytes else None
    stream = arriving(evidence)
    return (stream.rate or None) if stream else None


LESSONS_KEPT = 200
MEASURABLE_SECONDS = 1.5
"""Shorter than this, a copy says little about its rate at one look a second."""
LOOK_SECONDS = 2.0
"""Processes are looked at at least once a second while one loads; a load begins more slowly than it ends."""
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
    """Return the size of the file: the pages that were mapped at most, if that can be all of them.

    The last of them may have been mapped, and unmapped again, between two looks.
    """
    pages, arrived_at = int(load.evidence.pages.amount), load.evidence.arrived_at
    if not is_mapped(load.evidence) or load.target_bytes is None:
        return None
    if not PLAUSIBLE_SHARE * load.target_bytes <= pages <= load.target_bytes or arrived_at is None:
        return load.target_bytes
    seconds = max(arrived_at - load.started, LOOK_SECONDS)
    is_unseen = load.target_bytes - pages <= LOOK_SECONDS * pages / seconds
    return load.target_bytes if is_unseen else pages


def _copy_rate(load: Load) -> float | None:
    evidence = load.evidence
    if evidence.arrived_at is None or evidence.context_at is None or not copies_later(load):
        return None
    seconds = evidence.context_at - evidence.arrived_at
    if seconds < MEASURABLE_SECONDS or not evidence.allocated_bytes:
        return None
    return evidence.allocated_bytes / seconds
