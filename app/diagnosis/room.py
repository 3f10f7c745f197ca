"""The memory of the GPUs as it concerns one model: what is free for it, and who holds the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from gpumon.app.insight.intent import hidden_gpus
from gpumon.app.state.holders.joins import stand_in
from gpumon.app.state.holders.others import Holding, holders_by_group
from gpumon.app.state.places import is_local
from gpumon.app.state.records import GpuRecord, Hold, ModelKey, ModelRecord, RunnerRecord
from gpumon.app.state.records.machine import free_bytes
from gpumon.app.state.state import State
from gpumon.collectors.samples import HolderGroup

SESSION_GROUPS: frozenset[HolderGroup] = frozenset({"desktop"})
"""What a session at the screen needs: it can be made smaller, not ended."""


NOTHING_HELD: Mapping[str, tuple[Hold, ...]] = {}


class Occupant(NamedTuple):
    """Someone else who holds memory of the GPUs."""

    kind: Literal["model", "process", "session"]
    name: str
    """Of the model or the process, as it came from outside."""
    vram_by_gpu: Mapping[str, int]
    started: float | None
    """When its process began; ``None`` where it is not told."""
    model: ModelKey | None = None
    """The claim of a model."""
    pid: int | None = None
    holds: Mapping[str, tuple[Hold, ...]] = NOTHING_HELD
    """When its processes took what they hold, by GPU."""

    def taken(self, after: float | None, until: float, *, going_on: bool = False) -> dict[str, int]:
        """Return what it took after one time and until another, and holds still, by GPU.

        ``going_on`` adds what it was taking at the first of them.
        """
        sizes = {
            uuid: sum(hold.taken(after, until, going_on=going_on) for hold in holds)
            for uuid, holds in self.holds.items()
        }
        return {uuid: size for uuid, size in sizes.items() if size}

    def of_time(self, time: float, now: float) -> Occupant:
        """Return it with what it held at a time already, and holds still."""
        later = self.taken(time, now)
        held = {uuid: size - later.get(uuid, 0) for uuid, size in self.vram_by_gpu.items()}
        return self._replace(vram_by_gpu=held) if later else self

    @property
    def vram_bytes(self) -> int:
        """What it holds over all GPUs."""
        return sum(self.vram_by_gpu.values())


class Room(Struct, frozen=True):
    """The GPUs that a model may use, in the driver's order; bytes of each."""

    uuids: tuple[str, ...]
    labels: tuple[str, ...]
    """``GPU 0``, …"""
    capacity_bytes: tuple[int, ...]
    """Without what driver and firmware keep."""
    free_bytes: tuple[int, ...]
    """Free now, and what the model itself holds; never more than there is, whatever is claimed."""
    occupants: tuple[Occupant, ...]
    """The largest first."""
    own_bytes: int = 0
    """What of ``free_bytes`` the model itself holds."""

    @property
    def free_total_bytes(self) -> int:
        """Free for the model on all GPUs."""
        return sum(self.free_bytes)

    @property
    def capacity_total_bytes(self) -> int:
        """What all GPUs have."""
        return sum(self.capacity_bytes)

    def without(self, occupants: Sequence[Occupant]) -> tuple[int, ...]:
        """Return what would be free for the model if ``occupants`` were not there."""
        pairs = zip(self.uuids, self.free_bytes, strict=True)
        return tuple(free + sum(one.vram_by_gpu.get(uuid, 0) for one in occupants) for uuid, free in pairs)

    def missing_bytes(self, in_ram_bytes: int, freed: Iterable[Mapping[str, int]]) -> int:
        """Return how much of a part in RAM would find no room here though something were freed."""
        back = sum(sizes.get(uuid, 0) for sizes in freed for uuid in self.uuids)
        return max(0, in_ram_bytes + self.own_bytes - self.free_total_bytes - back)


