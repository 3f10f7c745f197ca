"""Tokens of a prompt that a load computes at once, as Ollama chooses them where nobody asks for a number.

ollama: ``server/sched.go``, ``automaticGenerationBatch``; ``llm``, ``PredictServerVRAM``.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.app.physics.geometry import Geometry
from gpumon.app.physics.options import LoadOptions

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
