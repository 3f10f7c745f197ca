"""The machine as the arithmetic sees it: the GPUs that answer, in the driver's order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import msgspec

from gpumon.app.physics.bandwidth import card_of, ram_peak_of_measurement
from gpumon.app.physics.hardware import Card, Hardware
from gpumon.app.state.records import GpuRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuMemory


def hardware_of(state: State, used_uuids: Collection[str] = (), *, is_moe: bool = False) -> Hardware:
    """Return the GPUs whose memory is known, and what was learned of this machine.

    ``used_uuids`` are the GPUs that a model is on: rates observed on just these correct the prediction.
    """
    gpus = sorted(state.gpus.values(), key=lambda gpu: (gpu.reading.index, gpu.reading.uuid))
    measured = state.learned.ram_bandwidth_bytes_per_second
    bare = Hardware(
        cards=tuple(card for gpu in gpus if (card := _card(gpu)) is not None),
        ram_bandwidth_bytes_per_second=ram_peak_of_measurement(measured) if measured else None,
    )
    uuids = tuple(sorted(used_uuids))
    scales = {
        key.is_split: scale.scale
        for key, scale in state.learned.scales.items()
        if key.gpu_uuids == uuids and key.is_moe == is_moe
    }
    if not uuids or not scales:
        return bare
    return replace(
        bare, decode_scale=scales.get(False, 1.0), cpu_scale=scales.get(True, 1.0), is_calibrated=True
    )


def free_bytes(memory: GpuMemory) -> int | None:
    """Return what is free by the driver's word, or by what is used; ``None`` where neither is said."""
    if memory.free_bytes is not None:
        return memory.free_bytes
    if memory.used_bytes is None:
        return None
    return max(0, memory.total_bytes - memory.used_bytes - (memory.reserved_bytes or 0))


def _card(gpu: GpuRecord) -> Card | None:
    memory = gpu.reading.memory
    if memory is None:
        return None
    known = msgspec.structs.replace(memory, free_bytes=free_bytes(memory))
    return card_of(msgspec.structs.replace(gpu.reading, memory=known), gpu.facts)
