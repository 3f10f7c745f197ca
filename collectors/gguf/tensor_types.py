"""Bytes of a tensor by its type: block sizes of ggml (ggml-common.h, ``ggml_type``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MAX_DIMENSIONS = 4
MAX_ELEMENTS = 2**50


class BlockSize(NamedTuple):
    """How many weights are stored together, and in how many bytes."""

    elements: int
    bytes: int


BLOCK_SIZES: dict[str, BlockSize] = {
    "F64": BlockSize(1, 8),
    "F32": BlockSize(1, 4),
    "F16": BlockSize(1, 2),
    "BF16": BlockSize(1, 2),
    "I64": BlockSize(1, 8),
    "I32": BlockSize(1, 4),
    "I16": BlockSize(1, 2),
    "I8": BlockSize(1, 1),
    "Q8_0": BlockSize(32, 34),
    "Q8_1": BlockSize(32, 36),
    "Q5_1": BlockSize(32, 24),
    "Q5_0": BlockSize(32, 22),
    "Q4_1": BlockSize(32, 20),
    "Q4_0": BlockSize(32, 18),
    "IQ4_NL": BlockSize(32, 18),
    "MXFP4": BlockSize(32, 17),
    "NVFP4": BlockSize(64, 36),
    "Q1_0": BlockSize(128, 18),
    "Q8_K": BlockSize(256, 292),
    "Q6_K": BlockSize(256, 210),
    "Q5_K": BlockSize(256, 176),
    "Q4_K": BlockSize(256, 144),
    "Q3_K": BlockSize(256, 110),
    "Q2_K": BlockSize(256, 84),
    "IQ4_XS": BlockSize(256, 136),
    "IQ3_S": BlockSize(256, 110),
    "IQ3_XXS": BlockSize(256, 98),
    "IQ2_S": BlockSize(256, 82),
    "IQ2_XS": BlockSize(256, 74),
    "IQ2_XXS": BlockSize(256, 66),
    "IQ1_M": BlockSize(256, 56),
    "IQ1_S": BlockSize(256, 50),
    "TQ2_0": BlockSize(256, 66),
    "TQ1_0": BlockSize(256, 54),
}

TYPE_NAMES: dict[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    30: "BF16",
    31: "Q4_0",  # 31 to 33 and 36 to 38: the same blocks in another order, no longer written
    32: "Q4_0",
    33: "Q4_0",
    34: "TQ1_0",
    35: "TQ2_0",
    36: "IQ4_NL",
    37: "IQ4_NL",
    38: "IQ4_NL",
    39: "MXFP4",
    40: "NVFP4",
    41: "Q1_0",
}
"""Numbers in a file (``enum ggml_type``); ``/api/show`` gives the names."""


def element_count(shape: Sequence[int]) -> int | None:
    """Return how many weights a tensor holds; ``None`` for a shape that no tensor has."""
    if len(shape) > MAX_DIMENSIONS:
        return None
    count = 1
    for length in shape:
        count *= length
        if not 0 <= length <= MAX_ELEMENTS or count > MAX_ELEMENTS:
            return None
    return count


def tensor_bytes(type_name: str, shape: Sequence[int]) -> int | None:
    """Return a tensor's bytes; ``None`` for a type or shape that is not known."""
    block, elements = BLOCK_SIZES.get(type_name), element_count(shape)
    if block is None or elements is None:
        return None
    return -(-elements // block.elements) * block.bytes
