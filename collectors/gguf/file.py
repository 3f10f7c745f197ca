"""A ``.gguf`` file on disk as the facts that ``/api/show`` would give of it.

Only the header is read, and of the vocabulary only its length: the package ``gguf`` decodes every token
(docs/memory.md has the figures).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from gpumon.collectors.gguf.errors import GgufError
from gpumon.collectors.gguf.header import HeaderReader
from gpumon.collectors.gguf.metadata import GgufValue, read_metadata
from gpumon.collectors.gguf.parts import parts_of
from gpumon.collectors.gguf.tensor_types import MAX_DIMENSIONS, TYPE_NAMES, tensor_bytes
from gpumon.collectors.gguf.weights import Tensor, summarize
from gpumon.collectors.samples import ModelFacts

__all__ = ["GgufError", "gguf_file_bytes", "read_gguf"]

MAGIC = b"GGUF"
VERSIONS = range(2, 4)
MAX_TENSORS = 262_144
MAX_NAME_BYTES = 512
DEFAULT_ALIGNMENT = 32
BUFFER_BYTES = 2**20
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
        return replace(_read(HeaderReader(stream, facts.st_size), facts.st_size), written_at=facts.st_mtime)


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
