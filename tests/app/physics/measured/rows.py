"""Published measurements, each a line of a file beside this one, and what the formulas say of them.

``decode.jsonl``: tokens per second of one request. ``memory.jsonl``: MiB that a GPU held of one load.
``graphs.jsonl``: compute buffers that llama.cpp reserves.
``fitted`` says whether constants were set with rows of this source.
Models are those of the catalogue, in the quantisation of the row; ``file_bytes`` is the size of a file
that is not mixed as usual.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.physics.catalog.entries import catalog, facts_of
from gpumon.app.physics.efficiency import BENCHMARK_COST, SERVER_COST
from gpumon.app.physics.geometry import CacheType, Geometry, LoadOptions
from gpumon.app.physics.hardware import Band, Card, CardClass, Hardware
from gpumon.app.physics.memory import Placement, compute_bytes, memory_need, overhead_bytes
from gpumon.app.physics.placement import place
from gpumon.app.physics.shape import geometry_of
from gpumon.app.physics.speed import decode_tokens_per_second

FOLDER = Path(__file__).parent
GB = 10**9
Backend = Literal["cuda", "vulkan", "hip"]
ENGINE_COST = {"llama-bench": BENCHMARK_COST, "llmfit": 1.06}
"""llmfit divides the tokens by the whole time of a request, its prompt included."""
SPLIT, EXPERTS, CPU = "split", "experts in RAM", "no GPU"


class MeasuredCard(Struct, frozen=True, forbid_unknown_fields=True):
    """A card by its data sheet."""

    card: str
    gigabytes_per_second: float
    card_class: CardClass


class DecodeRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One published rate."""

    model: str
    quant: str
    card: str
    """Empty where no GPU took part."""
    rate: float
    source: str
    date: str
    fitted: bool
    cards: int = 1
    layers: int | None = None
    """On the GPU, the output among them, where not all were."""
    cpu_experts: int | None = None
    """Blocks whose experts were in RAM, the first ones."""
    last_experts: bool = False
    """Whether they were the last ones."""
    ram_gb: float | None = None
    """Nominal bandwidth of RAM in 10^9 bytes per second."""
    context: int = 64
    cache: CacheType = "f16"
    flash: bool = True
    backend: Backend = "cuda"
    engine: Literal["llama-bench", "llama-server", "ollama", "llmfit"] = "llama-bench"
    build_2024: bool = False
    file_bytes: int | None = None
    blocks: int | None = None
    """Of the file, where some only predict further tokens."""
    assumed: str | None = None
    """What the source does not say."""

    @property
    def name(self) -> str:
        """In a table: "qwen3:8b Q4_K_M on RTX 3060"."""
        where = f"{self.cards}x {self.card}" if self.cards > 1 else self.card or "no GPU"
        parts = {self.layers: f", {self.layers} layers", self.cpu_experts: f", {self.cpu_experts} in RAM"}
        parts[None] = ""
        return f"{self.model} {self.quant} on {where}{parts[self.layers]}{parts[self.cpu_experts]}"

    @property
    def kind(self) -> str:
        """Where the weights were, else the class of the card."""
        if not self.card:
            return CPU
        if self.layers is None and self.cpu_experts is None:
            return CARDS[self.card].card_class
        return EXPERTS if geometry(self).is_moe else SPLIT


class MemoryRow(Struct, frozen=True, forbid_unknown_fields=True):
    """What a GPU held of one load, by its driver."""

    model: str
    quant: str
    card: str
    """``?`` where the source does not say."""
    mib: int
    source: str
    date: str
    fitted: bool
    context: int
    """Tokens of each slot, or of the pool of all."""
    slots: int = 1
    unified: bool = False
    layers: int | None = None
    """On the GPU, the output among them, where not all were."""
    cache: CacheType = "f16"
    buffers: bool = False
    """Whether it is the sum of the buffers, without the CUDA context."""
    file_bytes: int | None = None
    blocks: int | None = None
    """Of the file, where some only predict further tokens, which is left on disk."""
    build_2024: bool = False
    """Whether the program was of before 2026: those reserved logits for a whole micro-batch."""
    assumed: str | None = None

    @property
    def name(self) -> str:
        """In a table: "qwen3:8b Q4_K_M, 4096 tokens on RTX 3060"."""
        layers = "" if self.layers is None else f", {self.layers} layers"
        return f"{self.model} {self.quant}, {self.context} tokens in {self.cache} on {self.card}{layers}"

    @property
    def kind(self) -> str:
        """All on the GPU, or not."""
        return "on GPU" if self.layers is None else SPLIT


