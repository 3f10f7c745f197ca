"""Samples as lines of JSON, and back."""

from __future__ import annotations

from typing import Literal

import msgspec

from gpumon.collectors.samples import AnySample

Rejected = Literal["unknown", "damaged"]
"""``unknown`` is well formed but of a newer version; ``damaged`` is not a sample at all."""

TIME_LIMIT = 253_402_300_800.0
"""The year 10000, in seconds since the Unix epoch: no calendar goes further, and no sample does."""

_DECODER: msgspec.json.Decoder[AnySample] = msgspec.json.Decoder(AnySample)


class _AnyTag(msgspec.Struct):
    type: str


_TAGS: msgspec.json.Decoder[_AnyTag] = msgspec.json.Decoder(_AnyTag)


def encode_line(sample: AnySample) -> bytes:
    """Return ``sample`` as one line.

    Half surrogates, which names from the system may hold, are written as question marks: JSON has none.
    """
    try:
        return msgspec.json.encode(sample) + b"\n"
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(msgspec.to_builtins(sample))) + b"\n"


def decode_line(line: bytes) -> AnySample | Rejected:
    """Return the sample of a line, or why there is none. Fields of a newer version are left out."""
    try:
        sample = _DECODER.decode(line)
    except (ValueError, RecursionError):
        return _why(line)
    return sample if abs(sample.time) < TIME_LIMIT else "damaged"


def _why(line: bytes) -> Rejected:
    """Tell a sample type or value of a newer version from a line that is no sample."""
    try:
        _TAGS.decode(line)
    except (ValueError, RecursionError):
        return "damaged"
    return "unknown"


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(one) for one in value]
    return value
