"""What the driver measures for each runner: bytes of its PID on each GPU (nvml.h: nvmlProcessInfo_t)."""

from __future__ import annotations

from gpumon.app.state.records import GpuRecord, ModelRecord, RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuProcess

START_SLACK_SECONDS = 2.0
"""Two readers of /proc place a start apart by the rounding of ticks and of the boot time."""

STEADY_BYTES = 64 * 1024**2
"""A smaller change of memory is no loading."""


def measure(state: State) -> None:
    """Measure all runners after a poll of the driver, and add to their series and their models'."""
    for runner in state.runners.values():
        locate(state, runner)
        runner.vram.add(state.now, runner.measured_vram_bytes)
        _note_steadiness(runner, state.now)
    for model in state.models.values():
        model.measured_vram.add(state.now, measured_vram_bytes(model, state))


def locate(state: State, runner: RunnerRecord) -> None:
    """Look a runner up in the latest lists of the GPUs."""
    found = {uuid: entry for uuid, gpu in state.gpus.items() if (entry := _entry(gpu, runner))}
    runner.vram_by_gpu = {
        uuid: entry.vram_bytes for uuid, entry in found.items() if entry.vram_bytes is not None
    }
    listed = bool(state.gpus) and all(_lists(gpu, state, runner) for gpu in state.gpus.values())
    sized = len(runner.vram_by_gpu) == len(found)
    runner.vram_complete = listed and sized and (bool(found) or not has_unidentified(state))
    runner.vram_seen = state.driver_seen


def measured_vram_bytes(model: ModelRecord, state: State) -> int | None:
    """Return what the driver measures for a model over all GPUs; ``None`` where it cannot be told."""
    runner = runner_of(model, state)
    return runner.measured_vram_bytes if runner else None


def measured_by_gpu(model: ModelRecord, state: State) -> dict[str, int]:
    """Return what the driver measures for a model by GPU UUID; a GPU that does not say is left out."""
    runner = runner_of(model, state)
    return dict(runner.vram_by_gpu) if runner else {}


def runner_of(model: ModelRecord, state: State) -> RunnerRecord | None:
    """Return the process that holds a model, where it is known and still there."""
    return state.runners.get(model.runner) if model.runner else None


def has_unidentified(state: State) -> bool:
    """Tell whether a GPU lists a PID that this machine does not have: that of another namespace.

    Inside a container the driver gives the host's PIDs; any of them may be a runner that is seen here.
    """
    own = {key.pid for key in state.runners} | {server.pid for server in state.servers} | state.holders.keys()
    return any(
        process.pid not in own and process.name is None and process.started is None
        for gpu in state.gpus.values()
        for process in gpu.reading.processes or ()
    )


def unaccounted_bytes(gpu: GpuRecord) -> int | None:
    """Return the memory in use that no listed process is said to hold; ``None`` where it cannot be told."""
    memory, processes = gpu.reading.memory, gpu.reading.processes
    if memory is None or memory.used_bytes is None or processes is None or memory.unified:
        return None
    return max(0, memory.used_bytes - sum(process.vram_bytes or 0 for process in processes))


def _entry(gpu: GpuRecord, runner: RunnerRecord) -> GpuProcess | None:
    return next((entry for entry in gpu.reading.processes or () if _is_same(entry, runner)), None)


def _is_same(entry: GpuProcess, runner: RunnerRecord) -> bool:
    if entry.pid != runner.key.pid:
        return False
    return entry.started is None or abs(entry.started - runner.key.started) <= START_SLACK_SECONDS


def _lists(gpu: GpuRecord, state: State, runner: RunnerRecord) -> bool:
    """Tell whether a GPU was listed in the latest poll, and since the runner started."""
    return (
        gpu.reading.processes is not None and gpu.seen == state.driver_seen and gpu.seen >= runner.key.started
    )


def _note_steadiness(runner: RunnerRecord, now: float) -> None:
    measured, before = runner.measured_vram_bytes, runner.vram_steady_bytes
    if measured is not None and before is not None and abs(measured - before) <= STEADY_BYTES:
        return
    runner.vram_steady_bytes = measured
    runner.vram_steady_since = None if measured is None else now
