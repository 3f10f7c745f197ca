"""The picture of a GPU: its figures, who holds its memory, how it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from gpumon.app.alerts.alert import Alert
from gpumon.app.insight.health import Level
from gpumon.app.insight.pool import pool_of
from gpumon.app.insight.wording import DRIVER_SOURCE, gpu_label
from gpumon.app.state.holders.addresses import addresses_of
from gpumon.app.state.holders.joins import name_of, stand_in
from gpumon.app.state.holders.others import GroupHolding, held_before
from gpumon.app.state.records import GpuRecord, Hold, Returned, RunnerRecord, XidError
from gpumon.app.state.series import Series
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuFacts, GpuMemory, GpuProcess, GpuReading, GpuSlow
from gpumon.collectors.servers.registry import REGISTRY
from gpumon.text.safe import visible

BUSY_PERCENT = 50
"""Utilisation from which a narrow link is worth a word: at rest cards narrow it themselves."""

HolderKind = Literal["model", "process", "reserved"]
ORDER: tuple[HolderKind, ...] = ("model", "process", "reserved")
RESERVE_WORDS = ", set aside"
"""Behind the name of a model: what its server has taken for contexts and uses for none now."""


class Holder(NamedTuple):
    """What a process on a GPU is called, and whether it holds a model."""

    label: str
    kind: HolderKind


class Segment(NamedTuple):
    """A part of a GPU's memory, and who holds it."""

    label: str
    size_bytes: int
    kind: HolderKind


class ModelHolding(NamedTuple):
    """What the process of a model holds on a GPU."""

    name: str
    pid: int
    vram_bytes: int | None
    is_loaded: bool
    """Whether a server lists the model; else the name is the best that is known of it."""
    reserve_bytes: int = 0
    """What of it is set aside for contexts and holds none now."""


class Taken(NamedTuple):
    """When a process took what it holds on a GPU, as far as that was seen."""

    since: float
    """When it took the largest part."""
    vram_bytes: int
    """That part."""


class GpuSeries(NamedTuple):
    """How the figures of a GPU went; series grow while they are looked at."""

    vram: Series
    utilization: Series
    power: Series
    temperature: Series


class GpuPicture(Struct, frozen=True, kw_only=True, gc=False):
    """All that is said of a GPU at one instant; ``None`` is unknown."""

    at: float
    uuid: str
    index: int
    label: str
    """``GPU 0``."""
    level: Level
    """The worst of its alerts; without one, whether its memory is known."""
    alert: Alert | None
    """That alert."""
    lost_since: float | None
    """When the driver lost it, where it has."""
    is_known: bool
    """Whether the driver says, now, how it is: one that answers nothing is not known to be well."""
    reading: GpuReading
    """The driver's latest figures; of a lost GPU only what it is."""
    facts: GpuFacts
    slow: GpuSlow
    segments: tuple[Segment, ...]
    """Who holds its memory: models, other processes, what no process accounts for, the reserve."""
    models: tuple[ModelHolding, ...]
    """The processes of models on it, the largest first."""
    groups: tuple[GroupHolding, ...] | None
    """The other processes by kind; ``None`` where the driver lists none."""
    xids: tuple[XidError, ...]
    """Errors that the driver has reported in this run, the newest first."""
    taken: Mapping[int, Taken]
    """When processes took what they hold, by PID, of those that were seen to."""
    returned: tuple[Returned, ...]
    """Memory that came back when a process ended, the newest first."""
    notes: tuple[str, ...]
    """What must be said in words, the most important first."""
    age_seconds: float | None
    """Age of the driver's figures, where they are no longer current."""
    series: GpuSeries

    @property
    def memory(self) -> GpuMemory | None:
        """Its memory, by the driver."""
        return self.reading.memory


def gpu_picture(
    record: GpuRecord,
    state: State,
    groups: tuple[GroupHolding, ...] | None,
    alerts: Sequence[Alert],
    runners: Mapping[int, RunnerRecord],
) -> GpuPicture:
    """Put together what is said of one GPU.

    ``alerts`` are those that are active on it, the worst first; ``runners`` those of all GPUs by PID.
    """
    reading, age = record.reading, driver_age(state)
    quiet: Level = "unknown" if reading.memory is None else "ok"
    returned = (one for one in reversed(state.returned) if one.uuid == reading.uuid)
    return GpuPicture(
        at=state.now,
        uuid=reading.uuid,
        index=reading.index,
        label=gpu_label(record),
        level=alerts[0].severity if alerts else quiet,
        alert=alerts[0] if alerts else None,
        lost_since=record.lost_since,
        is_known=age is None and is_known(reading),
        reading=reading,
        facts=record.facts,
        slow=record.slow,
        segments=memory_segments(reading, state, runners),
        models=_models(reading, state, runners),
        groups=groups,
        xids=tuple(reversed(record.xids)),
        taken={pid: one for pid, hold in record.holds.items() if (one := _taken(hold, state.now))},
        returned=tuple(returned),
        notes=gpu_notes(record),
        age_seconds=age,
        series=GpuSeries(record.vram, record.utilization, record.power, record.temperature),
    )


def _taken(hold: Hold, now: float) -> Taken | None:
    largest = hold.largest_step(None, now)
    if largest is None or largest.time is None:
        return None
    return Taken(largest.time, min(largest.vram_bytes, hold.vram_bytes))


def driver_age(state: State) -> float | None:
    """Return how old the driver's figures are, where they are no longer current."""
    source = state.sources.get(DRIVER_SOURCE)
    return source.age(state.now) if source else None


def is_known(reading: GpuReading) -> bool:
    """Return whether a reading says how the GPU is."""
    says = (reading.memory, reading.utilization_percent, reading.temperature_celsius, reading.power_watts)
    return reading.state == "ok" and any(value is not None for value in says)


