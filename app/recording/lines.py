"""Samples as lines of JSON, and back."""

from __future__ import annotations

from typing import Literal

import msgspec

from gpumon.collectors.samples import AnySample
from gpumon.text.safe import well_formed

Rejected = Literal["unknown", "damaged"]
"""``unknown`` is well formed but of a newer version; ``damaged`` is not a sample at all."""

_DECODER: msgspec.json.Decoder[AnySample] = msgspec.json.Decoder(AnySample)


class _AnyTag(msgspec.Struct):
    type: str


_TAGS: msgspec.json.Decoder[_AnyTag] = msgspec.json.Decoder(_AnyTag)


def encode_line(sample: AnySample) -> bytes:
    """Return ``sample`` as one line.

    Half surrogates, which names from the system may hold, are written as replacement marks: JSON has none.
    """
    try:
        return msgspec.json.encode(sample) + b"\n"
    except UnicodeEncodeError:
        return msgspec.json.encode(well_formed(msgspec.to_builtins(sample))) + b"\n"


def decode_line(line: bytes) -> AnySample | Rejected:
    """Return the sample of a line, or why there is none. Fields of a newer version are left out."""
    try:
        return _DECODER.decode(line)
    except (ValueError, RecursionError):
        return _why(line)


def _why(line: bytes) -> Rejected:
    """Tell a sample type or value of a newer version from a line that is no sample."""
    try:
        _TAGS.decode(line)
    except (ValueError, RecursionError):
        return "damaged"
    return "unknown"
