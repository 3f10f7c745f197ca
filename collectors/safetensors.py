"""The header of a ``.safetensors`` file: which tensors it holds, of which type and shape, in how many bytes.

A file is eight bytes with the length of the header, the header (JSON, one entry for each tensor), and the
data (huggingface/safetensors, README). Only the header is read, and nothing in it is believed: an entry that
makes no sense, or data that is not there, is an error of one line.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

MAX_HEADER_BYTES = 32 * 2**20
"""The largest models have headers of one MiB; the format allows 100 MB."""
MAX_TENSORS = 262_144
MAX_NAME_LENGTH = 512
MAX_DIMENSIONS = 8
MAX_PARTS = 100
_MAX_BYTES = 2**50
_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_PART = re.compile(r"(.*)-[0-9]{5}-of-([0-9]{5})(\.safetensors|\.sft)", re.DOTALL)

TYPE_BITS = {
    "F64": 64,
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "I64": 64,
    "U64": 64,
    "I32": 32,
    "U32": 32,
    "I16": 16,
    "U16": 16,
    "I8": 8,
    "U8": 8,
    "BOOL": 8,
    "C64": 64,
}
"""Bits of a number of each type; the size of one that is not here is not checked."""


class SafetensorsError(Exception):
    """A file that is none, or a damaged one; its text says in one line what is wrong."""


class FileTensor(NamedTuple):
    """One tensor, as the header lists it."""

    type_name: str
    shape: tuple[int, ...]
    bytes: int

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


Tensors = dict[str, FileTensor]


class _Entry(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


_HEADER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRY = msgspec.json.Decoder(_Entry)


def read_safetensors(path: Path) -> Tensors:
    """Return the tensors of a file, of all its parts where it is one of several.

    Raises:
        SafetensorsError: it cannot be read, or is none; the text begins with the file's name.
    """
    found: Tensors = {}
    for part in _parts(path):
        with _named(part):
            found |= _read(part)
    if not found:
        raise SafetensorsError(f"{path.name} holds no tensors")
    return found


def _parts(path: Path) -> list[Path]:
    split = _PART.fullmatch(path.name)
    if split is None:
        return [path]
    count = int(split[2])
    if not 0 < count <= MAX_PARTS:
        raise SafetensorsError(f"{path.name} says that it is one of {count} parts")
    return [path.with_name(f"{split[1]}-{part:05}-of-{count:05}{split[3]}") for part in range(1, count + 1)]


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Begin what went wrong with the name of the file."""
    try:
        yield
    except SafetensorsError as problem:
        raise SafetensorsError(f"{path.name} {problem}") from None
    except FileNotFoundError:
        raise SafetensorsError(f"{path.name} does not exist") from None
    except (OSError, ValueError) as problem:
        words = str(getattr(problem, "strerror", None) or "is that a name?").lower()
        raise SafetensorsError(f"{path.name} cannot be read: {words}") from None


def _read(path: Path) -> Tensors:
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # a pipe would wait for ever
        raise SafetensorsError("is not a file")
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
        if not 2 <= length <= facts.st_size - _LENGTH_BYTES or length > MAX_HEADER_BYTES:
            raise SafetensorsError("is no safetensors file, or is not whole")
        raw = stream.read(length)
    return tensors_of(raw, facts.st_size - _LENGTH_BYTES - length)


def tensors_of(header: bytes, data_bytes: int) -> Tensors:
    """Return the tensors that a header lists, with so many bytes of data behind it.

    Raises:
        SafetensorsError: it is no header, or speaks of data that is not there.
    """
    try:
        listed = _HEADER.decode(header)
        listed.pop(_METADATA, None)
        if len(listed) > MAX_TENSORS:
            raise SafetensorsError(f"announces {len(listed)} tensors, more than any model has")
        return {name: _tensor(name, _ENTRY.decode(entry), data_bytes) for name, entry in listed.items()}
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise SafetensorsError("is no safetensors file: its header makes no sense") from None


def _tensor(name: str, entry: _Entry, data_bytes: int) -> FileTensor:
    start, end = entry.data_offsets
    shape = tuple(entry.shape)
    is_odd = len(shape) > MAX_DIMENSIONS or len(name) > MAX_NAME_LENGTH or any(size < 0 for size in shape)
    if is_odd or not 0 <= start <= end <= _MAX_BYTES:
        raise SafetensorsError("lists a tensor that no model has")
    bits = TYPE_BITS.get(entry.dtype)
    if bits is not None and -(-math.prod(shape) * bits // 8) != end - start:
        raise SafetensorsError("lists a tensor whose shape and size differ")
    if end > data_bytes:
        raise SafetensorsError(f"is not whole: {data_bytes} of {end} bytes of data are there")
    return FileTensor(entry.dtype, shape, end - start)
