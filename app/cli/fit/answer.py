"""Puts together what ``gpumon fit`` reckons with: the model's facts, the cards, what is loaded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpumon.app.cli.fit.asked import Asked
from gpumon.app.cli.fit.cards import cards_of_this_machine
from gpumon.app.cli.fit.learned import learned, with_ram_bandwidth
from gpumon.app.cli.fit.model import Model, is_file, loaded_here, model_of_file, model_of_servers
from gpumon.app.diagnosis.fit.machine import Machine, default_options, fit_on
from gpumon.app.diagnosis.fit.report import FitReport, with_freed
from gpumon.app.physics.geometry import LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Card
from gpumon.collectors.system.dmi import read_ram_bandwidth

if TYPE_CHECKING:
    from gpumon.app.config.settings import Settings


async def answer(asked: Asked, settings: Settings) -> FitReport | NoGeometry:
    """Ask the file or the servers for the model, the driver for its free memory, and reckon.

    Raises:
        GpumonError: there is no such model, or nothing can be asked.
    """
    found, own = await asyncio.gather(_model(asked.model, settings), _own_cards(asked))
    cards = asked.cards or (with_freed(own, found.own_vram_bytes) if found.is_local else ())
    options = _options(asked, found, cards)
    return fit_on(_machine(asked, found, cards), found.facts, options, found.file_bytes)


def _machine(asked: Asked, found: Model, cards: tuple[Card, ...]) -> Machine:
    """Return the cards that were asked for, else this machine with what was learned of it."""
    ram = asked.ram_bandwidth_bytes_per_second
    if asked.cards or not cards:
        return Machine(cards, ram, others=() if asked.cards else found.others)
    known = with_ram_bandwidth(learned(), ram)
    return Machine(cards, ram or read_ram_bandwidth().bytes_per_second, known, found.others)


async def _model(name: str, settings: Settings) -> Model:
    from gpumon.app.session.build import endpoints

    if not is_file(name):
        return await model_of_servers(name, endpoints(settings))
    model = model_of_file(Path(name))
    return replace(model, others=await loaded_here(endpoints(settings)))


async def _own_cards(asked: Asked) -> tuple[Card, ...]:
    return () if asked.cards else await cards_of_this_machine()


def _options(asked: Asked, found: Model, cards: tuple[Card, ...]) -> LoadOptions:
    options = default_options(found.facts, sum(card.vram_total_bytes for card in cards))
    return replace(
        options,
        context_length=asked.context_length or options.context_length,
        parallel=asked.parallel or options.parallel,
        cache_type_k=asked.cache_type or options.cache_type_k,
        cache_type_v=asked.cache_type or options.cache_type_v,
    )
