"""The models of a simulated machine: sizes, and where their layers go by llama.cpp's own arithmetic.

Whole layers (weights and their KV cache) are put on the GPUs from the last one on, and the output matrix
with them only if every layer fits; the token embedding stays in RAM. Ollama reports the sum of all buffers
as ``size`` and those on a GPU as ``size_vram``, and both as the GPU's sum where every layer is offloaded
(ollama: llm/llama_server.go, ``MemorySize``).
"""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

from msgspec import Struct

from gpumon.app.cuda import CUDA_CONTEXT_BYTES
from gpumon.app.diagnosis.arithmetic import FIT_MARGIN_BYTES
from gpumon.text.units import MIB


def wobble(seed: int, seconds: float) -> float:
    """Return a value from -1 to 1 that changes from second to second without a visible period."""
    return (
        math.sin(seconds * 1.31 + seed)
        + math.sin(seconds * 0.43 + seed * 2.7)
        + math.sin(seconds * 2.9 + seed)
    ) / 3


def hexadecimal(name: str, length: int) -> str:
    """Return ``length`` hex digits (at most 64) that belong to ``name``: digests, identifiers."""
    return hashlib.sha256(name.encode()).hexdigest()[:length]


class Llm(NamedTuple):
    """A model as a runtime's library has it."""

    name: str
    family: str
    parameter_size: str
    file_bytes: int
    layers: int
    kv_heads: int
    head_dim: int
    embedding: int
    vocabulary: int
    trained_context: int
    quantization: str = "Q4_K_M"
    head_count: int = 0
    """Of attention; 0 where the embedding is dealt out among them."""

    @property
    def digest(self) -> str:
        """Sha256 of the manifest, the model's identity."""
        return hexadecimal(f"manifest {self.name}", 64)

    @property
    def blob(self) -> str:
        """Name of the weights' blob."""
        return f"sha256-{hexadecimal(f'weights {self.name}', 64)}"

    @property
    def parameter_count(self) -> int:
        """Weights, as far as its name tells."""
        return round(float(self.parameter_size.removesuffix("B")) * 1e9)

    @property
    def embedding_bytes(self) -> int:
        """Token embedding, which stays in RAM: about 4.5 bits a weight."""
        return int(self.vocabulary * self.embedding * 4.5 / 8)

    @property
    def output_bytes(self) -> int:
        """Output matrix, mostly Q6_K: 6.56 bits a weight."""
        return int(self.vocabulary * self.embedding * 6.5625 / 8)

    @property
    def heads(self) -> int:
        """Return how many heads attend in each layer."""
        return self.head_count or self.embedding // self.head_dim

    @property
    def layer_bytes(self) -> int:
        """What each layer weighs."""
        return (self.file_bytes - self.embedding_bytes - self.output_bytes) // self.layers

    def kv_bytes(self, context: int) -> int:
        """Return the f16 KV cache of ``context`` tokens: K and V, 2 bytes an element."""
        return context * self.layers * self.kv_heads * self.head_dim * 2 * 2


_LIBRARY = (
    Llm("llama3.2:3b", "llama", "3.2B", 2_019_377_376, 28, 8, 128, 3072, 128256, 131072),
    Llm("llama3.1:8b", "llama", "8.0B", 4_920_738_944, 32, 8, 128, 4096, 128256, 131072),
    Llm("llama3.3:70b", "llama", "70.6B", 42_520_398_816, 80, 8, 128, 8192, 128256, 131072),
    Llm("qwen3:1.7b", "qwen3", "2.0B", 1_359_280_896, 28, 8, 128, 2048, 151936, 40960),
    Llm("qwen3:4b", "qwen3", "4.0B", 2_497_280_960, 36, 8, 128, 2560, 151936, 262144, head_count=32),
    Llm("qwen3:8b", "qwen3", "8.2B", 5_225_374_784, 36, 8, 128, 4096, 151936, 40960),
    Llm("qwen3:14b", "qwen3", "14.8B", 9_276_184_832, 40, 8, 128, 5120, 151936, 40960),
    Llm("qwen3:32b", "qwen3", "32.8B", 20_201_240_832, 64, 8, 128, 5120, 151936, 40960, head_count=64),
    Llm("qwen2.5-coder:7b", "qwen2", "7.6B", 4_683_074_048, 28, 4, 128, 3584, 152064, 32768),
    Llm("qwen2.5-coder:14b", "qwen2", "14.8B", 8_988_110_976, 48, 8, 128, 5120, 152064, 32768),
    Llm("qwen2.5-coder:32b", "qwen2", "32.8B", 19_851_336_256, 64, 8, 128, 5120, 152064, 32768),
    Llm("qwen2.5:72b", "qwen2", "72.7B", 47_415_715_104, 80, 8, 128, 8192, 152064, 32768),
    Llm("mistral:7b", "llama", "7.2B", 4_372_812_000, 32, 8, 128, 4096, 32768, 32768),
    Llm(
        "mistral-small:24b", "llama", "23.6B", 14_333_908_832, 40, 8, 128, 5120, 131072, 32768, head_count=32
    ),
    Llm("phi4:14b", "phi3", "14.7B", 9_053_114_016, 40, 10, 128, 5120, 100352, 16384),
    Llm("deepseek-r1:8b", "qwen3", "8.2B", 5_225_373_760, 36, 8, 128, 4096, 151936, 131072),
    Llm("deepseek-r1:14b", "qwen2", "14.8B", 8_988_110_688, 48, 8, 128, 5120, 152064, 131072),
    Llm("deepseek-r1:70b", "llama", "70.6B", 42_520_395_584, 80, 8, 128, 8192, 128256, 131072),
    Llm("granite3.3:8b", "granite", "8.2B", 4_942_856_128, 40, 8, 128, 4096, 49159, 131072),
    Llm("codestral:22b", "llama", "22.2B", 12_569_170_240, 56, 8, 128, 6144, 32768, 32768, "Q4_0"),
)

