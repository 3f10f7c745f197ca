"""The machine as the arithmetic sees it: the GPUs that answer, in the driver's order, and the RAM."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from gpumon.app.physics.hardware import Card, Hardware, card_of, ram_peak_of_measurement
from gpumon.app.state.records.learned import LearnedRecord
from gpumon.app.state.records.machine import GpuRecord, free_bytes
from gpumon.app.state.state import State


class RamBandwidth(NamedTuple):
    """Nominal, and whether it stands for what was observed of split models."""

    bytes_per_second: float
    is_observed: bool = False


def hardware_of(state: State, used_uuids: Collection[str] = (), *, is_moe: bool = False) -> Hardware:
    """Return the GPUs whose memory is known, and what was learned of this machine.

    ``used_uuids`` are the GPUs that a model is on: rates observed on just these correct the prediction.
    """
    gpus = sorted(state.gpus.values(), key=lambda gpu: (gpu.reading.index, gpu.reading.uuid))
    ram = known_ram(state, is_moe=is_moe)
    cards = tuple(card for gpu in gpus if (card := _card(gpu)) is not None)
    return calibrated(cards, ram, state.learned, used_uuids, is_moe=is_moe)


def known_ram(state: State, *, is_moe: bool) -> RamBandwidth | None:
    """Return what the RAM of this machine can give."""
    return ram_bandwidth(state.learned, firmware_ram(state), is_moe=is_moe)


def firmware_ram(state: State) -> float | None:
    """Return the nominal bandwidth of RAM by the firmware, in bytes per second."""
    return state.system.sample.ram_bandwidth_bytes_per_second if state.system else None


def ram_bandwidth(
    learned: LearnedRecord, firmware_bytes_per_second: float | None, *, is_moe: bool
) -> RamBandwidth | None:
    """Return what RAM can give: as measured, else by the firmware, else as split models were observed."""
    if learned.ram_bandwidth_bytes_per_second:
        return RamBandwidth(ram_peak_of_measurement(learned.ram_bandwidth_bytes_per_second))
    if firmware_bytes_per_second:
        return RamBandwidth(firmware_bytes_per_second)
    observed = learned.ram_observed.get(is_moe) or learned.ram_observed.get(not is_moe)
    return RamBandwidth(observed.bytes_per_second, is_observed=True) if observed else None


def calibrated(
    cards: tuple[Card, ...],
    ram: RamBandwidth | None,
    learned: LearnedRecord,
    used_uuids: Collection[str],
    *,
    is_moe: bool,
) -> Hardware:
    """Return the hardware with the scales that were observed on just the GPUs in use.

    That of the part in RAM belongs to a bandwidth that is known otherwise: one that was observed says it all.
    """
    scales = _scales(learned, used_uuids, is_moe=is_moe)
    is_observed = ram is not None and ram.is_observed
    return Hardware(
        cards=cards,
        ram_bandwidth_bytes_per_second=ram.bytes_per_second if ram else None,
        decode_scale=scales.get(False, 1.0),
        cpu_scale=1.0 if is_observed else scales.get(True, 1.0),
        is_calibrated=bool(scales),
    )


def _scales(learned: LearnedRecord, used_uuids: Collection[str], *, is_moe: bool) -> Mapping[bool, float]:
    """Return the scales by whether they are those of a split."""
    uuids = tuple(sorted(used_uuids))
    if not uuids:
        return {}
    alike = {key: one for key, one in learned.scales.items() if key[:2] == (uuids, is_moe)}
    return {key.is_split: one.scale for key, one in alike.items()}


def _card(gpu: GpuRecord) -> Card | None:
    memory = gpu.reading.memory
    if memory is None:
        return None
    known = msgspec.structs.replace(memory, free_bytes=free_bytes(memory))
    return card_of(msgspec.structs.replace(gpu.reading, memory=known), gpu.facts)
