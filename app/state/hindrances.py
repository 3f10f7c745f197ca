"""What holds a runner back for a while, so that its rate is not its usual one."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.state import State

SEVERE_REASONS = ("thermal", "hardware", "brake")
"""Parts of the reasons for held clocks that pass; a power cap is how the machine is set up."""
SWAPPING_BYTES_PER_SECOND = 4.0 * 1024**2
AT_WORK_SECONDS = 3.0


def is_hindered(state: State, runner: RunnerRecord) -> bool:
    """Tell whether heat, swapping or another model at work on the same GPU slows a runner now."""
    return _is_throttled(state, runner) or _swaps(state) or any(_rivals(state, runner))


def rivals(state: State, runner: RunnerRecord) -> list[RunnerRecord]:
    """Return the other runners at work on a GPU that this one uses."""
    return [*_rivals(state, runner)]


def _rivals(state: State, runner: RunnerRecord) -> Iterator[RunnerRecord]:
    since, own = state.now - AT_WORK_SECONDS, runner.vram_by_gpu.keys()
    for other in state.runners.values():
        at_work = other.worked is not None and other.worked >= since
        if at_work and other is not runner and not own.isdisjoint(other.vram_by_gpu):
            yield other


def _is_throttled(state: State, runner: RunnerRecord) -> bool:
    reasons = (
        reason
        for uuid in runner.vram_by_gpu
        if uuid in state.gpus
        for reason in state.gpus[uuid].reading.throttle_reasons or ()
    )
    return any(word in reason.lower() for reason in reasons for word in SEVERE_REASONS)


def _swaps(state: State) -> bool:
    if state.system is None:
        return False
    sample = state.system.sample
    moved = (sample.swap_in_bytes_per_second or 0.0) + (sample.swap_out_bytes_per_second or 0.0)
    return moved >= SWAPPING_BYTES_PER_SECOND
