"""Builds the snapshot from the state: pure, the same state gives the same document."""

from __future__ import annotations

from collections.abc import Iterable

from gpumon.app.alerts.alert import Alert
from gpumon.app.snapshot.schema import (
    AlertEntry,
    GpuEntry,
    MemoryEntry,
    ModelEntry,
    ProcessEntry,
    Snapshot,
    SourceEntry,
)
from gpumon.app.state.records import ModelRecord, SourceRecord, SystemRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuProcess, GpuReading


def build_snapshot(state: State, alerts: Iterable[Alert]) -> Snapshot:
    """Return what is known at ``state.now``; ``alerts`` are the active ones.

    Values of a source that no longer answers are kept, and ``sources`` says how old they are.
    """
    gpus = sorted((record.reading for record in state.gpus.values()), key=lambda gpu: (gpu.index, gpu.uuid))
    models = sorted(state.models.values(), key=lambda model: (model.claim.name, model.key))
    return Snapshot(
        time=state.now,
        host=state.system.sample.host if state.system else None,
        sources=tuple(_source(record, state.now) for _, record in sorted(state.sources.items())),
        gpus=tuple(_lost_gpu(gpu) if gpu.state == "lost" else _gpu(gpu) for gpu in gpus),
        memory=_memory(state.system),
        models=tuple(_model(record) for record in models),
        alerts=tuple(_alert(alert) for alert in alerts),
    )


def _source(record: SourceRecord, now: float) -> SourceEntry:
    silent = record.silent_seconds
    return SourceEntry(
        name=record.name,
        state=record.health.state if silent is None else "hanging",
        detail=record.health.detail if silent is None else f"no answer for {silent:.0f} s",
        hint=record.health.hint,
        age_seconds=None if record.answered is None else now - record.answered,
    )


def _gpu(gpu: GpuReading) -> GpuEntry:
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
        processes=None if gpu.processes is None else tuple(map(_process, gpu.processes)),
    )


def _lost_gpu(gpu: GpuReading) -> GpuEntry:
    """Return a GPU of which nothing is known but what it is."""
    return _gpu(
        GpuReading(uuid=gpu.uuid, index=gpu.index, name=gpu.name, pci_bus_id=gpu.pci_bus_id, state=gpu.state)
    )


def _process(process: GpuProcess) -> ProcessEntry:
    return ProcessEntry(pid=process.pid, name=process.name, vram_bytes=process.vram_bytes)


def _memory(system: SystemRecord | None) -> MemoryEntry:
    if system is None:
        return MemoryEntry(total_bytes=None, available_bytes=None, swap_used_bytes=None)
    return MemoryEntry(
        total_bytes=system.sample.ram_total_bytes,
        available_bytes=system.sample.ram_available_bytes,
        swap_used_bytes=system.sample.swap_used_bytes,
    )


def _model(record: ModelRecord) -> ModelEntry:
    claim = record.claim
    return ModelEntry(
        name=claim.name,
        digest=claim.digest,
        runtime="ollama",
        url=record.key.source,
        claimed_size_bytes=claim.size_bytes,
        claimed_vram_bytes=claim.size_vram_bytes,
        spill_fraction=record.split.spill_fraction,
        processor=record.processor,
        context_length=claim.context_length,
        expires_at=claim.expires_at,
        decode_tokens_per_second=record.decode.last,
    )


def _alert(alert: Alert) -> AlertEntry:
    return AlertEntry(
        kind=alert.kind,
        subject=alert.subject,
        severity=alert.severity,
        since=alert.since,
        message=alert.message,
    )
