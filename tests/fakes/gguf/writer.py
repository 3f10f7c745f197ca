"""GGUF files as small as they can be: a header, and as many zeros as its tensors announce."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpumon.collectors.gguf.tensors import TYPE_NAMES, Tensor, tensor_bytes

TYPE_NUMBERS = {name: number for number, name in reversed(TYPE_NAMES.items())}

UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, FLOAT64 = 4, 5, 6, 7, 8, 9, 10, 12
FORMS = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?", UINT64: "<Q", FLOAT64: "<d"}

Plain = int | float | bool | str


@dataclass(frozen=True)
class Array:
    """A list with the type that its items have in the file."""

    kind: int
    items: Sequence[Plain]


@dataclass(frozen=True)
class FakeGguf:
    """A model's file: keys in order, tensors one after another."""

    values: Mapping[str, Plain | Array] = field(default_factory=dict)
    tensors: Sequence[Tensor] = ()
    version: int = 3
    alignment: int = 32

    def header(self) -> bytes:
        """Return everything before the data."""
        counts = struct.pack("<4sIQQ", b"GGUF", self.version, len(self.tensors), len(self.values))
        pairs = b"".join(string(key) + typed(value) for key, value in self.values.items())
        return counts + pairs + self._infos()

    def data_bytes(self) -> int:
        """Return how long the data is that the header announces."""
        return sum(self._padded(tensor) for tensor in self.tensors)

    def write(self, path: Path) -> Path:
        """Write the file, the data as a hole."""
        header = self.header()
        padding = -len(header) % self.alignment
        with path.open("wb") as stream:
            stream.write(header)
            stream.truncate(len(header) + padding + self.data_bytes())
        return path

    def _infos(self) -> bytes:
        infos, offset = [], 0
        for tensor in self.tensors:
            shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
            kind = struct.pack("<IQ", TYPE_NUMBERS.get(tensor.type_name, 99), offset)
            infos.append(string(tensor.name) + shape + kind)
            offset += self._padded(tensor)
        return b"".join(infos)

    def _padded(self, tensor: Tensor) -> int:
        return -(-(tensor_bytes(tensor.type_name, tensor.shape) or 0) // self.alignment) * self.alignment


def string(text: str) -> bytes:
    """Return a string as the file has it."""
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def typed(value: Plain | Array) -> bytes:
    """Return a value with its type before it."""
    if isinstance(value, Array):
        items = b"".join(scalar(value.kind, item) for item in value.items)
        return struct.pack("<IIQ", ARRAY, value.kind, len(value.items)) + items
    kind = kind_of(value)
    return struct.pack("<I", kind) + scalar(kind, value)


def kind_of(value: Plain) -> int:
    """Return the type that a value has unless told otherwise."""
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, str):
        return STRING
    return FLOAT32 if isinstance(value, float) else UINT32


def scalar(kind: int, value: Plain) -> bytes:
    """Return a value without its type."""
    return string(str(value)) if kind == STRING else struct.pack(FORMS[kind], value)


def tiny_llama(blocks: int = 2) -> FakeGguf:
    """Return a llama of a few layers with a vocabulary of 100."""
    block = [
        Tensor("attn_q.weight", "Q4_K", (256, 256)),
        Tensor("ffn_down.weight", "Q6_K", (256, 256)),
        Tensor("attn_norm.weight", "F32", (256,)),
    ]
    layers = [
        Tensor(f"blk.{index}.{part.name}", part.type_name, part.shape)
        for index in range(blocks)
        for part in block
    ]
    outside = [
        Tensor("token_embd.weight", "Q4_K", (256, 100)),
        Tensor("output.weight", "Q6_K", (256, 100)),
        Tensor("output_norm.weight", "F32", (256,)),
    ]
    values: dict[str, Plain | Array] = {
        "general.architecture": "llama",
        "general.name": "Tiny",
        "llama.block_count": blocks,
        "llama.context_length": 2048,
        "llama.embedding_length": 256,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "tokenizer.ggml.tokens": Array(STRING, [f"token {number}" for number in range(100)]),
        "tokenizer.chat_template": "{{ x }}",
    }
    return FakeGguf(values, [*layers, *outside])
