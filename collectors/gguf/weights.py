"""A model's tensors, summed by where they belong (names: gguf-py, ``TENSOR_NAMES``)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gpumon.collectors.gguf.tensor_types import element_count, tensor_bytes
from gpumon.collectors.samples import ModelWeights

MAX_BLOCKS = 2048

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

    def add(self, tensor: Tensor, size: int, elements: int) -> None:
        self.elements += elements
        block = _block_of(tensor.name)
        if block is None:
            self._add_outside(tensor, size)
            return
        self.layers[block] = self.layers.get(block, 0) + size
        if _EXPERT.search(tensor.name):
            self.experts[block] = self.experts.get(block, 0) + size

    def _add_outside(self, tensor: Tensor, size: int) -> None:
        part = _part_of(tensor.name)
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
        )


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
