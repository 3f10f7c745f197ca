"""What the driver measures for each runner: bytes of its PID on each GPU (nvml.h: nvmlProcessInfo_t)."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.state.records import GpuRecord, ModelRecord, RunnerKey, RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuProcess, GpuReading

START_SLACK_SECONDS = 2.0
"""Two readers of /proc place a start apart by the rounding of ticks and of the boot time."""

TOLERANCE_SHARE = 0.10
TOLERANCE_BYTES = 700 * 1024**2
"""A claim leaves out the CUDA context (0.3 to 0.5 GB a process) and the workspaces of cuBLAS."""

STEADY_BYTES = 64 * 1024**2
"""A smaller change of memory is no loading."""


class _Listings(NamedTuple):
    """What the GPUs say of processes in their latest readings."""

    entries: dict[int, list[tuple[str, GpuProcess]]]
    """GPU UUID and what it lists, by PID."""
    is_whole: bool
    """Whether every GPU has listed its processes in the latest poll."""
    has_unidentified: bool


def measure(state: State) -> None:
    """Measure all runners after a poll of the driver, and add to their series and their models'."""
    state.hidden_vram_bytes = sum(map(_hidden_bytes, state.gpus.values()))
    locate_all(state)
    for runner in state.runners.values():
        runner.vram.add(state.now, runner.measured_vram_bytes)
        _note_hidden(state, runner)
    for model in state.models.values():
        model.history.measured_vram.add(state.now, measured_vram_bytes(model, state))
        holder = state.runner_of(model)
        if holder is not None and holder.vram_by_gpu:
            model.gpus = tuple(holder.vram_by_gpu)


def _note_hidden(state: State, runner: RunnerRecord) -> None:
    """Note the memory without an owner that may be a runner's: once it has ended, its memory is gone too."""
    model = state.models.get(runner.model) if runner.model else None
    seen = runner.seen if model is None else min(runner.seen, model.seen)
    before = runner.hidden_vram_bytes if state.now > seen else 0
    runner.hidden_vram_bytes = max(before, state.hidden_vram_bytes)


def locate_all(state: State) -> None:
    """Look all runners up in the latest lists of the GPUs."""
    listings = _listings(state)
    for runner in state.runners.values():
        _locate(runner, listings, state.driver_seen)


def _listings(state: State) -> _Listings:
    entries: dict[int, list[tuple[str, GpuProcess]]] = {}
    for uuid, gpu in state.gpus.items():
        for entry in gpu.reading.processes or ():
            entries.setdefault(entry.pid, []).append((uuid, entry))
    return _Listings(
        entries,
        is_whole=bool(state.gpus) and all(_lists(gpu, state) for gpu in state.gpus.values()),
        has_unidentified=_has_unidentified(state),
    )


def _locate(runner: RunnerRecord, listings: _Listings, listed_at: float | None) -> None:
    found: dict[tuple[str, int], int | None] = {}
    for member in runner.members:
        for uuid, entry in listings.entries.get(member.pid, ()):
            if is_same(entry, member):
                found.setdefault((uuid, member.pid), entry.vram_bytes)
    runner.vram_by_gpu = {}
    for (uuid, _), size in found.items():
        if size is not None:
            runner.vram_by_gpu[uuid] = runner.vram_by_gpu.get(uuid, 0) + size
    listed = listings.is_whole and listed_at is not None and listed_at >= runner.key.started
    sized = None not in found.values()
    runner.vram_complete = listed and sized and (bool(found) or not listings.has_unidentified)
    _note_steadiness(runner, listed_at)


def measured_vram_bytes(model: ModelRecord, state: State) -> int | None:
    """Return what the driver measures for a model over all GPUs; ``None`` where it cannot be told."""
    runner = state.runner_of(model)
    return runner.measured_vram_bytes if runner else None


def is_measurable(state: State) -> bool:
    """Return whether the driver can say of every GPU what processes hold: not in MIG mode."""
    return not any(map(_hides_processes, state.gpus.values()))


def _has_unidentified(state: State) -> bool:
    """Return whether a GPU lists a PID that this machine does not have: that of another namespace.

    Inside a container the driver gives the host's PIDs; any of them may be a runner that is seen here.
    """
    own = state.runner_pids | {server.pid for server in state.servers} | state.holders.keys()
    return any(
        process.pid not in own and process.name is None and process.started is None
        for gpu in state.gpus.values()
        for process in gpu.reading.processes or ()
    )


def tolerance_bytes(claimed_bytes: int) -> float:
    """Return the difference between claim and measurement that is nothing to speak of."""
    return max(TOLERANCE_SHARE * claimed_bytes, TOLERANCE_BYTES)


def hidden_spill_fraction(model: ModelRecord, runner: RunnerRecord) -> float | None:
    """Return the share of a model that is claimed on the GPU and is not there; 0 where the two agree.

    ``None`` where it cannot be told: only where the claim is that of buffers, not an estimate.
    """
    claimed, measured, size = model.split.gpu_bytes, runner.measured_vram_bytes, model.claim.size_bytes
    if runner.kind.claim != "exact" or claimed is None or measured is None or not size:
        return None
    missing = claimed - measured
    return missing / size if missing > tolerance_bytes(claimed) else 0.0


def is_steady(before_bytes: int | None, now_bytes: int | None) -> bool:
    """Return whether a figure has stayed what it was, but for noise."""
    if before_bytes is None or now_bytes is None:
        return False
    return abs(now_bytes - before_bytes) <= STEADY_BYTES


def unaccounted_bytes(reading: GpuReading) -> int | None:
    """Return the memory in use that no listed process is said to hold; ``None`` where it cannot be told."""
    memory, processes = reading.memory, reading.processes
    if memory is None or memory.used_bytes is None or processes is None or memory.unified:
        return None
    return max(0, memory.used_bytes - sum(process.vram_bytes or 0 for process in processes))


def _hidden_bytes(gpu: GpuRecord) -> int:
    """Return the memory of a GPU that processes which are not listed may hold.

    The larger of the last two readings counts: at the end of a process its memory goes before it does.
    """
    return max(unaccounted_bytes(gpu.reading) or 0, gpu.unaccounted_before or 0)


def is_same(entry: GpuProcess, process: RunnerKey) -> bool:
    """Return whether what a GPU lists under the PID of a process is that, and none that was started later."""
    return entry.started is None or abs(entry.started - process.started) <= START_SLACK_SECONDS


def _lists(gpu: GpuRecord, state: State) -> bool:
    """Return whether a GPU has listed its processes in the latest poll."""
    return gpu.reading.processes is not None and gpu.seen == state.driver_seen and not _hides_processes(gpu)


def _hides_processes(gpu: GpuRecord) -> bool:
    """Return whether processes are listed by the parts of a GPU in MIG mode only, not by the whole."""
    return bool(gpu.slow.mig_mode) and not gpu.reading.processes


def _note_steadiness(runner: RunnerRecord, measured_at: float | None) -> None:
    before, runner.vram_seen = runner.vram_seen, measured_at
    measured = runner.measured_vram_bytes
    if not is_steady(runner.vram_steady_bytes, measured):
        runner.vram_steady_bytes, runner.vram_confirmed = measured, None
        runner.vram_steady_since = runner.vram_settled_at = measured_at
        return
    if (runner.vram_settled_at or 0.0) < (runner.loaded_since or 0.0):
        runner.vram_settled_at = measured_at  # what was measured before it was loaded says nothing of it
    if before != measured_at:
        runner.vram_confirmed = before
