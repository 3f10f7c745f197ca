"""How far a load is: its phase, and the bytes that have arrived."""

from __future__ import annotations

from gpumon.app.state.loads.remaining import seconds_left
from gpumon.app.state.records import PHASES, Load, LoadPhase, RunnerRecord
from gpumon.app.state.records.evidence import NOISE_BYTES, arriving, take_process, take_vram

COMPLETE_SHARE = 0.985
"""The rest may be the file's header, or a page that is not needed."""
MAPPED_SHARE = 0.5
"""If so much of the file was mapped when device memory was taken, then all of it was."""
FALLEN_SHARE = 0.9
"""Pages of weights that are on a GPU are unmapped; then fewer than this share are left."""
NOT_YET_READY = 0.99
WARM_UP_AFTER_SECONDS = 1.0


def follow_load(load: Load, runner: RunnerRecord, now: float) -> None:
    """Take what is known of the runner now; of one that is ready only its memory."""
    _take(load, runner)
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


def _take(load: Load, runner: RunnerRecord) -> None:
    evidence = load.evidence
    take_process(evidence, runner.process, runner.seen)
    load.ram_bytes = runner.process.rss_bytes
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
    """Tell whether llama.cpp has logged memory for the context after the weights were there.

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
    return "fitting" if runner.answer is not None and runner.answer.state == "loading" else "starting"


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
