"""Builds the snapshot from the state: pure, the same state gives the same document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gpumon.app.alerts.alert import Alert
from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.fuses import UNFUSED, Fuses
from gpumon.app.insight.faults import SPILL_BAD_PERCENT
from gpumon.app.insight.health import health
from gpumon.app.snapshot.models import model_entry, names_by_pid
from gpumon.app.snapshot.schema import (
    AlertEntry,
    GpuEntry,
    HolderEntry,
    MemoryEntry,
    ModelEntry,
    ProcessEntry,
    ReturnedEntry,
    Snapshot,
    SourceEntry,
)
from gpumon.app.state.holders.others import GroupHolding, holders_by_group
from gpumon.app.state.records import ModelRecord, Returned, SourceRecord, SystemRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuProcess, GpuReading


def build_snapshot(
    state: State,
    alerts: Iterable[Alert],
    spill_bad_percent: float = SPILL_BAD_PERCENT,
    fuses: Fuses = UNFUSED,
) -> Snapshot:
    """Return what is known at ``state.now``; ``alerts`` are the active ones, the worst first.

    Values of a source that no longer answers are kept, and ``sources`` says how old they are. A model or GPU
    over which gpumon itself fails is left out, and recorded in ``fuses``; by default it is raised.
    """
    gpus = sorted((record.reading for record in state.gpus.values()), key=lambda gpu: (gpu.index, gpu.uuid))
    names, holders = names_by_pid(state), holders_by_group(state)
    active = tuple(alerts)
    whole = health(state, active, spill_bad_percent)
    models = sorted(state.models.values(), key=lambda model: (model.claim.name, model.key))
    return Snapshot(
        time=state.now,
        host=state.system.sample.host if state.system else None,
        level=whole.level,
        sentence=whole.sentence,
        sources=tuple(_source(record, state.now) for _, record in sorted(state.sources.items())),
        gpus=tuple(entry for gpu in gpus for entry in _gpu_entries(gpu, names, holders.get(gpu.uuid), fuses)),
        memory=_memory(state.system),
        models=tuple(entry for record in models for entry in _model_entries(record, state, fuses)),
        alerts=tuple(_alert(alert) for alert in active),
        returned=tuple(_returned(one) for one in state.returned),
    )


def _gpu_entries(
    gpu: GpuReading, names: Mapping[int, str], holders: Sequence[GroupHolding] | None, fuses: Fuses
) -> tuple[GpuEntry, ...]:
    with fuses.guard("snapshot of a GPU", gpu.uuid):
        return (_lost_gpu(gpu) if gpu.state == "lost" else _gpu(gpu, names, holders),)
    return ()


def _model_entries(record: ModelRecord, state: State, fuses: Fuses) -> tuple[ModelEntry, ...]:
    with fuses.guard("snapshot of a model", record.key):
        return (model_entry(record, state, diagnose(record, state, fuses=fuses)),)
    return ()


def _source(record: SourceRecord, now: float) -> SourceEntry:
    silent = record.silent_seconds
    return SourceEntry(
        name=record.name,
        state=record.health.state if silent is None else "hanging",
        detail=record.health.detail if silent is None else f"no answer for {silent:.0f} s",
        hint=record.health.hint,
        age_seconds=None if record.answered is None else now - record.answered,
    )


def _gpu(gpu: GpuReading, names: Mapping[int, str], holders: Sequence[GroupHolding] | None) -> GpuEntry:
    memory = gpu.memory
    return GpuEntry(
        uuid=gpu.uuid,
        name=gpu.name,
        index=gpu.index,
        pci_bus_id=gpu.pci_bus_id,
        state=gpu.state,
        unified=memory.unified if memory else None,
        vram_total_bytes=memory.total_bytes if memory else None,
        vram_used_bytes=memory.used_bytes if memory else None,
        vram_reserved_bytes=memory.reserved_bytes if memory else None,
        vram_free_bytes=memory.free_bytes if memory else None,
        utilization_percent=gpu.utilization_percent,
        power_watts=gpu.power_watts,
        power_limit_watts=gpu.power_limit_watts,
        temperature_celsius=gpu.temperature_celsius,
        throttle_reasons=gpu.throttle_reasons,
        processes=None if gpu.processes is None else tuple(_process(one, names) for one in gpu.processes),
        holders=None if holders is None else tuple(map(_holder, holders)),
    )


def _lost_gpu(gpu: GpuReading) -> GpuEntry:
    """Return a GPU of which nothing is known but what it is."""
    bare = GpuReading(
        uuid=gpu.uuid, index=gpu.index, name=gpu.name, pci_bus_id=gpu.pci_bus_id, state=gpu.state
    )
    return _gpu(bare, {}, None)


def _process(process: GpuProcess, names: Mapping[int, str]) -> ProcessEntry:
    return ProcessEntry(
        pid=process.pid, name=process.name, vram_bytes=process.vram_bytes, model=names.get(process.pid)
    )


def _holder(holding: GroupHolding) -> HolderEntry:
    """Name each program of a group once, the largest first."""
    names = dict.fromkeys(process.name for process in holding.processes if process.name is not None)
    return HolderEntry(group=holding.group, vram_bytes=holding.vram_bytes, names=tuple(names))


def _returned(returned: Returned) -> ReturnedEntry:
    return ReturnedEntry(
        uuid=returned.uuid, name=returned.name, vram_bytes=returned.vram_bytes, time=returned.time
    )


def _memory(system: SystemRecord | None) -> MemoryEntry:
    if system is None:
        return MemoryEntry(total_bytes=None, available_bytes=None, swap_used_bytes=None)
    return MemoryEntry(
        total_bytes=system.sample.ram_total_bytes,
        available_bytes=system.sample.ram_available_bytes,
        swap_used_bytes=system.sample.swap_used_bytes,
    )


def _alert(alert: Alert) -> AlertEntry:
    return AlertEntry(
        kind=alert.kind,
        subject=alert.subject,
        severity=alert.severity,
        since=alert.since,
        message=alert.message,
    )
