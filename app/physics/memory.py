"""What a model needs of the GPUs: weights, cache, state, compute buffers and CUDA's own share.

    need = weights + K and V + states + (mask + scratch + CUDA context and graph) x GPUs + projector

Weights and caches are exact: the runtime allocates them by the same formulas (llama.cpp). The rest is
fitted to what the driver measured; docs/memory.md has the sources and the errors. The micro-batch is the
one that Ollama chooses where nobody asks for a number (ollama: server/sched.go,
``automaticGenerationBatch``).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gpumon.app.cuda import CUDA_CONTEXT_BYTES
from gpumon.app.physics.geometry import BYTES_PER_ELEMENT, Geometry, Layer, LoadOptions
from gpumon.app.physics.hardware import Band
from gpumon.text.units import MIB


class MemoryNeed(Struct, frozen=True):
    """Bytes on the GPU when everything is there."""

    weights_bytes: int
    kv_cache_bytes: int
    """Full, latent and sliding-window layers, all slots."""
    recurrent_state_bytes: int
    compute_bytes: int
    """Attention mask, scratch for a quantised cache, graph."""
    overhead_bytes: int
    """CUDA context and fixed buffers, of every GPU."""
    projector_bytes: int
    total: Band
    """In bytes; ``expected`` is the sum of the parts."""

    @property
    def total_bytes(self) -> int:
        """The sum of the parts."""
        return round(self.total.expected)


class Placement(Struct, frozen=True):
    """Where the bytes go on given free memory, as llama.cpp places them: the last layers on the GPU."""

    layers_on_gpu: int
    """Blocks; one more when the output matrix is there too."""
    layer_count: int
    """Blocks and the output: what ``layers_on_gpu`` counts up to."""
    vram_bytes: int
    ram_bytes: int
    vram_bytes_by_gpu: tuple[int, ...]
    """In the order of the GPUs that were given."""
    output_on_gpu: bool = False
    """Whether the output is among ``layers_on_gpu``: it comes first (llama.cpp b10434 and later)."""
    overflowing_layers: int = 0
    """Blocks before those on the GPU of which only the routed experts are in RAM (log: ``overflowing``)."""

    @property
    def offloaded_layers(self) -> int:
        """What llama.cpp's log counts: layers of which only the experts are in RAM are among them."""
        return self.layers_on_gpu + self.overflowing_layers

    @property
    def blocks_on_gpu(self) -> int:
        """Blocks alone, the last ones."""
        return min(self.layers_on_gpu - self.output_on_gpu, self.layer_count - 1)

    @property
    def fits(self) -> bool:
        """Whether everything that can be on a GPU is there."""
        return self.layers_on_gpu == self.layer_count

    @property
    def spill_fraction(self) -> float:
        """RAM part of all bytes; 0 when it fits."""
        whole = self.vram_bytes + self.ram_bytes
        return 0.0 if self.fits or whole == 0 else self.ram_bytes / whole


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


UNKNOWN_GRAPH_BYTES = 120 * MIB
"""Activations of a micro-batch of 512 tokens where the file does not say how wide its layers are."""
UNKNOWN_GRAPH_MICRO_BATCH = 512
_ACTIVATION_BYTES = 4
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
        "kv_cache_bytes": kv_cache_bytes(geometry, options) if options.cache_on_gpu else 0,
        "recurrent_state_bytes": recurrent_state_bytes(geometry, options) if options.cache_on_gpu else 0,
        "compute_bytes": gpu_count * compute_bytes(geometry, options) + projector_compute_bytes(geometry),
        "overhead_bytes": gpu_count * overhead_bytes(),
        "projector_bytes": geometry.projector_bytes,
    }
    total = sum(parts.values())
    spread = _spread_bytes(geometry, gpu_count, total)
    return MemoryNeed(**parts, total=Band(max(0, total - spread), total, total + spread))


def gpu_weights_bytes(geometry: Geometry) -> int:
    """Return the weights on the GPU: all but the embedding, of which a tied output is a second copy."""
    movable = sum(layer.movable_bytes for layer in geometry.layers) + output_weights_bytes(geometry)
    return movable + geometry.pinned_bytes


