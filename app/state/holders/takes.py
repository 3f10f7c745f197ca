"""Follows who took how much of a GPU, and when, and what was given back: a few steps for each process."""

from __future__ import annotations

from collections.abc import Iterable

from gpumon.app.state.holders.measured import START_SLACK_SECONDS, STEADY_BYTES
from gpumon.app.state.holders.others import name_held
from gpumon.app.state.records import GaveBack, GpuRecord, Hold, Step
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuProcess

STEPS_KEPT = 6
RAMP_SECONDS = 30.0
"""What is taken within so long of the last rise belongs to it: models are loaded part by part."""
GAP_SECONDS = 60.0
"""After so long without a list nobody knows when what is new was taken."""
WORTH_TELLING_BYTES = 512 * 1024**2
"""What is given back below this changes little for a model."""


def follow_holds(state: State, gpu: GpuRecord) -> None:
    """Follow what processes hold of a GPU after a reading; one that lists none says nothing of them."""
    listed = gpu.reading.processes
    if listed is None or gpu.reading.state != "ok":
        return
    seen_before, gpu.listed_at = gpu.listed_at, state.now
    entries = {entry.pid: entry for entry in listed if entry.vram_bytes is not None}
    for hold in _ended(gpu, entries):
        gone = GpuProcess(pid=hold.pid, started=hold.started)
        _tell(state, gpu, hold, gone, (hold.fell_from or hold.vram_bytes))
        del gpu.holds[hold.pid]
    for entry in entries.values():
        _follow(state, gpu, entry, seen_before)


def _ended(gpu: GpuRecord, entries: dict[int, GpuProcess]) -> list[Hold]:
    """Return what is held no more, or by another process of the same number."""
    return [hold for pid, hold in gpu.holds.items() if pid not in entries or _is_other(entries[pid], hold)]


def _is_other(entry: GpuProcess, hold: Hold) -> bool:
    """Return whether a PID is another process now; of one that ends the start may be unknown."""
    if entry.started is None or hold.started is None:
        return False
    return abs(entry.started - hold.started) > START_SLACK_SECONDS


def _follow(state: State, gpu: GpuRecord, entry: GpuProcess, seen_before: float | None) -> None:
    hold, size, now = gpu.holds.get(entry.pid), entry.vram_bytes or 0, state.now
    time = _dated(entry, now, seen_before)
    if hold is None:
        steps = (Step(time, now, size),) if size else ()
        gpu.holds[entry.pid] = Hold(entry.pid, entry.started, size, now, steps)
        return
    before, hold.vram_bytes, hold.seen = hold.vram_bytes, size, now
    hold.started = hold.started if entry.started is None else entry.started
    change = size - sum(step.vram_bytes for step in hold.steps)
    if change >= STEADY_BYTES:
        hold.steps = _risen(hold.steps, change, time, now)
    elif change <= -STEADY_BYTES:
        hold.steps = _fallen(hold.steps, -change)
    if size <= before - STEADY_BYTES:
        hold.fell_from = hold.fell_from or before
    elif hold.fell_from is not None:
        _tell(state, gpu, hold, entry, hold.fell_from - size)
        hold.fell_from = None


def _dated(entry: GpuProcess, now: float, seen_before: float | None) -> float | None:
    """Return when what is new was taken: now, if there was a list a moment ago; else not before its start."""
    if seen_before is not None and now - seen_before <= GAP_SECONDS:
        return now
    is_new = seen_before is not None and entry.started is not None and entry.started >= seen_before
    return entry.started if is_new else None


def _risen(steps: tuple[Step, ...], size: int, time: float | None, now: float) -> tuple[Step, ...]:
    """Let the latest step go on, or begin another one."""
    last = steps[-1] if steps else None
    if last is not None and time is not None and last.time is not None and now - last.until <= RAMP_SECONDS:
        return (*steps[:-1], Step(last.time, now, last.vram_bytes + size))
    longer = (*steps, Step(time, now, size))
    return longer if len(longer) <= STEPS_KEPT else (_joined(*longer[:2]), *longer[2:])


def _joined(first: Step, second: Step) -> Step:
    """Make one step of two, at the time of the larger."""
    larger = first if first.vram_bytes >= second.vram_bytes else second
    return Step(larger.time, second.until, first.vram_bytes + second.vram_bytes)


def _fallen(steps: Iterable[Step], size: int) -> tuple[Step, ...]:
    """Take from the latest steps what was given back."""
    left: list[Step] = []
    for step in reversed([*steps]):
        kept = max(0, step.vram_bytes - size)
        size -= step.vram_bytes - kept
        if kept:
            left.append(step._replace(vram_bytes=kept))
    return tuple(reversed(left))


def _tell(state: State, gpu: GpuRecord, hold: Hold, process: GpuProcess, size: int) -> None:
    """Note what was given back, where that is worth telling."""
    was_lost = gpu.lost_at is not None and hold.seen <= gpu.lost_at
    if size < WORTH_TELLING_BYTES or was_lost:
        return
    name = name_held(process, state)
    state.given_back.append(GaveBack(gpu.reading.uuid, hold.pid, name, size, state.now, hold.since))
