"""What a model needs of the GPUs: weights, cache, state, compute buffers and CUDA's own share.

    need = weights + K and V + states + (mask + scratch + CUDA context and graph) x GPUs + projector

Weights and caches are exact: the runtime allocates them by the same formulas (llama.cpp). The rest is fitted
to what the driver measured; docs/memory.md has the sources and the errors.
"""

from __future__ import annotations

from gpumon.app.physics.band import Band
from gpumon.app.physics.cells import layer_cache_bytes, stream_cells, stream_count
from gpumon.app.physics.geometry import Geometry
from gpumon.app.physics.need import MemoryNeed
from gpumon.app.physics.options import BYTES_PER_ELEMENT, LoadOptions

MIB = 2**20
CUDA_CONTEXT_BYTES = 152 * MIB
"""Of one process on one GPU: what the driver sees beyond the buffers that the log names."""
GRAPH_BYTES = 94 * MIB
"""Activations of a micro-batch of 512 tokens; with the context 0.24 GiB (0.12 to 0.28)."""
GRAPH_MICRO_BATCH = 512
PROJECTOR_COMPUTE_BYTES = 248 * MIB
"""Of encoding one picture (log: ``alloc_compute_meta: CUDA0 compute buffer size = 248.10 MiB``)."""

SPREAD = 0.025
"""Nine of ten loads wholly on one GPU lie within this of the sum."""
SPREAD_BYTES = 130 * MIB
"""The same in bytes, for small models."""
SPREAD_UNMEASURED = 0.10
"""Where the weights are the file's size: the embedding, which stays in RAM, cannot be told from it."""

_MASK_BYTES = 2
_SCORE_BYTES = 4
_F16_KV_BYTES = 4
_SCRATCH_HEAD_DIMENSION = 256
"""From here on a quantised cache is unpacked, one layer at a time, before attention."""


def memory_need(geometry: Geometry, options: LoadOptions, gpu_count: int = 1) -> MemoryNeed:
    """Return what a model takes when all of it is on ``gpu_count`` GPUs."""
    parts = {
        "weights_bytes": gpu_weights_bytes(geometry),
        "kv_cache_bytes": kv_cache_bytes(geometry, options),
        "recurrent_state_bytes": recurrent_state_bytes(geometry, options),
        "compute_bytes": gpu_count * compute_bytes(geometry, options) + projector_compute_bytes(geometry),
        "overhead_bytes": gpu_count * overhead_bytes(options),
        "projector_bytes": geometry.projector_bytes,
    }
    total = sum(parts.values())
    spread = _spread_bytes(geometry, options, gpu_count, total)
    return MemoryNeed(**parts, total=Band(max(0, total - spread), total, total + spread))


def gpu_weights_bytes(geometry: Geometry) -> int:
    """Return the weights on the GPU: all but the embedding, of which a tied output is a second copy."""
    return sum(layer.weights_bytes for layer in geometry.layers) + output_weights_bytes(geometry)


def output_weights_bytes(geometry: Geometry) -> int:
    """Return what stands behind the last layer: the output matrix and its norm."""
    output = geometry.token_embedding_bytes if geometry.output_bytes is None else geometry.output_bytes
    return output + geometry.other_bytes


def kv_cache_bytes(geometry: Geometry, options: LoadOptions) -> int:
    """Return the bytes of K and V, of every layer and slot."""
    return sum(cache_bytes_by_layer(geometry, options))


def cache_bytes_by_layer(geometry: Geometry, options: LoadOptions) -> list[int]:
    """Return each layer's K and V, of every slot.

    Without flash attention every layer's V is padded to the widest (llama.cpp: ``n_embd_v_gqa_max``).
    """
    widest = max(layer.v_elements_per_token for layer in geometry.layers)
    return [
        layer_cache_bytes(layer, options, layer.v_elements_per_token if options.flash_attention else widest)
        for layer in geometry.layers
    ]


def recurrent_state_bytes(geometry: Geometry, options: LoadOptions) -> int:
    """Return the states of all recurrent layers: one for each slot, whatever the context."""
    return options.parallel * sum(layer.state_bytes for layer in geometry.layers)


def compute_bytes(geometry: Geometry, options: LoadOptions) -> int:
    """Return the part of a GPU's compute buffer that grows with the context."""
    if not options.flash_attention:
        return _scores_bytes(geometry, options)
    return _mask_bytes(geometry, options) + _scratch_bytes(geometry, options)


def overhead_bytes(options: LoadOptions) -> int:
    """Return what one GPU holds of any model: the CUDA context, and activations of one micro-batch."""
    return CUDA_CONTEXT_BYTES + GRAPH_BYTES * options.micro_batch_size // GRAPH_MICRO_BATCH


def projector_compute_bytes(geometry: Geometry) -> int:
    """Return the buffer in which pictures are encoded."""
    return PROJECTOR_COMPUTE_BYTES if geometry.projector_bytes else 0


def _mask_bytes(geometry: Geometry, options: LoadOptions) -> int:
    """Return a mask for each kind of attention: f16, tokens of a micro-batch x cells."""
    cells = {layer.window_tokens: stream_cells(layer, options) for layer in geometry.layers}
    return _MASK_BYTES * options.micro_batch_size * sum(cells.values())


def _scores_bytes(geometry: Geometry, options: LoadOptions) -> int:
    """Return the scores of one layer, which exist whole only without flash attention: f32, heads x cells."""
    cells = max(stream_cells(layer, options) for layer in geometry.layers)
    return _SCORE_BYTES * geometry.head_count * options.micro_batch_size * cells


def _scratch_bytes(geometry: Geometry, options: LoadOptions) -> int:
    """Return one layer's K and V in f16, which heads of 256 and more need of a quantised cache."""
    if min(BYTES_PER_ELEMENT[options.cache_type_k], BYTES_PER_ELEMENT[options.cache_type_v]) >= 2:
        return 0
    sizes = [
        _F16_KV_BYTES * layer.kv_head_count * layer.head_dimension * stream_cells(layer, options)
        for layer in geometry.layers
        if layer.head_dimension >= _SCRATCH_HEAD_DIMENSION and layer.kind != "mla"
    ]
    return stream_count(options) * max(sizes, default=0)


def _spread_bytes(geometry: Geometry, options: LoadOptions, gpu_count: int, total: int) -> int:
    """Return how far nine of ten measurements lie from the sum."""
    graph = max(0, overhead_bytes(options) - CUDA_CONTEXT_BYTES - GRAPH_BYTES) // 2
    fixed = gpu_count * (SPREAD_BYTES + graph) + projector_compute_bytes(geometry)
    share = SPREAD if geometry.weights_measured else SPREAD_UNMEASURED
    return max(fixed, round(share * total))
