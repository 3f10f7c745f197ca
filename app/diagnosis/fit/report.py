"""Whether a model fits on given GPUs, before it is loaded: the arithmetic of ``gpumon fit``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import FIT_MARGIN_BYTES, usable_bytes
from gpumon.app.diagnosis.fit.wishes import NO_WISHES, BestExperts, Wishes
from gpumon.app.physics.geometry import CacheType, Geometry, LoadOptions
from gpumon.app.physics.hardware import Band, Card, Hardware
from gpumon.app.physics.memory import LEAST_MICRO_BATCH, MemoryNeed, Placement, memory_need
from gpumon.app.physics.placement import largest_context, place
from gpumon.app.physics.speed import decode_tokens_per_second

COMPARED_CACHE_TYPES: tuple[CacheType, ...] = ("f16", "q8_0", "q4_0")
"""Those that Ollama documents for ``OLLAMA_KV_CACHE_TYPE``."""
SHORT_CONTEXT_TOKENS = 512
"""A conversation that has just begun."""


class Resident(Struct, frozen=True):
    """A model that is loaded now."""

    name: str
    vram_bytes: int
    makes_room: bool = False
    """Whether its server unloads it by itself where the model in question needs the memory."""


class HostMemory(NamedTuple):
    """What a machine has for what no GPU takes, whoever holds it now."""

    ram_bytes: int
    swap_bytes: int = 0

    @property
    def bytes(self) -> int:
        """Both together."""
        return self.ram_bytes + self.swap_bytes


class Origin(NamedTuple):
    """Where it is known from what a file of the model holds."""

    kind: Literal["installed", "file", "catalog", "size"]
    """``catalog``: its published configuration; ``size``: nothing but how many parameters it has."""
    quant: str = ""
    date: str = ""
    """Year and month of the configuration."""
    why: str = ""
    """Why not from a file: "not installed"."""
    file_bytes: int = 0
    """To download, as computed."""
    is_rough: bool = False
    """Whether the weights are an estimate: files that go by this name differ."""


INSTALLED = Origin("installed")


class FitReport(Struct, frozen=True):
    """What a load would take, where it would go, and how fast it would be. Rates are estimates."""

    name: str
    options: LoadOptions
    geometry: Geometry
    need: MemoryNeed
    hardware: Hardware
    """The cards that the runtime would use; none where nothing is known of any."""
    placement: Placement | None = None
    """``None`` without a card."""
    max_context: Mapping[CacheType, int | None] | None = None
    """By cache type: the most tokens per slot with which everything fits; ``None`` where nothing does."""
    decode: Band | None = None
    """Tokens per second as it would be placed, at the start of a conversation."""
    decode_full_context: Band | None = None
    """The same with the context full."""
    decode_fitting: Band | None = None
    """The same if everything fitted on these cards."""
    unload: tuple[Resident, ...] = ()
    """What makes room when it is unloaded; empty where nothing has to be, or all would not be enough."""
    correction_bytes: int = 0
    """What earlier loads on these cards took beyond the prediction; below 0 where they took less."""
    runs_from_ram: bool = False
    """Whether the machine is known to have no GPU: everything is in RAM then."""
    available_ram_bytes: int | None = None
    wishes: Wishes = NO_WISHES
    """Where it was asked to be."""
    best_experts: BestExperts | None = None
    """With which experts in RAM all else fits; ``None`` where nobody asks that, or nothing does."""
    host: HostMemory | None = None
    evicted: tuple[Resident, ...] = ()
    """What its server would unload by itself to load it; empty where that changes nothing."""
    after: FitReport | None = None
    """How it would be loaded then."""
    origin: Origin = INSTALLED

    @property
    def in_the_end(self) -> FitReport:
        """Return how it is loaded when its server has made room."""
        return self.after or self

    @property
    def lacks_ram(self) -> bool:
        """Whether the part that no GPU takes is more than all RAM and swap there is: it does not run."""
        placement = self.in_the_end.placement
        return placement is not None and self.host is not None and placement.ram_bytes > self.host.bytes

    @property
    def generates(self) -> bool:
        """Whether it writes tokens: an embedding model keeps nothing of those it has read."""
        return any(layer.kind != "stateless" for layer in self.geometry.layers)

    @property
    def required_ram_bytes(self) -> int | None:
        """What it takes of RAM, where it runs from there."""
        return self.placement.ram_bytes if self.runs_from_ram and self.placement else None

    @property
    def required_vram_bytes(self) -> int:
        """What it takes when all of it is on these cards, with what earlier loads have taught."""
        return max(0, self.need.total_bytes + self.correction_bytes)

    @property
    def fits(self) -> bool | None:
        """Whether everything is on GPUs or, without any, in RAM; ``None`` where nothing is known of them."""
        if self.runs_from_ram and self.placement is not None and self.available_ram_bytes is not None:
            return self.placement.ram_bytes <= self.available_ram_bytes
        if self.runs_from_ram:
            return None
        if self.placement is not None and self.wishes.gpu_layers is not None:
            return self.placement.layers_on_gpu >= min(self.wishes.gpu_layers, self.placement.layer_count)
        return None if self.placement is None else self.placement.fits

    @property
    def is_in_part(self) -> bool:
        """Whether fewer than all layers were asked for, and there they are."""
        return bool(self.fits) and self.placement is not None and not self.placement.fits

    @property
    def may_be_split(self) -> bool:
        """Whether it fits by less than the runtime leaves free where it chooses the layers itself."""
        if not self.fits or self.runs_from_ram or self.options.gpu_layers is not None:
            return False
        free = usable_bytes(_free(self.hardware.cards), self.correction_bytes)
        return not place(self.geometry, self.options, free, FIT_MARGIN_BYTES).fits

    @property
    def available_vram_bytes(self) -> int | None:
        """Free memory of the cards, the runtime's own margin included."""
        cards = self.hardware.cards
        return sum(card.vram_free_bytes for card in cards) if cards else None


