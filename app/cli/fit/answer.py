"""Puts together what ``gpumon fit`` computes with: the model, the cards, what is loaded, what was learned."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpumon.app.cli.fit.asked import Asked
from gpumon.app.cli.fit.catalog import model_of_catalog
from gpumon.app.cli.fit.disk import hub_file
from gpumon.app.cli.fit.model import Model, is_file, loaded_here, model_of_file, model_of_servers
from gpumon.app.diagnosis.fit.machine import (
    NO_DEFAULTS,
    Machine,
    chosen_cards,
    default_options,
    fit_on,
    server_defaults,
    visible_cards,
)
from gpumon.app.diagnosis.fit.report import FitReport, HostMemory, Resident, with_freed
from gpumon.app.diagnosis.fit.wishes import with_wishes
from gpumon.app.errors import GpumonError
from gpumon.app.learned import learned_path
from gpumon.app.physics.geometry import LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Card, card_of
from gpumon.app.state.records.learned import LearnedRecord, record_of
from gpumon.collectors.learned import DocumentError, read
from gpumon.collectors.samples import AnySample, NvmlSample
from gpumon.collectors.servers.kind import LoadDefaults
from gpumon.collectors.source import SystemClock

if TYPE_CHECKING:
    from gpumon.app.config.settings import Settings

_WITHOUT_GPU = frozenset({"absent", "serving", "idle"})
_DRIVER_SECONDS = 5.0
"""A driver that does not answer in time is one whose memory is not known."""


async def answer(asked: Asked, settings: Settings) -> FitReport | NoGeometry:
    """Ask the file or the servers for the model, the driver for its free memory, and compute.

    Raises:
        GpumonError: there is no such model, or nothing can be asked.
    """
    found, own = await asyncio.gather(_model(asked, settings), _own_cards(asked))
    told = await _server_defaults(found, settings)
    usable = visible_cards(own or (), told)
    cards = asked.cards or (with_freed(usable, found.own_vram_bytes) if found.is_local else ())
    cards = chosen_cards(cards, asked.wishes.devices)
    options = _options(asked, found, cards, told)
    has_none = found.is_local and own is not None and not usable and not asked.cards
    machine = _machine(asked, cards, found.others, has_no_gpu=has_none)
    return fit_on(machine, found.facts, options, found.file_bytes, asked.wishes, origin=found.origin)


async def machine_here(asked: Asked) -> Machine:
    """Return the cards that were asked for, else this machine, with nothing loaded on it that is known."""
    own = await _own_cards(asked)
    cards = chosen_cards(asked.cards or own or (), asked.wishes.devices)
    return _machine(asked, cards, has_no_gpu=own is not None and not own and not asked.cards)


def _machine(
    asked: Asked, cards: tuple[Card, ...], others: tuple[Resident, ...] = (), *, has_no_gpu: bool
) -> Machine:
    """Return the cards that were asked for, else this machine with what was learned of it."""
    ram = asked.ram_bandwidth_bytes_per_second
    if has_no_gpu:
        available, bandwidth = read_ram_available(), ram or _firmware_ram_bandwidth()
        known = with_ram_bandwidth(learned(), ram)
        return Machine(
            (),
            bandwidth,
            known,
            has_no_gpu=True,
            ram_available_bytes=available,
            host=read_host(),
        )
    if asked.cards or not cards:
        return Machine(cards, ram, others=() if asked.cards else others)
    known = with_ram_bandwidth(learned(), ram)
    bandwidth = ram or _firmware_ram_bandwidth()
    return Machine(cards, bandwidth, known, others, host=read_host())


async def _model(asked: Asked, settings: Settings) -> Model:
    """Return the file, else what a server or this disk has, else what the catalogue has."""
    from gpumon.app.session.whom import endpoints

    servers = endpoints(settings)
    if is_file(asked.model):
        model = model_of_file(Path(asked.model))
        return replace(model, others=await loaded_here(servers))
    if asked.quant or asked.parameters:
        return replace(model_of_catalog(asked, None, servers), others=await loaded_here(servers))
    try:
        return await model_of_servers(asked.model, servers)
    except GpumonError as error:
        path = await hub_file(asked.model)
        if path is not None:
            return replace(model_of_file(path), others=await loaded_here(servers))
        model = model_of_catalog(asked, error, servers)
    return model if model.url is None else replace(model, others=await loaded_here(servers))


async def _own_cards(asked: Asked) -> tuple[Card, ...] | None:
    return () if asked.cards else await cards_of_this_machine()


async def _server_defaults(found: Model, settings: Settings) -> LoadDefaults:
    """Return how the model's server, if it runs here, was told to load models."""
    if not found.is_local or found.url is None:
        return NO_DEFAULTS
    from gpumon.app.monitor import Store
    from gpumon.app.session.build import log_paths
    from gpumon.collectors.processes.source import ProcessSource
    from gpumon.collectors.server_log.source import LogSource

    clock, store = SystemClock(), Store()
    processes = ProcessSource(clock, frozenset)
    logs = LogSource(clock, lambda: store.state.servers, log_paths(settings))
    try:
        for source in (processes, logs):
            for sample in await source.poll():
                store.apply(sample)
    finally:
        await processes.close()
        await logs.close()
    return server_defaults(store.state, found.url)


