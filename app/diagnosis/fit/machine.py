"""Whether a model fits on this machine: one model, or all that are installed, with what was learned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import usable_bytes
from gpumon.app.diagnosis.fit.report import (
    COMPARED_CACHE_TYPES,
    INSTALLED,
    SHORT_CONTEXT_TOKENS,
    FitReport,
    HostMemory,
    Origin,
    Resident,
    fit_of_geometry,
    in_ram,
    with_freed,
    with_rates,
)
from gpumon.app.diagnosis.fit.wishes import NO_WISHES, Wishes, best_experts, shaped
from gpumon.app.errors import GpumonError
from gpumon.app.insight.hardware import calibrated, firmware_ram, hardware_of, ram_bandwidth
from gpumon.app.insight.learning.predictions import memory_correction
from gpumon.app.insight.shapes import DEFAULT_CACHE_TYPE, cache_type_named, load_options
from gpumon.app.physics.geometry import CacheType, Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Band, Card, Hardware
from gpumon.app.physics.memory import LEAST_MICRO_BATCH, automatic_micro_batch
from gpumon.app.physics.shape import geometry_of
from gpumon.app.state.places import is_local, place
from gpumon.app.state.records import ModelKey, ModelRecord
from gpumon.app.state.records.learned import LearnedRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.kind import LoadDefaults
from gpumon.collectors.servers.registry import DEFAULT, kind_named

NO_DEFAULTS = LoadDefaults()


def default_options(
    facts: ModelFacts, vram_total_bytes: int, told: LoadDefaults = NO_DEFAULTS
) -> LoadOptions:
    """Return the Modelfile's parameters, then what its server was ``told``, then Ollama's defaults.

    A context is cut to what the model was trained for.
    """
    context = _number(facts, "num_ctx") or told.context_length or DEFAULT.default_context(vram_total_bytes)
    cache_type = cache_type_named(told.cache_type or "") or DEFAULT_CACHE_TYPE
    return LoadOptions(
        context_length=min(context, facts.trained_context_length or context),
        parallel=told.slots or 1,
        cache_type_k=cache_type,
        cache_type_v=cache_type,
        micro_batch_size=_number(facts, "num_batch") or LEAST_MICRO_BATCH,
        gpu_layers=_number(facts, "num_gpu"),
    )


def with_automatic_batch(
    options: LoadOptions, facts: ModelFacts, geometry: Geometry, free_bytes_by_gpu: Sequence[int]
) -> LoadOptions:
    """Return the options with the micro-batch that Ollama takes, unless the Modelfile names one."""
    if _number(facts, "num_batch") is not None:
        return options
    return replace(options, micro_batch_size=automatic_micro_batch(geometry, options, free_bytes_by_gpu))


def _number(facts: ModelFacts, name: str) -> int | None:
    """Return a parameter; ``None`` where there is none, or it means "automatic" (-1)."""
    text = facts.parameters.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


class Machine(Struct, frozen=True):
    """What a model would be loaded on."""

    cards: tuple[Card, ...]
    """As they are now; what the model itself holds is free for it."""
    firmware_ram_bytes_per_second: float | None = None
    learned: LearnedRecord = field(default_factory=LearnedRecord)
    others: tuple[Resident, ...] = ()
    """The other models that hold memory of these cards."""
    has_no_gpu: bool = False
    """Whether it is known to have none, so that models run from its RAM."""
    ram_available_bytes: int | None = None
    host: HostMemory | None = None
    """``None`` where it is not known, or another machine's."""


def fit_on(
    machine: Machine,
    facts: ModelFacts,
    options: LoadOptions,
    file_bytes: int | None = None,
    wishes: Wishes = NO_WISHES,
    compared: Sequence[CacheType] = COMPARED_CACHE_TYPES,
    *,
    origin: Origin = INSTALLED,
) -> FitReport | NoGeometry:
    """Return how a model would be loaded there, or why that cannot be computed.

    ``file_bytes`` are those of all its files, where they are known; for the types of cache ``compared`` the
    largest context is looked for.
    """
    whole = geometry_of(facts, file_bytes)
    if isinstance(whole, Geometry) and origin.is_rough:
        whole = replace(whole, weights_measured=False)
    geometry = whole if isinstance(whole, NoGeometry) else shaped(whole, facts, wishes)
    if isinstance(geometry, NoGeometry):
        return geometry
    free = [card.vram_free_bytes for card in machine.cards]
    wanted = with_automatic_batch(options, facts, geometry, free)
    report = _report(machine, facts.name, geometry, wanted, compared)
    correction = memory_correction(machine.learned, facts.digest, _uuids(report.hardware.cards))
    if correction:
        report = _report(machine, facts.name, geometry, wanted, compared, correction)
    after = None if report.after is None else replace(report.after, wishes=wishes)
    report = _of_any_cache(report) if origin.kind == "size" else report
    return _with_best(replace(report, wishes=wishes, after=after, origin=origin), machine)