def fit_of_geometry(
    name: str,
    geometry: Geometry,
    options: LoadOptions,
    hardware: Hardware,
    loaded: Sequence[Resident] = (),
    correction_bytes: int = 0,
    compared: Sequence[CacheType] = COMPARED_CACHE_TYPES,
) -> FitReport:
    """Return how a model would be loaded on ``hardware`` as it is now.

    ``loaded`` are the other models that hold memory of these cards; ``correction_bytes`` were learned from
    earlier loads; for the types ``compared`` the largest context is looked for.
    """
    if not hardware.cards:
        return FitReport(name, options, geometry, memory_need(geometry, options), hardware)
    free = usable_bytes(_free(hardware.cards), correction_bytes)
    placed = _placed(geometry, options, free)
    cards, placement = _used(hardware.cards, placed)
    report = FitReport(
        name=name,
        options=options,
        geometry=geometry,
        need=memory_need(geometry, options, len(cards)),
        hardware=replace(hardware, cards=cards),
        placement=placement,
        max_context={kind: largest_context(geometry, _least_batch(options), free, kind) for kind in compared},
        correction_bytes=correction_bytes,
    )
    if not placement.fits:
        report = replace(report, unload=_to_unload(report, hardware.cards, loaded))
        leaving = [model for model in loaded if model.makes_room]
        report = _with_eviction(report, hardware, leaving) if leaving else report
    return with_rates(report)


def _with_eviction(report: FitReport, hardware: Hardware, leaving: Sequence[Resident]) -> FitReport:
    """Return the report with what its server would unload by itself, and how the model is loaded then."""
    gone = _to_unload(report, hardware.cards, leaving) or tuple(leaving)
    freed = replace(hardware, cards=with_freed(hardware.cards, sum(model.vram_bytes for model in gone)))
    after = fit_of_geometry(
        report.name,
        report.geometry,
        report.options,
        freed,
        correction_bytes=report.correction_bytes,
        compared=tuple(report.max_context or ()),
    )
    if after.placement is None or report.placement is None:
        return report
    is_better = after.placement.ram_bytes < report.placement.ram_bytes
    return replace(report, evicted=gone, after=after) if is_better else report