def _options(asked: Asked, found: Model, cards: tuple[Card, ...], told: LoadDefaults) -> LoadOptions:
    vram_total_bytes = sum(card.vram_total_bytes for card in cards)
    options = default_options(found.facts, vram_total_bytes, told)
    return with_wishes(with_asked(asked, options), asked.wishes)


def with_asked(asked: Asked, options: LoadOptions) -> LoadOptions:
    """Return the options with what the user asks for."""
    return replace(
        options,
        context_length=asked.context_length or options.context_length,
        parallel=asked.parallel or options.parallel,
        cache_type_k=asked.cache_type or options.cache_type_k,
        cache_type_v=asked.cache_type or options.cache_type_v,
    )


async def cards_of_this_machine() -> tuple[Card, ...] | None:
    """Return the cards whose memory the driver tells; none are woken for it.

    Empty where there is no GPU; ``None`` where there may be one of which nothing is known.
    """
    samples = await read_nvml()
    if samples is None:
        return None
    cards = (card_of(reading) for sample in samples for reading in sample.gpus)
    found = tuple(card for card in cards if card is not None)
    return found if found or _says_none(samples) else None


async def read_nvml() -> Sequence[NvmlSample] | None:
    """Ask the driver once; ``None`` where it does not answer."""
    from gpumon.collectors.nvml.source import NvmlSource

    source = NvmlSource(SystemClock())
    try:
        async with asyncio.timeout(_DRIVER_SECONDS):
            return await source.poll()
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(TimeoutError):
            await source.close()


def _says_none(samples: Sequence[AnySample]) -> bool:
    """Return whether there is no GPU: none by the driver or no driver, and no device of another vendor's."""
    said = [sample for sample in samples if isinstance(sample, NvmlSample)]
    return bool(said) and all(
        not one.gpus and not one.other_makers and one.health.state in _WITHOUT_GPU for one in said
    )


def _firmware_ram_bandwidth() -> float | None:
    from gpumon.collectors.system.source import read_ram_bandwidth

    return read_ram_bandwidth().bytes_per_second


def read_ram_available() -> int | None:
    """Return the RAM that programs can still have, in bytes."""
    import psutil

    from gpumon.collectors.system.source import attempt

    memory = attempt(psutil.virtual_memory)
    return None if memory is None else int(memory.available)


def read_host() -> HostMemory | None:
    """Return the RAM and swap of this machine."""
    import psutil

    from gpumon.collectors.system.source import attempt

    memory, swap = attempt(psutil.virtual_memory), attempt(psutil.swap_memory)
    return None if memory is None else HostMemory(int(memory.total), int(swap.total) if swap else 0)


def learned() -> LearnedRecord:
    """Return what the state directory holds; a file that cannot be used teaches nothing."""
    try:
        return record_of([read(learned_path()).as_sample(0.0, "learned")])
    except (DocumentError, OSError):
        return LearnedRecord()


def with_ram_bandwidth(record: LearnedRecord, bytes_per_second: float | None) -> LearnedRecord:
    """Return the record without its own bandwidths of RAM, where the user names one."""
    if bytes_per_second is None:
        return record
    return LearnedRecord(scales=record.scales, memory=record.memory)