def room_of(model: ModelRecord, runner: RunnerRecord | None, state: State) -> Room | None:
    """Return the room of a model on this machine; ``None`` where some of its figures are not known.

    GPUs that its settings keep it from are no room.
    """
    hidden = hidden_gpus(runner, state)
    gpus = [gpu for gpu in state.gpus.values() if gpu.reading.state != "lost"]
    gpus = [gpu for gpu in gpus if gpu.reading.uuid not in hidden]
    own = _own_bytes(model, runner, gpus)
    if own is None or not gpus or not is_local(model.key.source, state.servers):
        return None
    gpus.sort(key=lambda gpu: (gpu.reading.index, gpu.reading.uuid))
    capacities, free = [_capacity(gpu) for gpu in gpus], [_free(gpu) for gpu in gpus]
    if None in capacities or None in free:
        return None
    uuids = tuple(gpu.reading.uuid for gpu in gpus)
    return Room(
        uuids=uuids,
        labels=tuple(f"GPU {gpu.reading.index}" for gpu in gpus),
        capacity_bytes=tuple(size for size in capacities if size is not None),
        free_bytes=tuple(
            min(most or 0, (size or 0) + own.get(uuid, 0))
            for uuid, size, most in zip(uuids, free, capacities, strict=True)
        ),
        occupants=_occupants(runner, state),
        own_bytes=sum(own.get(uuid, 0) for uuid in uuids),
    )


def _own_bytes(
    model: ModelRecord, runner: RunnerRecord | None, gpus: Sequence[GpuRecord]
) -> dict[str, int] | None:
    """Return what the model holds by GPU: as measured, else as claimed where there is but one GPU."""
    if runner is not None and runner.vram_complete:
        return dict(runner.vram_by_gpu)
    claimed = model.split.gpu_bytes
    if claimed == 0:
        return {}
    return {gpus[0].reading.uuid: claimed} if claimed is not None and len(gpus) == 1 else None


def _capacity(gpu: GpuRecord) -> int | None:
    memory = gpu.reading.memory
    return None if memory is None or memory.unified else memory.total_bytes - (memory.reserved_bytes or 0)


def _free(gpu: GpuRecord) -> int | None:
    memory = gpu.reading.memory
    return None if memory is None or memory.unified else free_bytes(memory)


def _occupants(own: RunnerRecord | None, state: State) -> tuple[Occupant, ...]:
    models = [_model(runner, state) for runner in state.runners.values() if runner is not own]
    found = [one for one in (*models, *_processes(state)) if one.vram_bytes > 0]
    return tuple(sorted(found, key=lambda one: (-one.vram_bytes, one.name)))


def _model(runner: RunnerRecord, state: State) -> Occupant:
    claimed = state.models.get(runner.model) if runner.model else None
    name = claimed.claim.name if claimed else stand_in(runner.process.settings)
    key, held = runner.key, runner.vram_by_gpu
    model = runner.model if claimed else None
    holds = _holds(runner.pids, held, state)
    return Occupant("model", name, held, key.started, model, key.pid, holds)


def _processes(state: State) -> list[Occupant]:
    """Add up what each other process holds over all GPUs."""
    sizes: dict[int, dict[str, int]] = {}
    known: dict[int, Holding] = {}
    for uuid, groups in holders_by_group(state).items():
        for holding in (one for group in groups for one in group.processes if one.vram_bytes):
            sizes.setdefault(holding.pid, {})[uuid] = holding.vram_bytes or 0
            known[holding.pid] = holding
    return [_process(known[pid], sizes[pid], state) for pid in sizes]


def _process(holding: Holding, vram_by_gpu: dict[str, int], state: State) -> Occupant:
    holder = state.holders.get(holding.pid)
    entries = (entry for gpu in state.gpus.values() for entry in gpu.reading.processes or ())
    starts = (entry.started for entry in entries if entry.pid == holding.pid)
    started = (holder.started if holder else None) or next(starts, None)
    kind: Literal["process", "session"] = "session" if holding.group in SESSION_GROUPS else "process"
    pid, name = holding.pid, holding.name or f"process {holding.pid}"
    return Occupant(kind, name, vram_by_gpu, started, None, pid, _holds((pid,), vram_by_gpu, state))


def _holds(pids: Iterable[int], vram_by_gpu: Mapping[str, int], state: State) -> dict[str, tuple[Hold, ...]]:
    """Return when processes took what they hold, by GPU, as far as that was followed."""
    gpus = ((uuid, state.gpus[uuid]) for uuid in vram_by_gpu if uuid in state.gpus)
    return {uuid: tuple(gpu.holds[pid] for pid in pids if pid in gpu.holds) for uuid, gpu in gpus}