LEAST_CACHE, MOST_CACHE = 0.4, 2.8
"""What eight in ten of the catalogue's dense models keep for each token, beside the shape of their size."""
EXPERTS_SPREAD = 0.1
"""Of the weights, besides that of any estimate: a size says little of how experts are cut."""


def _of_any_cache(report: FitReport) -> FitReport:
    """Return the report with the band in which models of one size are, which differ most in their caches."""
    need = report.need
    low, expected, high = need.total
    experts = EXPERTS_SPREAD * need.weights_bytes if report.geometry.is_moe else 0.0
    less = (1 - LEAST_CACHE) * need.kv_cache_bytes + experts
    more = (MOST_CACHE - 1) * need.kv_cache_bytes + experts
    total = Band(max(0.0, low - less), expected, high + more)
    return replace(report, need=replace(need, total=total))


def _with_best(report: FitReport, machine: Machine) -> FitReport:
    """Return the report with the fewest layers whose experts must be in RAM, where that is asked."""
    if not report.wishes.asks_of_experts or not machine.cards:
        return report
    free = usable_bytes([card.vram_free_bytes for card in machine.cards], report.correction_bytes)
    hardware = replace(report.hardware, cards=machine.cards)
    tokens = min(SHORT_CONTEXT_TOKENS, report.options.context_length)
    best = best_experts(report.geometry, report.options, hardware, free, report.decode, tokens)
    return replace(report, best_experts=best)


def _report(
    machine: Machine,
    name: str,
    geometry: Geometry,
    options: LoadOptions,
    compared: Sequence[CacheType],
    correction_bytes: int = 0,
) -> FitReport:
    bare = Hardware(machine.cards)
    report = fit_of_geometry(name, geometry, options, bare, machine.others, correction_bytes, compared)
    if machine.has_no_gpu:
        report = in_ram(report, machine.ram_available_bytes)
    after = None if report.after is None else _as_known(report.after, machine)
    return _as_known(replace(report, after=after), machine)


def _as_known(report: FitReport, machine: Machine) -> FitReport:
    """Return the report with the RAM of the machine, and rates by what was learned of it."""
    is_moe, cards = report.geometry.is_moe, report.hardware.cards
    ram = ram_bandwidth(machine.learned, machine.firmware_ram_bytes_per_second, is_moe=is_moe)
    known = calibrated(cards, ram, machine.learned, _uuids(cards), is_moe=is_moe)
    return with_rates(replace(report, hardware=known, host=machine.host))


def _uuids(cards: Sequence[Card]) -> tuple[str, ...]:
    return tuple(sorted(card.uuid for card in cards if card.uuid is not None))


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


def server_defaults(state: State, source: str) -> LoadDefaults:
    """Return how the server at a URL loads models: by its environment, else by the only log that is read."""
    record = state.sources.get(source)
    settings: dict[str, str] = {}
    own = [one for one in state.servers if place(source) in map(place, one.reached)]
    if is_local(source, state.servers) and len(state.logs) == 1:
        settings |= next(iter(state.logs.values())).settings
    for server in own:
        settings |= server.settings
    return kind_named(record.runtime if record else None).load_defaults(settings)


def visible_cards(cards: tuple[Card, ...], told: LoadDefaults) -> tuple[Card, ...]:
    """Return the cards that its server is let use (``CUDA_VISIBLE_DEVICES``), in its order.

    Numbers count the fastest card first and the others by their slots (CUDA_DEVICE_ORDER); all cards where
    it cannot be told which one is that.
    """
    names = [name.strip() for name in told.devices.split(",")] if told.devices is not None else []
    counted = _as_cuda_counts(cards, told)
    if not names or (counted is None and any(name.isdecimal() for name in names)):
        return cards
    chosen = (_named_card(counted or cards, name) for name in names)
    return tuple(_up_to_none(chosen))


