"""Where a model's layers go: the arithmetic by which llama.cpp fits a model to free memory.

Whole layers (weights and their KV cache) are put on the GPUs from the last one on, and the output matrix
with them only if every layer fits; the token embedding stays in RAM. Ollama reports the sum of all buffers as
``size`` and those on a GPU as ``size_vram``, and both as the GPU's sum where every layer is offloaded
(llm/llama_server.go: MemorySize).
"""

from __future__ import annotations

from msgspec import Struct

from gpumon.app.demo.catalog import Llm

MIB = 1024**2
CUDA_CONTEXT_BYTES = 152 * MIB
"""Held by a runner on each GPU beside its buffers; in no claim."""
FIT_MARGIN_BYTES = 1024 * MIB
"""What llama.cpp leaves free on each GPU when it fits a model (--fit-target)."""
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
