"""What each GPU holds of a model that is put there as its settings say, by the class of its tensors.

llama.cpp, src/llama-model.cpp: layers are shared out by ``--tensor-split``, else by the memory that is free
at the load; ``--split-mode row`` cuts the matrices themselves in these shares, but for experts, whose kernels
read no cut ones (ggml-cuda: ``supports_op``), and contexts, which lie where their layers do.
``--override-tensor`` goes before all of that. A projector is on the first GPU (tools/mtmd/clip.cpp).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gpumon.app.physics import memory
from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.placement import gpu_of, shared

BUFFERS = "buffers"
"""The part that is neither weights nor context: CUDA's own, and what a batch is computed in."""
EXPERTS, LAYERS, DENSE = "experts", "layers", "attention and dense"
OUTPUT, PROJECTOR, CONTEXT, DRAFT = "output", "projector", "context", "draft model"
CLASSES = (EXPERTS, DENSE, LAYERS, OUTPUT, PROJECTOR, CONTEXT, DRAFT, BUFFERS)
"""In the order in which they are told."""

Parts = tuple[tuple[str, int], ...]


def parts_by_card(
    geometry: Geometry,
    options: LoadOptions,
    free_bytes: Sequence[int],
    draft_bytes: int = 0,
    *,
    by_rows: bool = False,
) -> tuple[Parts, ...]:
    """Return what each GPU holds where nothing but the settings decides; empty parts for one that is unused.

    ``options.gpu_layers`` are on GPUs, all where that is ``None``; ``free_bytes`` share them out where
    ``options.gpu_shares`` does not.
    """
    whole = len(geometry.layers) + 1
    wanted = whole if options.gpu_layers is None else max(0, min(options.gpu_layers, whole))
    told = [round(1000 * share) for share in options.gpu_shares[: len(free_bytes)]]
    shares = [*told, *[0] * (len(free_bytes) - len(told))] if any(told) else list(free_bytes)
    held = [Counter[str]() for _ in free_bytes]
    start = whole - wanted
    for card, count in zip(held, shared(wanted, shares), strict=True):
        _add_layers(card, geometry, options, range(start, start + count))
        start += count
    if held and wanted:
        held[0][PROJECTOR] += geometry.projector_bytes
    if by_rows:
        _cut(held, shares)
    for one in geometry.pinned if held else ():
        card = held[gpu_of(one.device, len(held))]
        card[EXPERTS] += one.expert_bytes
        card[OUTPUT] += one.output_bytes
        card[_dense(geometry)] += one.bytes - one.expert_bytes - one.output_bytes
    for card, share in zip(held, _in_shares(draft_bytes, shares), strict=True):
        card[DRAFT] += share
    return tuple(_parts(card, geometry, options) for card in held)


def _add_layers(card: Counter[str], geometry: Geometry, options: LoadOptions, blocks: range) -> None:
    """Add blocks to what a GPU holds; the number after the last one is the output."""
    caches = memory.cache_bytes_by_layer(geometry, options) if options.cache_on_gpu else []
    for block in blocks:
        if block == len(geometry.layers):
            card[OUTPUT] += memory.output_weights_bytes(geometry)
            continue
        layer = geometry.layers[block]
        experts = layer.movable_expert_bytes if geometry.is_moe else 0
        card[EXPERTS] += experts
        card[_dense(geometry)] += layer.movable_bytes - experts
        card[CONTEXT] += caches[block] + options.parallel * layer.state_bytes if caches else 0


def _dense(geometry: Geometry) -> str:
    return DENSE if geometry.is_moe else LAYERS


def _cut(held: list[Counter[str]], shares: Sequence[int]) -> None:
    """Share out the matrices by rows, the same part of each."""
    for name in (DENSE, LAYERS, OUTPUT):
        whole = sum(card[name] for card in held)
        for card, part in zip(held, _in_shares(whole, shares), strict=True):
            card[name] = part


def _in_shares(whole: int, shares: Sequence[int]) -> list[int]:
    total = sum(shares) or 1
    ends = [whole * sum(shares[: at + 1]) // total for at in range(len(shares))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _parts(card: Counter[str], geometry: Geometry, options: LoadOptions) -> Parts:
    if not card.total():
        return ()
    card[BUFFERS] = memory.compute_bytes(geometry, options) + memory.overhead_bytes()
    if card[PROJECTOR]:
        card[BUFFERS] += memory.projector_compute_bytes(geometry)
    return tuple((name, card[name]) for name in CLASSES if card[name])