def chosen_cards(cards: tuple[Card, ...], numbers: Sequence[int]) -> tuple[Card, ...]:
    """Return the cards of these numbers, in this order; all where none are named.

    Raises:
        GpumonError: there is no such card.
    """
    if not numbers or not cards:
        return cards
    counted = _as_cuda_counts(cards, NO_DEFAULTS) or cards
    missing = [number for number in numbers if number >= len(counted)]
    if missing:
        known = "1 GPU is" if len(counted) == 1 else f"{len(counted)} GPUs are"
        raise GpumonError(f"--device: there is no CUDA{missing[0]}: {known} known")
    return tuple(counted[number] for number in numbers)


def _up_to_none(cards: Iterable[Card | None]) -> Iterator[Card]:
    """Yield the cards up to the first that is none: CUDA ignores what stands behind that."""
    for card in cards:
        if card is None:
            return
        yield card


def _as_cuda_counts(cards: tuple[Card, ...], told: LoadDefaults) -> tuple[Card, ...] | None:
    """Return the cards in CUDA's order; ``None`` where it is not known which is the fastest."""
    speeds = [card.bandwidth_bytes_per_second for card in cards]
    known = [speed for speed in speeds if speed is not None]
    if told.by_slot or len(cards) < 2:
        return cards
    if len(known) < len(speeds):
        return None
    first = cards[known.index(max(known))]
    return (first, *(card for card in cards if card is not first))


def _named_card(cards: Sequence[Card], name: str) -> Card | None:
    if name.isdecimal() and name.isascii():
        return cards[int(name)] if int(name) < len(cards) else None
    is_id = name.startswith("GPU-")
    return next((card for card in cards if is_id and (card.uuid or "").startswith(name)), None)


def machine_of(state: State, key: ModelKey) -> Machine:
    """Return the cards that a model of this server would be loaded on; none of a server elsewhere."""
    if not is_local(key.source, state.servers):
        return Machine(())
    every, model = hardware_of(state).cards, state.models.get(key)
    cards = visible_cards(every, server_defaults(state, key.source))
    held = model.split.ram_bytes or 0 if model else 0
    system = state.system.sample if state.system else None
    available = system.ram_available_bytes if system else None
    return Machine(
        cards=_without(model, cards, state) if model else cards,
        firmware_ram_bytes_per_second=firmware_ram(state),
        learned=state.learned,
        others=tuple(_residents(state, key)),
        has_no_gpu=not every and state.lacks_gpu_at(key.source),
        ram_available_bytes=None if available is None else available + held,
        host=HostMemory(system.ram_total_bytes, system.swap_total_bytes or 0) if system else None,
    )


def options_of(state: State, key: ModelKey, facts: ModelFacts, machine: Machine) -> LoadOptions:
    """Return how a model is loaded, else how it would be if nobody gave options."""
    model = state.models.get(key)
    present = load_options(model, state.runner_of(model), state) if model else None
    total = sum(card.vram_total_bytes for card in machine.cards)
    usual = default_options(facts, total, server_defaults(state, key.source))
    return usual if present is None else replace(present, micro_batch_size=usual.micro_batch_size)


def _without(model: ModelRecord, cards: tuple[Card, ...], state: State) -> tuple[Card, ...]:
    """Return the cards as if a model had left them: as measured by card, else by its claim."""
    runner = state.runner_of(model)
    if runner is None or not runner.vram_complete:
        return with_freed(cards, model.split.gpu_bytes or 0)
    held = runner.vram_by_gpu
    return tuple(
        replace(card, vram_free_bytes=card.vram_free_bytes + held.get(card.uuid or "", 0)) for card in cards
    )


def _residents(state: State, key: ModelKey) -> Iterator[Resident]:
    """Yield the other models that hold memory of this machine's cards."""
    for model in state.models.values():
        runner = state.runner_of(model)
        measured = runner.measured_vram_bytes if runner else None
        held = model.split.gpu_bytes if measured is None else measured
        if model.key != key and held and is_local(model.key.source, state.servers):
            makes_room = model.kind.manages_memory and model.key.source == key.source
            yield Resident(model.claim.name, held, makes_room)
