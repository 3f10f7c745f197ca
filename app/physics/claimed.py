"""Where a loaded model lies, by what is claimed or measured of it: bytes are known, layers are not."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.app.physics.geometry import Geometry
from gpumon.app.physics.need import Placement
from gpumon.app.physics.options import LoadOptions


def placement_of_claim(
    geometry: Geometry,
    options: LoadOptions,
    vram_bytes_by_gpu: Sequence[int],
    ram_bytes: int,
) -> Placement:
    """Return the placement that these bytes stand for.

    Layers are in RAM in proportion to the bytes; of a model with experts whose layers the runtime chose,
    the experts of the first blocks (llama.cpp: ``common/fit.cpp``).
    """
    held, count = sum(vram_bytes_by_gpu), len(geometry.layers) + 1
    in_ram = 0 if ram_bytes <= 0 else max(1, -(-ram_bytes * count // (held + ram_bytes)))
    overflowing = 0
    if in_ram and held and geometry.is_moe and options.gpu_layers is None:
        in_ram = overflowing = _overflowing(geometry, ram_bytes)
    return Placement(
        layers_on_gpu=count - in_ram,
        layer_count=count,
        vram_bytes=held,
        ram_bytes=ram_bytes,
        vram_bytes_by_gpu=tuple(vram_bytes_by_gpu),
        output_on_gpu=in_ram < count,
        overflowing_layers=overflowing,
    )


def _overflowing(geometry: Geometry, ram_bytes: int) -> int:
    """Return the fewest blocks whose experts, with what is always in RAM, are ``ram_bytes``."""
    left = ram_bytes - geometry.token_embedding_bytes - geometry.host_bytes
    for index, layer in enumerate(geometry.layers):
        if left <= 0:
            return max(1, index)
        left -= layer.expert_bytes
    return len(geometry.layers)
