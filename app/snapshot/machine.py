"""The machine in the snapshot: sources, GPUs and who holds their memory, RAM."""

from __future__ import annotations

from collections.abc import Mapping

from gpumon.app.insight.xids import xid_words
from gpumon.app.picture.gpu import GpuPicture, Taken
from gpumon.app.snapshot.schema import (
    GpuEntry,
    HolderEntry,
    MemoryEntry,
    ProcessEntry,
    ReturnedEntry,
    SourceEntry,
    XidEntry,
)
from gpumon.app.state.holders.others import GroupHolding
from gpumon.app.state.records import Returned, SourceRecord, SystemRecord, XidError
from gpumon.collectors.samples import GpuProcess, GpuReading


def source_entry(record: SourceRecord, now: float) -> SourceEntry:
    """Return the entry of a source."""
    silent = record.silent_seconds
    return SourceEntry(
        name=record.name,
        state=record.health.state if silent is None else "hanging",
        detail=record.health.detail if silent is None else f"no answer for {silent:.0f} s",
        hint=record.hint,
        age_seconds=None if record.answered is None else now - record.answered,
    )


def gpu_entry(gpu: GpuPicture) -> GpuEntry:
    """Return the entry of a GPU; of one that is lost nothing is known but what it is."""
    reading, lost = gpu.reading, gpu.reading.state == "lost"
    if lost:
        reading = GpuReading(
            uuid=gpu.uuid, index=gpu.index, name=reading.name, pci_bus_id=reading.pci_bus_id, state="lost"
        )
    memory, names = reading.memory, {one.pid: one.name for one in gpu.models if one.is_loaded}
    groups = None if lost else gpu.groups
    return GpuEntry(
        uuid=reading.uuid,
        name=reading.name,
        index=reading.index,
        pci_bus_id=reading.pci_bus_id,
        state=reading.state,
        unified=memory.unified if memory else None,
        vram_total_bytes=memory.total_bytes if memory else None,
        vram_used_bytes=memory.used_bytes if memory else None,
        vram_reserved_bytes=memory.reserved_bytes if memory else None,
        vram_free_bytes=memory.free_bytes if memory else None,
        utilization_percent=reading.utilization_percent,
        power_watts=reading.power_watts,
        power_limit_watts=reading.power_limit_watts,
        temperature_celsius=reading.temperature_celsius,
        throttle_reasons=reading.throttle_reasons,
        xid_errors=tuple(map(_xid, gpu.xids)),
        processes=None
        if reading.processes is None
        else tuple(_process(one, names, gpu.taken.get(one.pid)) for one in reading.processes),
        holders=None if groups is None else tuple(map(_holder, groups)),
    )


def _xid(error: XidError) -> XidEntry:
    words = xid_words(error.number).whole
    return XidEntry(number=error.number, words=words, count=error.times, last=error.last)


def _process(process: GpuProcess, names: Mapping[int, str], taken: Taken | None) -> ProcessEntry:
    return ProcessEntry(
        pid=process.pid,
        name=process.name,
        vram_bytes=process.vram_bytes,
        model=names.get(process.pid),
        took_bytes=taken.vram_bytes if taken else None,
        took_at=taken.since if taken else None,
    )


def _holder(holding: GroupHolding) -> HolderEntry:
    """Name each program of a group once, the largest first."""
    names = dict.fromkeys(process.name for process in holding.processes if process.name is not None)
    return HolderEntry(group=holding.group, vram_bytes=holding.vram_bytes, names=tuple(names))


def returned_entry(returned: Returned) -> ReturnedEntry:
    """Return the entry of memory that came back."""
    return ReturnedEntry(
        uuid=returned.uuid, name=returned.name, vram_bytes=returned.vram_bytes, time=returned.time
    )


def memory_entry(system: SystemRecord | None) -> MemoryEntry:
    """Return the entry of RAM and swap."""
    if system is None:
        return MemoryEntry(total_bytes=None, available_bytes=None, swap_used_bytes=None)
    return MemoryEntry(
        total_bytes=system.sample.ram_total_bytes,
        available_bytes=system.sample.ram_available_bytes,
        swap_used_bytes=system.sample.swap_used_bytes,
    )
