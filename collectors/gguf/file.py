"""A ``.gguf`` file on disk as the facts that ``/api/show`` would give of it (ggml/docs/gguf.md).

Only the header is read, and of the vocabulary only its length: the package ``gguf`` decodes every token
(docs/memory.md has the figures). What follows a vocabulary is looked for by the name of the next key, which
takes a tenth of the time of going through it; a header that makes no sense so is read again token by token.
"""

from __future__ import annotations

import math
import os
import re
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from gpumon.collectors.gguf.tensors import MAX_DIMENSIONS, TYPE_NAMES, Tensor, summarize, tensor_bytes
from gpumon.collectors.samples import ModelFacts


class GgufError(Exception):
    """A file that is no GGUF file, or a damaged one; its text says in one line what is wrong."""


MAX_HEADER_BYTES = 256 * 2**20
"""The largest vocabularies take 20 MiB; everything before the tensors' data has to end within this."""

MANY_TEXTS = 1000
"""From here on a list is a vocabulary."""
BUFFER_BYTES = 2**20
LEAP_BYTES = 32 * BUFFER_BYTES
MAX_LEAP_KEY_BYTES = 64
_NEXT_KEY = b"\0" * 7 + b"tokenizer.ggml."
"""A short length, of which this is all but the first byte, and how a key begins; no token does so."""

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class HeaderReader:
    """A position in a file; every read raises ``GgufError`` where the file or patience ends."""

    def __init__(self, stream: BinaryIO, file_bytes: int, *, leaps: bool = False) -> None:
        self._stream = stream
        self._end = min(file_bytes, MAX_HEADER_BYTES)
        self.leaps = leaps
        """Whether what follows a vocabulary is looked for; where that makes no sense, it is read again."""
        self.position = 0

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        self._advance(count)
        piece = self._stream.read(count)
        if len(piece) < count:
            raise GgufError("ends in the middle of its header")
        return piece

    def skip(self, count: int) -> None:
        """Leave out ``count`` bytes without reading them."""
        self._advance(count)
        self._stream.seek(count, 1)

    def u32(self) -> int:
        """Return the next four bytes as a count."""
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """Return the next eight bytes as a count."""
        return int(_U64.unpack(self.take(8))[0])

    def text(self, limit: int) -> str | None:
        """Return the next string; a longer one than ``limit`` bytes is left out and ``None``."""
        length = self.u64()
        if length > limit:
            self.skip(length)
            return None
        return self.take(length).decode("utf-8", "replace")

    def skip_texts(self, count: int) -> None:
        """Leave out a list of strings: at most their lengths are read of them."""
        self.expect(count, 8)
        if self.leaps and count >= MANY_TEXTS and self._leap(8 * count):
            return
        for _ in range(count):
            self.skip(self.u64())

    def _leap(self, least_bytes: int) -> bool:
        """Go to the next key of the vocabulary if it is near, and at least so many bytes from here."""
        start, piece, found = self.position, b"", -1
        while found < 0 and len(piece) < LEAP_BYTES:
            more = self._stream.read(min(BUFFER_BYTES, self._end - start - len(piece)))
            looked, piece = len(piece), piece + more
            found = piece.find(_NEXT_KEY, max(least_bytes - 1, looked - len(_NEXT_KEY)))
            if not more:
                break
        self._stream.seek(start)
        if found < 1 or piece[found - 1] >= MAX_LEAP_KEY_BYTES:
            return False
        self.skip(found - 1)
        return True

    def expect(self, count: int, bytes_each: int) -> None:
        """Raise ``GgufError`` if so many items cannot be in what is left of the header."""
        if count * bytes_each > self._end - self.position:
            raise GgufError(f"announces {count} items, more than it can hold")

    def _advance(self, count: int) -> None:
        if count > self._end - self.position:
            raise GgufError("ends in the middle of its header")
        self.position += count


GgufValue = int | float | str | bool | tuple[int | bool, ...]