class GraphRow(Struct, frozen=True, forbid_unknown_fields=True):
    """The compute buffer that llama.cpp b11549 (xllamacpp, on a CPU) reserves for a file of these tensors."""

    model: str
    context: int
    mib: float
    micro_batch: int = 512
    flash: bool = True

    @property
    def predicted_mib(self) -> float:
        """What the product says."""
        options = LoadOptions(self.context, micro_batch_size=self.micro_batch, flash_attention=self.flash)
        return compute_bytes(shape_of(self.model, "Q4_K_M"), options) / 2**20


Row = TypeVar("Row", bound=Struct)


def read(name: str, kind: type[Row]) -> tuple[Row, ...]:
    """Return the lines of a file."""
    lines = (FOLDER / name).read_bytes().splitlines()
    return tuple(msgspec.json.decode(line, type=kind) for line in lines)


CARDS = {one.card: one for one in read("cards.jsonl", MeasuredCard)}
MODELS = {entry.name: entry for entry in catalog()}
DECODE = read("decode.jsonl", DecodeRow)
MEMORY = read("memory.jsonl", MemoryRow)
GRAPHS = read("graphs.jsonl", GraphRow)
PLENTY = 2**45


def shape_of(model: str, quant: str) -> Geometry:
    """Return a model of the catalogue without an encoder of pictures, as the hub has it."""
    found = geometry_of(facts_of(MODELS[model], quant, is_ollamas=False))
    assert isinstance(found, Geometry), found
    return replace(found, projector_bytes=0)


def geometry(row: Any) -> Geometry:  # noqa: ANN401 - a row of either file
    """Return the model of a row as its file has it, without an encoder of pictures."""
    found = shape_of(row.model, row.quant)
    return found if row.file_bytes is None else _of_size(found, row.file_bytes, row.blocks)


def _of_size(whole: Geometry, file_bytes: int, count: int | None) -> Geometry:
    """Return the same with blocks as large as they must be; ``count`` are those of the file."""
    blocks = sum(layer.weights_bytes for layer in whole.layers) * (count or len(whole.layers))
    blocks //= len(whole.layers)
    share = (file_bytes - (whole.file_bytes - blocks)) / blocks
    layers = (
        replace(
            one, weights_bytes=round(one.weights_bytes * share), expert_bytes=round(one.expert_bytes * share)
        )
        for one in whole.layers
    )
    return replace(whole, layers=tuple(layers))


def with_experts_in_ram(whole: Geometry, count: int, *, last: bool = False) -> Geometry:
    """Return the same with the experts of the first or last ``count`` blocks kept in RAM."""
    length = len(whole.layers)
    kept = range(length - count, length) if last else range(count)
    layers = (
        replace(layer, kept_bytes=layer.expert_bytes, kept_expert_bytes=layer.expert_bytes)
        if index in kept
        else layer
        for index, layer in enumerate(whole.layers)
    )
    return replace(whole, layers=tuple(layers))


def hardware(row: DecodeRow) -> Hardware:
    """Return the cards and the RAM of a row."""
    ram = None if row.ram_gb is None else row.ram_gb * GB
    if not row.card:
        return Hardware((), ram)
    known = CARDS[row.card]
    card = Card(row.card, 2**35, 2**35, known.gigabytes_per_second * GB, known.card_class)
    if row.backend != "cuda":
        card = replace(card, backend=row.backend)
    return Hardware((card,) * row.cards, ram)


def placement(row: DecodeRow, model: Geometry) -> Placement:
    """Return where the layers were; the cards have equal parts."""
    count = len(model.layers) + 1
    if not row.card:
        return Placement(0, count, 0, model.file_bytes, ())
    on_gpu = count if row.layers is None else min(row.layers, count)
    held = (model.file_bytes * on_gpu // count or 1) // row.cards
    in_ram = model.file_bytes - held * row.cards
    return Placement(on_gpu, count, held * row.cards, in_ram, (held,) * row.cards, output_on_gpu=on_gpu > 0)


def predicted(row: DecodeRow) -> Band:
    """Return the rate that the product says, with its band."""
    model = geometry(row)
    if row.cpu_experts is not None:
        model = with_experts_in_ram(model, row.cpu_experts, last=row.last_experts)
    options = LoadOptions(8192, cache_type_k=row.cache, cache_type_v=row.cache, flash_attention=row.flash)
    cost = ENGINE_COST.get(row.engine, SERVER_COST)
    band = decode_tokens_per_second(model, options, hardware(row), placement(row, model), row.context, cost)
    assert band is not None, row
    return band


def load(row: MemoryRow) -> LoadOptions:
    """Return how a model was loaded."""
    return LoadOptions(
        row.context,
        row.slots,
        row.cache,
        row.cache,
        unified_cache=row.unified,
        gpu_layers=row.layers,
    )


def predicted_bytes(row: MemoryRow) -> int:
    """Return what the product says that the GPU holds."""
    model, options = geometry(row), load(row)
    if row.layers is None:
        return memory_need(model, options).total_bytes - overhead_bytes() * row.buffers
    return place(model, options, [PLENTY]).vram_bytes
