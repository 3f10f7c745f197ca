"""What has to be read from memory for one token, and where it lies."""

from __future__ import annotations

from msgspec import Struct

from gpumon.app.physics.efficiency import KV_COST, KV_COST_WITHOUT_FLASH_ATTENTION, KV_TYPE_COST
from gpumon.app.physics.geometry import Geometry, Layer
from gpumon.app.physics.need import Placement
from gpumon.app.physics.options import BYTES_PER_ELEMENT, CacheType, LoadOptions


class Traffic(Struct, frozen=True):
    """Bytes per generated token in one place; cache bytes are weighted by what they cost to read."""

    weights_bytes: float = 0.0
    """Of one token: the routed experts that it uses, no others."""
    expert_bytes: float = 0.0
    """Part of ``weights_bytes``."""
    cache_bytes: float = 0.0
    blocks: int = 0
    """Whose kernels run there."""
    expert_layers: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.weights_bytes + other.weights_bytes,
            self.expert_bytes + other.expert_bytes,
            self.cache_bytes + other.cache_bytes,
            self.blocks + other.blocks,
            self.expert_layers + other.expert_layers,
        )

    def experts(self) -> Traffic:
        """Return the part of the routed experts."""
        return Traffic(self.expert_bytes, self.expert_bytes, expert_layers=self.expert_layers)

    def without_experts(self) -> Traffic:
        """Return the rest."""
        return Traffic(
            self.weights_bytes - self.expert_bytes, cache_bytes=self.cache_bytes, blocks=self.blocks
        )

    @property
    def total_bytes(self) -> float:
        """Weights and cache."""
        return self.weights_bytes + self.cache_bytes


def traffic_of(
    geometry: Geometry, options: LoadOptions, placement: Placement, context_tokens: int
) -> tuple[Traffic, Traffic]:
    """Return what is read on the GPUs and what in RAM, with ``context_tokens`` in the context.

    The last blocks are on the GPU; of those that overflow before them only the routed experts are in RAM.
    Of the embedding one row is read, which is nothing.
    """
    blocks = [_layer_traffic(layer, geometry, options, context_tokens) for layer in geometry.layers]
    first_whole = len(blocks) - placement.blocks_on_gpu
    first = max(0, first_whole - placement.overflowing_layers)
    output = Traffic(weights_bytes=float(output_bytes(geometry)))
    overflowing = _sum(blocks[first:first_whole])
    on_gpu = _sum(blocks[first_whole:]) + overflowing.without_experts()
    on_cpu = _sum(blocks[:first]) + overflowing.experts()
    output_on_gpu = placement.fits or placement.output_on_gpu
    return (on_gpu + output, on_cpu) if output_on_gpu else (on_gpu, on_cpu + output)


def output_bytes(geometry: Geometry) -> int:
    """Return the bytes of the matrix that makes logits: the embedding's own where it is tied."""
    return geometry.token_embedding_bytes if geometry.output_bytes is None else geometry.output_bytes


def used_experts_share(geometry: Geometry) -> float:
    """Return which share of the routed experts one token passes through."""
    return geometry.expert_used_count / geometry.expert_count if geometry.is_moe else 1.0


def _layer_traffic(layer: Layer, geometry: Geometry, options: LoadOptions, context_tokens: int) -> Traffic:
    experts = layer.expert_bytes * used_experts_share(geometry)
    return Traffic(
        weights_bytes=layer.weights_bytes - layer.expert_bytes + experts,
        expert_bytes=experts,
        cache_bytes=_cache_cost(layer, options, context_tokens),
        blocks=1,
        expert_layers=int(geometry.is_moe and layer.expert_bytes > 0),
    )


def _cache_cost(layer: Layer, options: LoadOptions, context_tokens: int) -> float:
    """Return the weighted bytes of K and V, or of the state, which is read and written back."""
    if layer.kind == "recurrent":
        return 2.0 * layer.state_bytes
    window = layer.window_tokens if layer.kind == "sliding_window" else None
    tokens = context_tokens if window is None else min(context_tokens, window)
    k = layer.k_elements_per_token * _element_cost(options.cache_type_k)
    v = layer.v_elements_per_token * _element_cost(options.cache_type_v)
    return tokens * (k + v) * (KV_COST if options.flash_attention else KV_COST_WITHOUT_FLASH_ATTENTION)


def _element_cost(cache_type: CacheType) -> float:
    return BYTES_PER_ELEMENT[cache_type] * KV_TYPE_COST.get(cache_type, 1.0)


def _sum(parts: list[Traffic]) -> Traffic:
    return sum(parts, Traffic())