MAX_KEYS = 65_536
MAX_KEY_BYTES = 65_535
MAX_TEXT_BYTES = 800
MAX_TEXT_LENGTH = 200
MAX_LIST_LENGTH = 1024
"""Ollama's own limit: longer lists are vocabularies (ollama: server/routes.go, GetModelInfo)."""
TOKENS_KEY = "tokenizer.ggml.tokens"

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    _BOOL: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
"""By ``enum gguf_type``; 8 is a string, 9 an array."""
_FLOATS = {6, 12}
_LARGEST = 2**63


def read_metadata(reader: HeaderReader, key_count: int) -> tuple[dict[str, GgufValue], int | None]:
    """Return the keys with scalars and short lists, and how many tokens the vocabulary has."""
    if key_count > MAX_KEYS:
        raise GgufError(f"announces {key_count} keys, more than any model has")
    values: dict[str, GgufValue] = {}
    vocabulary_size = None
    for _ in range(key_count):
        key = reader.text(MAX_KEY_BYTES)
        if reader.leaps and not key:
            raise GgufError("holds a key without a name")
        kind = reader.u32()
        if kind == _ARRAY:
            length, value = _read_array(reader)
            vocabulary_size = length if key == TOKENS_KEY else vocabulary_size
        else:
            value = _read_value(reader, kind)
        if key is not None and value is not None:
            values[key] = value
    return values, vocabulary_size


def _read_array(reader: HeaderReader) -> tuple[int, GgufValue | None]:
    kind, length = reader.u32(), reader.u64()
    if kind == _ARRAY:
        raise GgufError("holds a list of lists, which no runtime reads either")
    if kind == _STRING:
        reader.skip_texts(length)
        return length, None
    form = _form(kind)
    reader.expect(length, form.size)
    if kind in _FLOATS or not 0 < length <= MAX_LIST_LENGTH:
        reader.skip(length * form.size)
        return length, None
    raw = reader.take(length * form.size)
    items = tuple(item for (item,) in form.iter_unpack(raw))
    return length, items if all(-_LARGEST <= item < _LARGEST for item in items) else None


def _read_value(reader: HeaderReader, kind: int) -> GgufValue | None:
    if kind == _STRING:
        text = reader.text(MAX_TEXT_BYTES)
        return text if text is not None and len(text) <= MAX_TEXT_LENGTH else None
    form = _form(kind)
    (value,) = form.unpack(reader.take(form.size))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if -_LARGEST <= value < _LARGEST else None


def _form(kind: int) -> struct.Struct:
    if kind not in _SCALARS:
        raise GgufError(f"holds a value of type {kind}, which GGUF does not have")
    return _SCALARS[kind]


MAX_PARTS = 1000

_PART = re.compile(r"(.*)-[0-9]{5}-of-([0-9]{5})\.gguf", re.DOTALL)


def parts_of(path: Path) -> list[Path]:
    """Return every file of the model that ``path`` is, or is a part of; raise ``GgufError``."""
    found = _PART.fullmatch(path.name)
    if found is None:
        return [path]
    count = int(found[2])
    if not 0 < count <= MAX_PARTS:
        raise GgufError(f"says that it is one of {count} parts")
    return [path.with_name(f"{found[1]}-{part:05}-of-{count:05}.gguf") for part in range(1, count + 1)]


MAGIC = b"GGUF"
VERSIONS = range(2, 4)
MAX_TENSORS = 262_144
MAX_NAME_BYTES = 512
DEFAULT_ALIGNMENT = 32
_LEFT_OUT = {"general.name", "tokenizer.chat_template"}
"""As ``/api/show`` does."""


class _Part(Struct, frozen=True):
    values: dict[str, GgufValue]
    vocabulary_size: int | None
    tensors: list[Tensor]
    written_at: float = 0.0


