"""How many tokens a layer's cache has room for (llama.cpp: src/llama-kv-cache-iswa.cpp)."""

from __future__ import annotations

from gpumon.app.physics.geometry import Layer
from gpumon.app.physics.options import BYTES_PER_ELEMENT, LoadOptions

PADDING = 256


def padded(tokens: int) -> int:
    """Return the next multiple of 256: what a cache is made for."""
    return -(-tokens // PADDING) * PADDING


def stream_count(options: LoadOptions) -> int:
    """Return how many caches there are: one for each slot, or one for all."""
    return 1 if options.unified_cache else options.parallel


def stream_cells(layer: Layer, options: LoadOptions) -> int:
    """Return a layer's cells in one cache: the context, or the window and one batch beyond it."""
    context = padded(options.context_length)
    if layer.kind in {"recurrent", "stateless"}:
        return 0
    if layer.window_tokens is None:
        return context
    sequences = options.parallel if options.unified_cache else 1
    return padded(min(context, sequences * layer.window_tokens + options.micro_batch_size))


def layer_cache_bytes(layer: Layer, options: LoadOptions, v_elements: int) -> int:
    """Return the bytes of one layer's K and V, all slots; ``v_elements`` are those that V is padded to."""
    k = layer.k_elements_per_token * BYTES_PER_ELEMENT[options.cache_type_k]
    v = v_elements * BYTES_PER_ELEMENT[options.cache_type_v]
    return round((k + v) * stream_cells(layer, options) * stream_count(options))