LIBRARY: dict[str, Llm] = {llm.name: llm for llm in _LIBRARY}
"""The models by name."""


HOST_BUFFER_BYTES = 24 * MIB


class Placement(Struct, frozen=True):
    """How a model lies in memory: buffer bytes by GPU, and the part in RAM."""

    gpu_bytes: dict[int, int]
    ram_bytes: int
    whole: bool
    """Every layer is on a GPU."""

    @property
    def size_vram_bytes(self) -> int:
        """``size_vram`` of ``/api/ps``."""
        return sum(self.gpu_bytes.values())

    @property
    def size_bytes(self) -> int:
        """``size`` of ``/api/ps``."""
        return self.size_vram_bytes if self.whole else self.size_vram_bytes + self.ram_bytes

    @property
    def spill_fraction(self) -> float:
        """RAM part / all."""
        return 1 - self.size_vram_bytes / self.size_bytes


def compute_bytes(llm: Llm, context: int) -> int:
    """Return the scratch buffers on each GPU: activations, and the attention mask of one batch of 512."""
    return 120 * MIB + llm.embedding * 512 * 4 * 4 + context * 512 * 2


def place(llm: Llm, context: int, free_bytes: dict[int, int]) -> Placement:
    """Fit ``llm`` into one GPU if it goes, else spread its layers over all of them, most free first."""
    room = {
        gpu: free - FIT_MARGIN_BYTES - CUDA_CONTEXT_BYTES - compute_bytes(llm, context)
        for gpu, free in sorted(free_bytes.items(), key=lambda item: -item[1])
    }
    layer = (llm.file_bytes - llm.embedding_bytes - llm.output_bytes + llm.kv_bytes(context)) // llm.layers
    whole_bytes = layer * llm.layers + llm.output_bytes
    fitting = [gpu for gpu in room if room[gpu] >= whole_bytes]
    counts = {fitting[-1]: llm.layers} if fitting else _spread(llm.layers, layer, room)
    whole = bool(fitting) or _output_fits(llm, counts, layer, room)
    return _placement(llm, context, counts, layer, whole)


def _spread(layers: int, layer: int, room: dict[int, int]) -> dict[int, int]:
    """Deal the layers out by the room that each GPU has, as ``--split-mode layer`` does."""
    counts: dict[int, int] = {}
    everywhere = sum(max(0, size) for size in room.values())
    for gpu, size in room.items():
        fair = -(-layers * size // everywhere) if everywhere else 0
        count = min(layers - sum(counts.values()), fair, max(0, size // layer))
        if count > 0:
            counts[gpu] = count
    return counts


def _output_fits(llm: Llm, counts: dict[int, int], layer: int, room: dict[int, int]) -> bool:
    if sum(counts.values()) < llm.layers:
        return False
    last = list(counts)[-1]
    return room[last] >= counts[last] * layer + llm.output_bytes


def _placement(llm: Llm, context: int, counts: dict[int, int], layer: int, whole: bool) -> Placement:
    scratch = compute_bytes(llm, context)
    gpu_bytes = {gpu: count * layer + scratch for gpu, count in counts.items()}
    if whole:
        gpu_bytes[list(counts)[-1]] += llm.output_bytes
    left = llm.file_bytes + llm.kv_bytes(context) - sum(counts.values()) * layer
    ram_bytes = left - (llm.output_bytes if whole else 0) + HOST_BUFFER_BYTES
    return Placement(gpu_bytes, ram_bytes, whole)