def read_gguf(path: Path) -> ModelFacts:
    """Return the facts of a model's file, of all its parts if it is split.

    Raise ``GgufError`` with one line that begins with the file's name. ``time`` is when the file was last
    written, ``name`` the model's own.
    """
    parts = [_read_part(part) for part in _existing(path)]
    values = parts[0].values
    architecture = _text(values, "general.architecture")
    weights = summarize(chain.from_iterable(part.tensors for part in parts))
    vocabulary = parts[0].vocabulary_size
    if vocabulary is not None:
        values.setdefault(f"{architecture}.vocab_size", vocabulary)
    return ModelFacts(
        time=parts[0].written_at,
        source=str(path),
        name=_text(values, "general.name") or path.stem,
        digest="",
        architecture=architecture,
        trained_context_length=_count(values, f"{architecture}.context_length"),
        layer_count=_count(values, f"{architecture}.block_count"),
        embedding_length=_count(values, f"{architecture}.embedding_length"),
        parameter_count=weights.element_count if weights else None,
        geometry={key: value for key, value in values.items() if key not in _LEFT_OUT},
        weights=weights,
    )


def gguf_file_bytes(path: Path) -> int:
    """Return the size of a model's file, of all its parts if it is split; raise ``GgufError``."""
    size = 0
    for part in _existing(path):
        with _named(part):
            size += part.stat().st_size
    return size


def _existing(path: Path) -> list[Path]:
    with _named(path):
        parts = parts_of(path)
    for part in parts:
        with _named(part):
            if not stat.S_ISREG(part.stat().st_mode):
                raise GgufError("is not a file")
    return parts


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Begin what went wrong with the name of the file."""
    try:
        yield
    except GgufError as problem:
        raise GgufError(f"{path.name} {problem}") from None
    except FileNotFoundError:
        raise GgufError(f"{path.name} does not exist") from None
    except (OSError, ValueError) as problem:
        words = str(getattr(problem, "strerror", problem)).lower()
        raise GgufError(f"{path.name} cannot be read: {words}") from None


def _read_part(path: Path) -> _Part:
    with _named(path), path.open("rb", buffering=BUFFER_BYTES) as stream:
        facts = os.fstat(stream.fileno())
        try:
            part = _read(HeaderReader(stream, facts.st_size, leaps=True), facts.st_size)
        except GgufError:
            stream.seek(0)
            part = _read(HeaderReader(stream, facts.st_size), facts.st_size)
        return replace(part, written_at=facts.st_mtime)


def _read(reader: HeaderReader, file_bytes: int) -> _Part:
    tensor_count, key_count = _counts(reader)
    values, vocabulary_size = read_metadata(reader, key_count)
    tensors, data_bytes = [], 0
    for tensor, end in _tensors(reader, tensor_count):
        tensors.append(tensor)
        data_bytes = max(data_bytes, end)
    alignment = _count(values, "general.alignment") or DEFAULT_ALIGNMENT
    data_start = -(-reader.position // alignment) * alignment
    if tensors and data_start + data_bytes > file_bytes:
        raise GgufError(f"is not whole: {file_bytes} of {data_start + data_bytes} bytes are there")
    return _Part(values, vocabulary_size, tensors)


def _counts(reader: HeaderReader) -> tuple[int, int]:
    """Return how many tensors and keys follow."""
    if reader.take(len(MAGIC)) != MAGIC:
        raise GgufError("is no GGUF file")
    version = reader.u32()
    if version not in VERSIONS:
        raise GgufError("is of a byte order or a version of GGUF that gpumon does not read")
    tensor_count, key_count = reader.u64(), reader.u64()
    if tensor_count > MAX_TENSORS:
        raise GgufError(f"announces {tensor_count} tensors, more than any model has")
    return tensor_count, key_count


def _tensors(reader: HeaderReader, count: int) -> Iterator[tuple[Tensor, int]]:
    """Yield each tensor, and where it ends in the data; 0 where its size is not known."""
    for _ in range(count):
        name = reader.text(MAX_NAME_BYTES)
        dimensions = reader.u32()
        if name is None or dimensions > MAX_DIMENSIONS:
            raise GgufError("lists a tensor that no model has")
        shape = tuple(reader.u64() for _ in range(dimensions))
        type_name = TYPE_NAMES.get(reader.u32(), "unknown")
        offset, size = reader.u64(), tensor_bytes(type_name, shape)
        yield Tensor(name, type_name, shape), 0 if size is None else offset + size


def _text(values: dict[str, GgufValue], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) and value else None


def _count(values: dict[str, GgufValue], key: str) -> int | None:
    value = values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
