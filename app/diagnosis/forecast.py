"""Of a load in its first second: what it will take, where, how much of it will spill, how fast it will be."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.diagnosis.causes import LEAST_CONTEXT_TOKENS
from gpumon.app.diagnosis.fit.report import FitReport, Resident, fit_of_geometry
from gpumon.app.insight.by_card import cuda_orders
from gpumon.app.insight.hardware import hardware_of
from gpumon.app.insight.intent import may_use
from gpumon.app.insight.learning.predictions import memory_correction
from gpumon.app.insight.shapes import options_of_settings
from gpumon.app.physics.by_card import parts_by_card
from gpumon.app.physics.geometry import Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Band, Card
from gpumon.app.physics.orders import keeps_weights, ordered
from gpumon.app.physics.shape import geometry_of
from gpumon.app.state.holders.addresses import server_of
from gpumon.app.state.records import Load, RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import ModelFacts, Orders
from gpumon.collectors.servers.kind import NO_LINE, Line, ServerKind
from gpumon.collectors.servers.registry import kind_named
from gpumon.text import units
from gpumon.text.safe import visible


class Forecast(Struct, frozen=True):
    """What a load will have taken at its end. All of it is an estimate."""

    need_bytes: int
    """Of GPUs, if all of it were there."""
    room_bytes: int
    """What of them is free for it: as if it had taken nothing yet."""
    gpu_bytes: int
    ram_bytes: int
    """What will not fit."""
    decode: Band | None = None
    """Tokens a second, as it will be placed."""
    decode_fitting: Band | None = None
    """The same if all of it fitted."""
    by_choice: bool = False
    """Whether what will be in RAM is there because the user wants it there."""
    cure: str = ""
    """What would make it fit, in words: ``a context of 6400 fits``."""
    command: Line = NO_LINE
    """The line to type for it."""
    words: str = ""
    """What will come of a load that will spill, in clauses, the most important first."""

    @property
    def spills(self) -> bool:
        """Whether a part of it will be in RAM that nobody wants there."""
        return self.ram_bytes > 0 and not self.by_choice

    @property
    def ram_fraction(self) -> float:
        """The part in RAM, 0 to 1."""
        whole = self.gpu_bytes + self.ram_bytes
        return self.ram_bytes / whole if whole else 0.0


class _Cure(NamedTuple):
    words: str
    command: Line


def forecast(load: Load, state: State) -> Forecast | None:
    """Return what will come of a load; ``None`` while its file, its settings or the GPUs are not known."""
    runner = state.runners.get(load.key)
    facts = _facts(load, runner, state) if runner else None
    if runner is None or facts is None or load.has_no_gpu or _is_elsewhere(runner, load.settings.orders):
        return None
    geometry, options = _shape(load, facts), options_of_settings(load.settings)
    cards = _as_before(_cards(runner, state), load)
    if isinstance(geometry, NoGeometry) or options is None or not cards:
        return None
    if options.gpu_shares and not _holds_shares(geometry, options, cards):
        return None
    return _reckoned(load, runner, facts, geometry, options, cards, state)


def _reckoned(
    load: Load,
    runner: RunnerRecord,
    facts: ModelFacts,
    geometry: Geometry,
    options: LoadOptions,
    cards: tuple[Card, ...],
    state: State,
) -> Forecast:
    asked = options.gpu_layers if runner.kind.layers_are_asked else None
    wanted = replace(options, gpu_layers=asked)
    known = replace(hardware_of(state, is_moe=geometry.is_moe), cards=cards)
    uuids = tuple(sorted(card.uuid for card in cards if card.uuid is not None))
    correction = memory_correction(state.learned, facts.digest, uuids)
    report = fit_of_geometry(load.name, geometry, wanted, known, _others(load, state), correction)
    placement = report.placement
    on_gpu, in_ram = (placement.vram_bytes, placement.ram_bytes) if placement else (0, 0)
    is_whole = placement is not None and placement.fits
    cure = _cure(report, _server_kind(runner, state)) if not is_whole else _Cure("", NO_LINE)
    found = Forecast(
        need_bytes=report.required_vram_bytes,
        room_bytes=sum(card.vram_free_bytes for card in cards),
        gpu_bytes=on_gpu,
        ram_bytes=0 if is_whole else in_ram,
        decode=report.decode,
        decode_fitting=report.decode_fitting,
        by_choice=asked is not None or keeps_weights(load.settings.orders),
        cure=cure.words,
        command=cure.command,
    )
    return replace(found, words=forecast_words(found, visible(load.name)))


def _holds_shares(geometry: Geometry, options: LoadOptions, cards: tuple[Card, ...]) -> bool:
    """Return whether each card holds its part of ``--tensor-split``: where one does not, a load may fail."""
    free = [card.vram_free_bytes for card in cards]
    held = parts_by_card(geometry, options, free)
    return all(sum(size for _, size in parts) <= room for parts, room in zip(held, free, strict=True))


def _is_elsewhere(runner: RunnerRecord, orders: Orders) -> bool:
    """Return whether it cannot be told what will be where: in a container, on other hosts, cut in rows."""
    is_cut = orders.split_mode not in {None, "layer", "none"}
    return runner.process.other_namespace or orders.other_hosts or is_cut


def _cards(runner: RunnerRecord, state: State) -> tuple[Card, ...]:
    """Return the GPUs that a process may use, in its own order; none where that cannot be told.

    CUDA counts the fastest card first, the driver by slot: among cards that differ a number may be any.
    """
    known = {card.uuid: card for card in hardware_of(state).cards if card.uuid is not None}
    orders = runner.process.settings.orders
    if any(not device.startswith("CUDA") for device in orders.devices):
        return ()
    found = {tuple(may_use(order, runner, state)) for order in cuda_orders(state)}
    is_shared_out = any(orders.tensor_split)
    if len(found if is_shared_out else set(map(frozenset, found))) != 1:
        return ()
    uuids = next(iter(found)) if is_shared_out else sorted(next(iter(found)), key=list(known).index)
    return tuple(known[uuid] for uuid in uuids) if known.keys() >= set(uuids) else ()


def _facts(load: Load, runner: RunnerRecord, state: State) -> ModelFacts | None:
    """Return what the file of a load holds: as read from disk, else as its server has once described it."""
    if runner.file is not None and runner.file.facts is not None:
        return runner.file.facts
    known = (facts for facts in state.facts.values() if load.blob is not None and load.blob in facts.blobs)
    return next(known, None)


def _shape(load: Load, facts: ModelFacts) -> Geometry | NoGeometry:
    shape = geometry_of(facts, load.target_bytes)
    return shape if isinstance(shape, NoGeometry) else ordered(shape, facts, load.settings.orders)


def _as_before(cards: tuple[Card, ...], load: Load) -> tuple[Card, ...]:
    """Return the cards as if the load had taken nothing yet."""
    taken = load.vram_by_gpu
    return tuple(
        replace(card, vram_free_bytes=card.vram_free_bytes + taken.get(card.uuid or "", 0)) for card in cards
    )


def _others(load: Load, state: State) -> tuple[Resident, ...]:
    """Return the loaded models that hold memory of the cards."""
    held = (
        Resident(visible(model.claim.name), runner.measured_vram_bytes or 0)
        for model in state.models.values()
        if (runner := state.runner_of(model)) is not None and runner.key != load.key
    )
    return tuple(one for one in held if one.vram_bytes)


def _server_kind(runner: RunnerRecord, state: State) -> ServerKind:
    """Return the kind of the server that has started a process, else the kind that it is itself."""
    server = server_of(state, runner)
    return runner.server_kind if server is None else kind_named(server.kind)


def _cure(report: FitReport, kind: ServerKind) -> _Cure:
    """Return what would make it fit: less context, else another model that leaves, else a smaller file."""
    options = report.options
    largest = (report.max_context or {}).get(options.cache_type_k)
    if largest is not None and LEAST_CONTEXT_TOKENS <= largest < options.context_length:
        return _Cure(f"a context of {largest} fits", kind.set_context(largest, options.parallel))
    if report.unload:
        names = ", ".join(one.name for one in report.unload)
        return _Cure(f"it fits without {names}", NO_LINE)
    return _Cure("its weights are larger than the GPU: a smaller quantisation would be faster", NO_LINE)


def forecast_words(found: Forecast, name: str) -> str:
    """Say what will come of a load that will spill, in clauses, the most important first."""
    need, room = units.gib(found.need_bytes), units.gib(found.room_bytes)
    clauses = [
        f"{name} will not fit: {need} GiB into {room}",
        f"{units.size(found.ram_bytes)} ({found.ram_fraction:.0%}) goes to RAM",
    ]
    if found.decode is not None:
        clauses.append(f"about {units.rate(found.decode.expected)}")
    return "; ".join((", ".join(clauses), found.cure))
