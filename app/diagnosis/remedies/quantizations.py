"""Smaller files of the same model: sizes by the bits per weight of whole files.

Measured over Llama-3.1-8B; other models differ by some percent, so sizes are "about".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.physics.geometry import Geometry, Layer

FILE_BITS: dict[str, float] = {
    "F16": 16.0,
    "Q8_0": 8.50,
    "Q6_K": 6.56,
    "Q5_K_M": 5.70,
    "Q4_K_M": 4.89,
    "IQ4_XS": 4.46,
    "Q3_K_M": 4.02,
    "Q3_K_S": 3.64,
    "IQ3_XXS": 3.25,
    "Q2_K": 3.16,
    "IQ2_XXS": 2.38,
}
"""Bits per weight of whole files, the largest first; below these a model loses too much to be advised."""
LEAST_STEP = 0.97
"""A file that is not smaller by this factor is the same size."""


class Smaller(NamedTuple):
    """A smaller file of a model."""

    name: str
    geometry: Geometry


def smaller_files(geometry: Geometry, present: str | None) -> Iterator[Smaller]:
    """Give the smaller files of a model, the largest first; none where its bits per weight are not known."""
    bits = geometry.weight_bits or FILE_BITS.get((present or "").upper())
    if bits is None:
        return
    for name, wanted in FILE_BITS.items():
        if wanted < bits * LEAST_STEP:
            yield Smaller(name, _scaled(geometry, wanted / bits, wanted))


def _scaled(geometry: Geometry, factor: float, bits: float) -> Geometry:
    return replace(
        geometry,
        layers=tuple(_scaled_layer(layer, factor) for layer in geometry.layers),
        token_embedding_bytes=round(geometry.token_embedding_bytes * factor),
        output_bytes=None if geometry.output_bytes is None else round(geometry.output_bytes * factor),
        other_bytes=round(geometry.other_bytes * factor),
        host_bytes=round(geometry.host_bytes * factor),
        draft_bytes=round(geometry.draft_bytes * factor),
        weight_bits=bits,
    )


def _scaled_layer(layer: Layer, factor: float) -> Layer:
    return replace(
        layer,
        weights_bytes=round(layer.weights_bytes * factor),
        expert_bytes=round(layer.expert_bytes * factor),
    )
