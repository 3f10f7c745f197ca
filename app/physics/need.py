"""What a load takes, by part."""

from __future__ import annotations

from msgspec import Struct

from gpumon.app.physics.band import Band


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
