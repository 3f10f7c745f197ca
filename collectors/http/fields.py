"""Reading one field of a JSON object at a time, so that a bad one costs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, TypeVar

import msgspec

_T = TypeVar("_T")

RawObject = Mapping[str, msgspec.Raw]
"""A JSON object whose values have been delimited and not yet read."""

MOST = 2**60
Amount = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
"""A count or a size in bytes: no computer has an exbibyte."""

AMOUNT: msgspec.json.Decoder[int] = msgspec.json.Decoder(Amount)
TEXT: msgspec.json.Decoder[str] = msgspec.json.Decoder(Annotated[str, msgspec.Meta(max_length=512)])
LONG_TEXT: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)
OBJECT: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
ROWS: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(list[msgspec.Raw] | None)
ANYTHING: msgspec.json.Decoder[object] = msgspec.json.Decoder()


def read(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    """Return what ``raw`` holds, ``None`` if it is not what the decoder takes; never raises."""
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        return None


def field(values: RawObject, key: str, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    """Return one value of an object, ``None`` if it is missing or bad."""
    return read(values[key], decoder) if key in values else None


def text(values: RawObject, key: str) -> str | None:
    """Return a string; an empty one says nothing and is ``None``."""
    return field(values, key, TEXT) or None


def amount(values: RawObject, key: str) -> int | None:
    """Return a count or size, 0 included; ``None`` for what no count or size can be."""
    return field(values, key, AMOUNT)


def nested(values: RawObject, key: str) -> RawObject:
    """Return an object inside an object, empty if it is missing or bad."""
    return field(values, key, OBJECT) or {}


def texts(values: RawObject, key: str, limit: int) -> Iterator[str]:
    """Yield the strings of a list, at most ``limit``, leaving out what is none."""
    for raw in (field(values, key, ROWS) or [])[:limit]:
        if item := read(raw, TEXT):
            yield item