def in_ram(report: FitReport, available_ram_bytes: int | None) -> FitReport:
    """Return the report for a machine that is known to have no GPU."""
    geometry, options = report.geometry, report.options
    return replace(
        report,
        placement=place(geometry, options, ()),
        runs_from_ram=True,
        available_ram_bytes=available_ram_bytes,
    )


def _placed(geometry: Geometry, options: LoadOptions, free_bytes_by_gpu: Sequence[int]) -> Placement:
    """Return the placement that memory allows; that of ``gpu_layers`` where it asks for less."""
    chosen = place(geometry, replace(options, gpu_layers=None), free_bytes_by_gpu)
    if options.gpu_layers is None or options.gpu_layers >= chosen.layers_on_gpu:
        return chosen
    return place(geometry, options, free_bytes_by_gpu)


def _least_batch(options: LoadOptions) -> LoadOptions:
    """Return the options with the micro-batch that Ollama falls back to where memory is short."""
    return replace(options, micro_batch_size=min(options.micro_batch_size, LEAST_MICRO_BATCH))


def _used(cards: tuple[Card, ...], placement: Placement) -> tuple[tuple[Card, ...], Placement]:
    """Return the cards that hold something where everything fits, else all; and what each holds."""
    if not placement.fits:
        return cards, placement
    holding = [pair for pair in zip(cards, placement.vram_bytes_by_gpu, strict=True) if pair[1] > 0]
    held = tuple(size for _, size in holding)
    return tuple(card for card, _ in holding), replace(placement, vram_bytes_by_gpu=held)


def with_rates(report: FitReport) -> FitReport:
    """Return the report with the rates that its hardware gives."""
    geometry, options, hardware = report.geometry, report.options, report.hardware
    placement = report.placement
    if placement is None or not report.generates:
        return report
    short = min(SHORT_CONTEXT_TOKENS, options.context_length)

    def rate(where: Placement, tokens: int) -> Band | None:
        return decode_tokens_per_second(geometry, options, hardware, where, tokens)

    return replace(
        report,
        decode=rate(placement, short),
        decode_full_context=rate(placement, options.context_length),
        decode_fitting=rate(_everything_on(hardware.cards, placement), short) if hardware.cards else None,
    )


def _everything_on(cards: Sequence[Card], placement: Placement) -> Placement:
    """Return the placement as if memory were no matter, in proportion to what the cards have."""
    whole = placement.vram_bytes + placement.ram_bytes
    room = sum(card.vram_total_bytes for card in cards)
    shares = tuple(whole * card.vram_total_bytes // room for card in cards)
    count = placement.layer_count
    return Placement(count, count, whole, 0, shares, output_on_gpu=True)


def _to_unload(
    report: FitReport, cards: tuple[Card, ...], loaded: Sequence[Resident]
) -> tuple[Resident, ...]:
    """Return the smallest model whose memory is enough, else the largest ones together, else none."""

    def would_fit(gone: Iterable[Resident]) -> bool:
        freed = _free(with_freed(cards, sum(model.vram_bytes for model in gone)))
        return _placed(report.geometry, report.options, usable_bytes(freed, report.correction_bytes)).fits

    by_size = sorted(loaded, key=lambda model: model.vram_bytes)
    single = next((model for model in by_size if would_fit([model])), None)
    if single is not None:
        return (single,)
    largest = by_size[::-1]
    together = (tuple(largest[:count]) for count in range(2, len(largest) + 1))
    return next((models for models in together if would_fit(models)), ())


def with_freed(cards: tuple[Card, ...], freed_bytes: int) -> tuple[Card, ...]:
    """Return the cards after memory was given back: the fullest first, as no one says whose it was."""
    held = [card.vram_total_bytes - card.vram_free_bytes for card in cards]
    back, left = [0] * len(cards), freed_bytes
    for index in sorted(range(len(cards)), key=lambda index: held[index], reverse=True):
        back[index] = min(left, held[index])
        left -= back[index]
    freed = (card.vram_free_bytes + more for card, more in zip(cards, back, strict=True))
    return tuple(replace(card, vram_free_bytes=free) for card, free in zip(cards, freed, strict=True))


def _free(cards: Sequence[Card]) -> list[int]:
    return [card.vram_free_bytes for card in cards]