def output_weights_bytes(geometry: Geometry) -> int:
    """Return what goes behind the last layer: the output matrix, where it may, and its norm."""
    output = geometry.token_embedding_bytes if geometry.output_bytes is None else geometry.output_bytes
    away = geometry.kept_output_bytes + sum(one.output_bytes for one in geometry.pinned)
    return output - away + geometry.other_bytes


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
    """Return a GPU's compute buffer: masks, and the larger of what attention and feed-forward work in."""
    attention = (
        _scratch_bytes(geometry, options) if options.flash_attention else _scores_bytes(geometry, options)
    )
    if attention:
        attention += _ACTIVATION_BYTES * _attention_columns(geometry) * options.micro_batch_size
    return _mask_bytes(geometry, options) + max(graph_bytes(geometry, options), attention)


def graph_bytes(geometry: Geometry, options: LoadOptions) -> int:
    """Return the activations of one micro-batch in the widest moment of a layer, f32."""
    if geometry.graph_columns is None:
        return UNKNOWN_GRAPH_BYTES * options.micro_batch_size // UNKNOWN_GRAPH_MICRO_BATCH
    return _ACTIVATION_BYTES * geometry.graph_columns * options.micro_batch_size


def _attention_columns(geometry: Geometry) -> int:
    """Return the numbers of a token that exist beside scores or an unpacked cache."""
    kept = max((one.k_elements_per_token + one.v_elements_per_token for one in geometry.layers), default=0)
    return 6 * geometry.embedding_length + kept


def overhead_bytes() -> int:
    """Return what one GPU holds of any model: the CUDA context."""
    return CUDA_CONTEXT_BYTES


def projector_compute_bytes(geometry: Geometry) -> int:
    """Return the buffer in which pictures are encoded."""
    return PROJECTOR_COMPUTE_BYTES if geometry.projector_bytes else 0


def _mask_bytes(geometry: Geometry, options: LoadOptions) -> int:
    """Return a mask for each kind of attention: tokens x cells, f32 without flash attention."""
    cells = {layer.window_tokens: stream_cells(layer, options) for layer in geometry.layers}
    size = _MASK_BYTES if options.flash_attention else 2 * _MASK_BYTES
    return size * options.micro_batch_size * sum(cells.values())


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


def _spread_bytes(geometry: Geometry, gpu_count: int, total: int) -> int:
    """Return how far nine of ten measurements lie from the sum."""
    fixed = gpu_count * SPREAD_BYTES + projector_compute_bytes(geometry)
    share = SPREAD if geometry.weights_measured else SPREAD_UNMEASURED
    return max(fixed, round(share * total))


LEAST_MICRO_BATCH = 512
"""That of llama-server, and of Ollama before 0.32."""
BY_CONTEXT = ((32768, 2048), (4096, 1024))
"""Tokens of context beyond which it is larger."""
MOST_OF_FREE = {2048: 0.60, 1024: 0.75}
"""Share of the free memory that Ollama's own prediction may take for it."""
ONE_GPU_SHARE = 0.80
"""The same for a model that is put on one GPU."""


def automatic_micro_batch(geometry: Geometry, options: LoadOptions, free_bytes_by_gpu: Sequence[int]) -> int:
    """Return the micro-batch of a load whose user has asked for none.

    It is larger only where there is memory to spare, so that it never decides whether a model fits.
    """
    tokens = options.context_length * options.parallel
    if all(layer.kind == "stateless" for layer in geometry.layers):
        return min(BY_CONTEXT[0][1], options.context_length)
    if not options.flash_attention or not free_bytes_by_gpu:
        return LEAST_MICRO_BATCH
    need, largest = predicted_bytes(geometry, tokens), max(free_bytes_by_gpu)
    free = largest if need <= ONE_GPU_SHARE * largest else sum(free_bytes_by_gpu)
    fitting = (size for beyond, size in BY_CONTEXT if tokens > beyond and need <= MOST_OF_FREE[size] * free)
    return next(fitting, LEAST_MICRO_BATCH)


def predicted_bytes(geometry: Geometry, context_tokens: int) -> int:
    """Return Ollama's own rough prediction: the files, K and V in f16 for the fewest heads of any layer."""
    heads = min((layer.kv_head_count for layer in geometry.layers if layer.kv_head_count), default=0)
    width = geometry.embedding_length // geometry.head_count if geometry.head_count else 0
    cache = 2 * len(geometry.layers) * heads * width * context_tokens * 2
    return geometry.file_bytes + geometry.projector_bytes + cache
