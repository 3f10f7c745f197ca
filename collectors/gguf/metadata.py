"""The key-value part of a GGUF header (ggml/docs/gguf.md), as ``/api/show`` would give it."""

from __future__ import annotations

import math
import struct

from gpumon.collectors.gguf.errors import GgufError
from gpumon.collectors.gguf.header import HeaderReader

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
