"""Who holds a GPU's memory, by name and bytes, and what came back when a process ended."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.state.holders.others import GroupHolding, Holding, holders_by_group
from gpumon.app.state.records import GpuRecord
from gpumon.app.state.state import State
from gpumon.app.views.alerts import clock_words
from gpumon.app.views.page import NVML
from gpumon.app.views.segments import holder_of, runners_by_pid
from gpumon.collectors.samples import HolderGroup
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact

RETURNED_SHOWN = 5

GROUP_WORDS: dict[HolderGroup, str] = {
    "desktop": "held by the desktop",
    "browser": "held by browsers",
    "runtime": "held by other runtimes",
    "container": "held in containers",
    "other": "held by others",
}


def holder_facts(gpu: GpuRecord, state: State) -> list[Fact]:
    """Return the models on a GPU, then the other processes by group, then what came back of late."""
    groups = holders_by_group(state).get(gpu.reading.uuid)
    if groups is None:
        return [Fact("processes", "the driver does not list them", NVML)]
    return [*_models(gpu, state), *map(_group, groups), *_returned(gpu, state)]


def _models(gpu: GpuRecord, state: State) -> Iterator[Fact]:
    runners = runners_by_pid(state)
    held = [process for process in gpu.reading.processes or () if process.pid in runners]
    for process in sorted(held, key=lambda process: -(process.vram_bytes or 0)):
        name = visible(holder_of(process, state, runners).label)
        yield Fact("held by a model", f"{units.size(process.vram_bytes)}  {name}, pid {process.pid}", NVML)


def _group(group: GroupHolding) -> Fact:
    held = ", ".join(map(_process, group.processes))
    return Fact(GROUP_WORDS[group.group], f"{units.size(group.vram_bytes)}  {held}", NVML)


def _process(process: Holding) -> str:
    name = visible(process.name or "in another namespace")
    return f"{name} {units.size(process.vram_bytes)} (pid {process.pid})"


def _returned(gpu: GpuRecord, state: State) -> Iterator[Fact]:
    """Give the newest first."""
    here = [one for one in state.returned if one.uuid == gpu.reading.uuid]
    for one in here[: -RETURNED_SHOWN - 1 : -1]:
        name = visible(one.name or "a process")
        yield Fact(
            "came back", f"{units.size(one.vram_bytes)} at {clock_words(one.time)}: {name} ended", NVML
        )
