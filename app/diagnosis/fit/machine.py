"""Whether a model fits on a machine of which something was learned: bandwidths, scales, corrections."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from gpumon.app.diagnosis.fit.options import with_automatic_batch
from gpumon.app.diagnosis.fit.report import FitReport, Resident, fit_of_geometry, with_rates
from gpumon.app.physics.geometry import Geometry, NoGeometry
from gpumon.app.physics.hardware import Card, Hardware
from gpumon.app.physics.options import LoadOptions
from gpumon.app.physics.shape import geometry_of
from gpumon.app.state.hardware import calibrated, ram_bandwidth
from gpumon.app.state.learned.predictions import memory_correction
from gpumon.app.state.records.learned import LearnedRecord
from gpumon.collectors.samples import ModelFacts


class Machine(Struct, frozen=True):
    """What a model would be loaded on."""

    cards: tuple[Card, ...]
    """As they are now; what the model itself holds is free for it."""
    firmware_ram_bytes_per_second: float | None = None
    learned: LearnedRecord = field(default_factory=LearnedRecord)
    others: tuple[Resident, ...] = ()
    """The other models that hold memory of these cards."""


def fit_on(
    machine: Machine, facts: ModelFacts, options: LoadOptions, file_bytes: int | None = None
) -> FitReport | NoGeometry:
    """Return how a model would be loaded there, or why that cannot be computed.

    ``file_bytes`` are those of all its files, where they are known.
    """
    geometry = geometry_of(facts, file_bytes)
    if isinstance(geometry, NoGeometry):
        return geometry
    free = [card.vram_free_bytes for card in machine.cards]
    wanted = with_automatic_batch(options, facts, geometry, free)
    report = _report(machine, facts.name, geometry, wanted)
    correction = memory_correction(machine.learned, facts.digest, _uuids(report.hardware.cards))
    return report if not correction else _report(machine, facts.name, geometry, wanted, correction)


def _report(
    machine: Machine, name: str, geometry: Geometry, options: LoadOptions, correction_bytes: int = 0
) -> FitReport:
    bare = Hardware(machine.cards)
    report = fit_of_geometry(name, geometry, options, bare, machine.others, correction_bytes)
    is_moe, cards = geometry.is_moe, report.hardware.cards
    ram = ram_bandwidth(machine.learned, machine.firmware_ram_bytes_per_second, is_moe=is_moe)
    known = calibrated(cards, ram, machine.learned, _uuids(cards), is_moe=is_moe)
    return with_rates(replace(report, hardware=known))


def _uuids(cards: Sequence[Card]) -> tuple[str, ...]:
    return tuple(sorted(card.uuid for card in cards if card.uuid is not None))