def gpu_notes(record: GpuRecord) -> tuple[str, ...]:
    """Return what must be said of a GPU in words, the most important first."""
    reading, slow, facts = record.reading, record.slow, record.facts
    words: list[str] = [] if reading.state == "ok" else [_state_words(reading)]
    words += reading.throttle_reasons or ()
    if slow.ecc_uncorrected:
        words.append(f"{slow.ecc_uncorrected} ECC errors")
    busy = (reading.utilization_percent or 0) >= BUSY_PERCENT
    if busy and slow.pcie_width and facts.pcie_width_max and slow.pcie_width < facts.pcie_width_max:
        words.append(f"PCIe x{slow.pcie_width} of x{facts.pcie_width_max}")
    if slow.mig_mode:
        words.append("MIG on")
    return tuple(words)


def runner_name(runner: RunnerRecord, state: State) -> str:
    """Return the name of the model that a runner holds, by the best source that has one."""
    model = state.models.get(runner.model) if runner.model else None
    if model is not None:
        return model.claim.name
    settings = runner.process.settings
    return name_of(state, settings, addresses_of(state, runner)) or stand_in(settings)


def memory_segments(
    reading: GpuReading, state: State, runners: Mapping[int, RunnerRecord]
) -> tuple[Segment, ...]:
    """Return who holds the memory: models, other processes, what no process accounts for, the reserve."""
    memory = reading.memory
    if memory is None or memory.used_bytes is None:
        return ()
    reserves = reserves_on(reading, state, runners)
    segments = _process_segments(reading.processes or (), state, runners, reserves)
    accounted = sum(segment.size_bytes for segment in segments)
    if memory.unified or accounted > memory.used_bytes:
        return tuple(segments) if accounted <= memory.total_bytes else ()
    return (*segments, *_remainder(memory, accounted))


def _process_segments(
    processes: Sequence[GpuProcess],
    state: State,
    runners: Mapping[int, RunnerRecord],
    reserves: Mapping[int, int],
) -> list[Segment]:
    """Add up processes by name, models before all others, the largest first, then what they set aside."""
    sizes: dict[Holder, int] = defaultdict(int)
    for process in processes:
        holder, unused = _holder_of(process, state, runners), reserves.get(process.pid, 0)
        sizes[holder] += (process.vram_bytes or 0) - unused
        sizes[Holder(f"{holder.label}{RESERVE_WORDS}", "reserved")] += unused
    segments = [Segment(holder.label, size, holder.kind) for holder, size in sizes.items() if size]
    return sorted(segments, key=lambda one: (ORDER.index(one.kind), -one.size_bytes))


def reserves_on(reading: GpuReading, state: State, runners: Mapping[int, RunnerRecord]) -> dict[int, int]:
    """Return what processes have set aside on a GPU for contexts and use for none now, by PID.

    Of several processes of one model each has a part as large as what it holds.
    """
    held: dict[int, list[GpuProcess]] = defaultdict(list)
    for process in reading.processes or ():
        if (runner := runners.get(process.pid)) is not None and process.vram_bytes:
            held[runner.key.pid].append(process)
    found: dict[int, int] = {}
    for pid, processes in held.items():
        key = runners[pid].model
        model = state.models.get(key) if key else None
        pool = pool_of(model, state) if model is not None else None
        unused, whole = pool.unused_bytes(reading.uuid) if pool else 0, sum(_bytes(one) for one in processes)
        found |= {one.pid: min(unused * _bytes(one) // whole, _bytes(one)) for one in processes}
    return found


def _bytes(process: GpuProcess) -> int:
    return process.vram_bytes or 0


def _holder_of(process: GpuProcess, state: State, runners: Mapping[int, RunnerRecord]) -> Holder:
    """Name a process on a GPU: by the model it holds, by its own name, or by its PID."""
    runner = runners.get(process.pid)
    if runner is not None and (runner.model or runner.key in state.loads):
        return Holder(runner_name(runner, state), "model")
    if state.departed and (left := held_before(state, process)) is not None:
        return Holder(left.claim.name, "model")  # its server speaks of it no more
    if runner is not None:
        return Holder(runner_name(runner, state), "model")
    holder = state.holders.get(process.pid)
    name = process.name or (holder.name if holder else None)
    if name is not None and any(name.lower().startswith(kind.program_starts) for kind in REGISTRY.known()):
        return Holder(name, "model")
    return Holder(name or f"pid {process.pid}", "process")


def _remainder(memory: GpuMemory, accounted: int) -> Iterator[Segment]:
    """Yield what is in use without a known owner, and what driver and firmware reserve."""
    if rest := (memory.used_bytes or 0) - accounted:
        yield Segment("other" if accounted else "in use", rest, "process")
    if memory.reserved_bytes:
        yield Segment("reserved", memory.reserved_bytes, "reserved")


def _models(
    reading: GpuReading, state: State, runners: Mapping[int, RunnerRecord]
) -> tuple[ModelHolding, ...]:
    """Return what the processes of models hold, the largest first."""
    reserves = reserves_on(reading, state, runners)
    held = (
        ModelHolding(
            runner_name(runners[one.pid], state),
            one.pid,
            one.vram_bytes,
            is_loaded=runners[one.pid].model in state.models,
            reserve_bytes=reserves.get(one.pid, 0),
        )
        for one in reading.processes or ()
        if one.pid in runners
    )
    return tuple(sorted(held, key=lambda one: -(one.vram_bytes or 0)))


def _state_words(reading: GpuReading) -> str:
    """Say what a GPU is like that does not answer as it should."""
    detail = visible(reading.detail or "")
    return reading.state if not detail or reading.state in detail else f"{reading.state}: {detail}"
