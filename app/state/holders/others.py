"""Who else holds memory on a GPU, and what came back when a process ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gpumon.app.state.holders.joins import name_of
from gpumon.app.state.holders.measured import is_same, unaccounted_bytes
from gpumon.app.state.records import GpuRecord, Leftover, ModelRecord, Returned
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuProcess, GpuReading, HolderGroup

WORTH_TELLING_BYTES = 100 * 1024**2


class Holding(NamedTuple):
    """What one process that is no runner holds on one GPU."""

    pid: int
    name: str | None
    group: HolderGroup
    vram_bytes: int | None


class GroupHolding(NamedTuple):
    """What the processes of one group hold on one GPU."""

    group: HolderGroup
    vram_bytes: int | None
    """``None`` where the driver does not say it of one of them."""
    processes: tuple[Holding, ...]
    """The largest first."""


def holders_by_group(state: State) -> dict[str, tuple[GroupHolding, ...]]:
    """Return who holds memory beside the runners, by GPU UUID, the largest group first.

    A GPU whose processes are not listed is left out.
    """
    runners = state.runner_pids
    return {
        uuid: _grouped([_holding(process, state) for process in processes if process.pid not in runners])
        for uuid, gpu in state.gpus.items()
        if (processes := gpu.reading.processes) is not None
    }


def note_ended(state: State, gpu: GpuRecord, before: GpuReading) -> None:
    """Find in two readings of a GPU which processes ended, and whether their memory came back.

    It has come back when the memory in use that belongs to no listed process has not grown in its place;
    the driver may need some seconds for it.
    """
    unaccounted_before, unaccounted = unaccounted_bytes(before), unaccounted_bytes(gpu.reading)
    if unaccounted is None:
        return
    _settle_leftovers(state, gpu, unaccounted)
    if unaccounted_before is None:
        return
    ended = _ended(before.processes or (), gpu.reading.processes or ())
    is_back = unaccounted - unaccounted_before <= sum(process.vram_bytes or 0 for process in ended) / 2
    for process in ended:
        name, size = name_held(process, state), process.vram_bytes or 0
        if is_back:
            state.returned.append(Returned(gpu.reading.uuid, name, size, state.now, process.pid))
        else:
            gpu.leftovers.append(Leftover(process.pid, name, size, state.now, unaccounted_before))


def held_before(state: State, process: GpuProcess) -> ModelRecord | None:
    """Return the model that was held by a process on a GPU when it left; ``None`` where none was."""
    departed = (one for one in reversed(state.departed) if one.holder and one.holder.pid == process.pid)
    return next((one for one in departed if one.holder and is_same(process, one.holder)), None)


def _settle_leftovers(state: State, gpu: GpuRecord, unaccounted: int) -> None:
    listed = {process.pid for process in gpu.reading.processes or ()}
    for left in list(gpu.leftovers):
        is_back = unaccounted <= left.unaccounted_before + left.vram_bytes / 2
        if is_back or left.pid in listed:
            gpu.leftovers.remove(left)
        if is_back and left.pid not in listed:
            state.returned.append(Returned(gpu.reading.uuid, left.name, left.vram_bytes, state.now, left.pid))


def _ended(before: Iterable[GpuProcess], after: Iterable[GpuProcess]) -> list[GpuProcess]:
    """Return those of any size that are no longer listed; of a process that ends the start may be unknown."""
    starts = {process.pid: process.started for process in after}
    return [
        process
        for process in before
        if (process.vram_bytes or 0) >= WORTH_TELLING_BYTES
        and (process.pid not in starts or starts[process.pid] not in {None, process.started})
    ]


def _grouped(holdings: list[Holding]) -> tuple[GroupHolding, ...]:
    ordered = sorted(holdings, key=lambda one: (-(one.vram_bytes or 0), one.pid))
    groups = dict.fromkeys(one.group for one in ordered)
    found = (_group(group, [one for one in ordered if one.group == group]) for group in groups)
    return tuple(sorted(found, key=lambda one: (-(one.vram_bytes or 0), one.group)))


def _group(group: HolderGroup, processes: list[Holding]) -> GroupHolding:
    sizes = [one.vram_bytes for one in processes if one.vram_bytes is not None]
    return GroupHolding(group, sum(sizes) if len(sizes) == len(processes) else None, tuple(processes))


def _holding(process: GpuProcess, state: State) -> Holding:
    holder = state.holders.get(process.pid)
    if holder is not None:
        return Holding(process.pid, holder.name or process.name, holder.group, process.vram_bytes)
    is_stranger = process.name is None and process.started is None
    return Holding(process.pid, process.name, "container" if is_stranger else "other", process.vram_bytes)


def name_held(process: GpuProcess, state: State) -> str | None:
    """Name a process by its model, where it is a runner."""
    held = next((one.model for one in state.runners.values() if process.pid in one.pids), None)
    if held is not None and held in state.models:
        return state.models[held].claim.name
    model = held_before(state, process)
    if model is not None:
        return model.claim.name
    loaded = next((load for load in reversed(state.finished_loads) if load.key.pid == process.pid), None)
    if loaded is not None:
        return name_of(state, loaded.settings) or loaded.name
    holder = state.holders.get(process.pid)
    return (holder.name if holder else None) or process.name
