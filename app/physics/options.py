"""How a model is, or would be, loaded."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]

BYTES_PER_ELEMENT: dict[CacheType, float] = {
    "f32": 4,
    "f16": 2,
    "bf16": 2,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
"""Block size over elements in a block (ggml-common.h)."""


class LoadOptions(Struct, frozen=True):
    """What the runtime is asked for. The defaults are those of Ollama 0.30 and later."""

    context_length: int
    """Tokens per slot (``num_ctx``)."""
    parallel: int = 1
    """Slots (``OLLAMA_NUM_PARALLEL``)."""
    cache_type_k: CacheType = "f16"
    cache_type_v: CacheType = "f16"
    micro_batch_size: int = 512
    flash_attention: bool = True
    gpu_layers: int | None = None
    """Blocks asked to be on the GPU, the output counting as one more; ``None`` lets the runtime fit them."""
    unified_cache: bool = False
    """One pool of cells for all slots, as llama-server has unless told otherwise: ``context_length`` is its
    size."""
