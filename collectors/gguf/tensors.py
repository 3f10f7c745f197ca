"""Bytes of tensors by their type, summed by where they belong in a model.

Block sizes are those of ggml (ggml-common.h, ``ggml_type``), names those of gguf-py (``TENSOR_NAMES``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gpumon.collectors.samples import ModelWeights, TensorBytes

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


MAX_BLOCKS = 2048
MAX_NAMES = 512
"""Of different tensors; a model has some dozens in each block, the same in all."""

_BLOCK = re.compile(r"blk\.([0-9]{1,4})\.")
_EXPERT = re.compile(r"\.ffn_(?:\w*exps\b|(?:gate|up|down)\.[0-9])")
"""Also the files of early 2024, which have a tensor for each expert: ``blk.0.ffn_up.7.weight``."""
_PROJECTOR = re.compile(r"(?:v|mm|a|vision|audio|model\.vision_tower|resampler|clip)\.")
_HOST = re.compile(r"(?:per_layer_token_embd|position_embd|token_types)\.")
"""Input tensors, which llama.cpp keeps beside the embedding (llama-arch.cpp, ``LLM_TENSOR_LAYER_INPUT``)."""


class Tensor(NamedTuple):
    """One tensor as a file or ``/api/show`` lists it."""

    name: str
    type_name: str
    shape: Sequence[int]
    """Fastest dimension first."""


class _Sums:
    """Bytes so far."""

    def __init__(self) -> None:
        self.layers: dict[int, int] = {}
        self.experts: dict[int, int] = {}
        self.parts = dict.fromkeys(("embedding", "output", "projector", "host", "draft", "other"), 0)
        self.has_output = False
        self.vocabulary_size: int | None = None
        self.elements = 0
        self.by_name: dict[str, dict[int, int]] = {}
        self.outside: dict[str, int] = {}

    def add(self, tensor: Tensor, size: int, elements: int) -> None:
        self.elements += elements
        block = _block_of(tensor.name)
        if block is None:
            self._add_outside(tensor, size)
            return
        self.layers[block] = self.layers.get(block, 0) + size
        named = self.by_name.setdefault(tensor.name.split(".", 2)[2], {})
        named[block] = named.get(block, 0) + size
        if _EXPERT.search(tensor.name):
            self.experts[block] = self.experts.get(block, 0) + size

    def _add_outside(self, tensor: Tensor, size: int) -> None:
        part = _part_of(tensor.name)
        self.outside[tensor.name] = self.outside.get(tensor.name, 0) + size
        self.parts[part] += size
        self.has_output |= part == "output"
        if part == "embedding" and len(tensor.shape) == 2:
            self.vocabulary_size = tensor.shape[1]

    def result(self) -> ModelWeights:
        blocks = range(1 + max(self.layers, default=-1))
        return ModelWeights(
            layer_bytes=tuple(self.layers.get(block, 0) for block in blocks),
            expert_bytes=tuple(self.experts.get(block, 0) for block in blocks),
            token_embedding_bytes=self.parts["embedding"],
            output_bytes=self.parts["output"] if self.has_output else None,
            other_bytes=self.parts["other"],
            projector_bytes=self.parts["projector"],
            element_count=self.elements,
            host_bytes=self.parts["host"],
            draft_bytes=self.parts["draft"],
            vocabulary_size=self.vocabulary_size,
            tensors=self._tensors(len(blocks)),
        )

    def _tensors(self, block_count: int) -> tuple[TensorBytes, ...]:
        if len(self.by_name) + len(self.outside) > MAX_NAMES:
            return ()
        blocks, shared = range(block_count), dict[int, int]()  # equal sizes are one object: most of them are
        named = (
            TensorBytes(
                name=name,
                block_bytes=tuple(shared.setdefault(n, n) for n in (sizes.get(b, 0) for b in blocks)),
            )
            for name, sizes in self.by_name.items()
        )
        return (*named, *(TensorBytes(name=name, bytes=size) for name, size in self.outside.items()))


def summarize(tensors: Iterable[Tensor]) -> ModelWeights | None:
    """Return the sums; ``None`` without tensors, or if the size of one is not known."""
    sums = _Sums()
    for tensor in tensors:
        size, elements = tensor_bytes(tensor.type_name, tensor.shape), element_count(tensor.shape)
        if size is None or elements is None:
            return None
        sums.add(tensor, size, elements)
    return sums.result() if sums.elements else None


def _block_of(name: str) -> int | None:
    found = _BLOCK.match(name)
    block = int(found[1]) if found else None
    return block if block is not None and block < MAX_BLOCKS else None


def _part_of(name: str) -> str:
    if name == "token_embd.weight":
        return "embedding"
    if name == "output.weight":
        return "output"
    if _PROJECTOR.match(name):
        return "projector"
    if _HOST.match(name):
        return "host"
    return "draft" if name.startswith("mtp.") else "other"
