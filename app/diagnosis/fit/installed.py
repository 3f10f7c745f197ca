"""Whether an installed model fits on the machine of its server, as it is now or would be loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.diagnosis.fit.machine import Machine
from gpumon.app.diagnosis.fit.options import default_options
from gpumon.app.diagnosis.fit.report import Resident, with_freed
from gpumon.app.physics.hardware import Card
from gpumon.app.physics.options import LoadOptions
from gpumon.app.state.hardware import firmware_ram, hardware_of
from gpumon.app.state.holders.measured import runner_of
from gpumon.app.state.loads.options import load_options
from gpumon.app.state.places import is_local
from gpumon.app.state.records import ModelKey, ModelRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import ModelFacts


class Installed(NamedTuple):
    """A model that a server has on disk."""

    key: ModelKey
    name: str
    size_bytes: int | None
    """Of all its files."""


def installed_models(state: State) -> tuple[Installed, ...]:
    """Return what can be loaded, by name; what a cloud host serves never is."""
    found = (
        Installed(ModelKey(source, row.digest or row.name), row.name, row.size_bytes)
        for source, sample in state.installed.items()
        for row in sample.models
        if not row.remote
    )
    return tuple(sorted(found, key=lambda one: (one.name.casefold(), one.key)))


def machine_of(state: State, key: ModelKey) -> Machine:
    """Return the cards that a model of this server would be loaded on; none of a server elsewhere."""
    if not is_local(key.source, state.servers):
        return Machine(())
    cards, model = hardware_of(state).cards, state.models.get(key)
    return Machine(
        cards=_without(model, cards, state) if model else cards,
        firmware_ram_bytes_per_second=firmware_ram(state),
        learned=state.learned,
        others=tuple(_residents(state, key)),
    )


def options_of(state: State, key: ModelKey, facts: ModelFacts, machine: Machine) -> LoadOptions:
    """Return how a model is loaded, else how it would be if nobody gave options."""
    model = state.models.get(key)
    present = load_options(model, runner_of(model, state), state) if model else None
    usual = default_options(facts, sum(card.vram_total_bytes for card in machine.cards))
    return usual if present is None else replace(present, micro_batch_size=usual.micro_batch_size)


def _without(model: ModelRecord, cards: tuple[Card, ...], state: State) -> tuple[Card, ...]:
    """Return the cards as if a model had left them: as measured by card, else by its claim."""
    runner = runner_of(model, state)
    if runner is None or not runner.vram_complete:
        return with_freed(cards, model.split.gpu_bytes or 0)
    held = runner.vram_by_gpu
    return tuple(
        replace(card, vram_free_bytes=card.vram_free_bytes + held.get(card.uuid or "", 0)) for card in cards
    )


def _residents(state: State, key: ModelKey) -> Iterator[Resident]:
    """Give the other models that hold memory of this machine's cards."""
    for model in state.models.values():
        runner = runner_of(model, state)
        measured = runner.measured_vram_bytes if runner else None
        held = model.split.gpu_bytes if measured is None else measured
        if model.key != key and held and is_local(model.key.source, state.servers):
            yield Resident(model.claim.name, held)
