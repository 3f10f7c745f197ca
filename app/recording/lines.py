"""A recording as text: its header, and samples as lines of JSON, and back."""

from __future__ import annotations

import platform
from typing import Literal

import msgspec

from gpumon.app.errors import GpumonError
from gpumon.collectors.samples import AnySample
from gpumon.text.safe import well_formed

FORMAT = 2
"""The format that is written and read; grows when a reader of before could not read it.

1 had a sample type of its own for each kind of server.
"""
MAGIC = b'{"gpumon_recording":'
"""How the first line begins."""


class RecordingError(GpumonError):
    """A recording cannot be read or written; the text names the file."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Who recorded, and when."""

    gpumon_recording: int = FORMAT
    version: str = ""
    """Of gpumon."""
    created: float = 0.0
    """Seconds since the Unix epoch."""
    host: str = ""
    demo: bool = False
    """The samples are of a scenario, not of a machine."""


def new_header(created: float, *, demo: bool = False) -> Header:
    """Return the header of a recording that begins at ``created`` (seconds since the epoch) here."""
    from importlib import metadata  # noqa: PLC0415 - takes 7 ms, and only who records asks

    try:
        version = metadata.version("gpumon-llm")
    except metadata.PackageNotFoundError:
        version = ""
    return Header(version=version, created=created, host=platform.node(), demo=demo)


def encode_header(header: Header) -> bytes:
    """Return the header as a line."""
    return msgspec.json.encode(header) + b"\n"


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

    Half surrogates, which names from the system may hold, are written as replacement marks: JSON has none.
    """
    try:
        return msgspec.json.encode(sample) + b"\n"
    except UnicodeEncodeError:
        return msgspec.json.encode(well_formed(msgspec.to_builtins(sample))) + b"\n"


def decode_line(line: bytes) -> AnySample | Rejected:
    """Return the sample of a line, or why there is none. Fields of a newer version are left out."""
    try:
        sample = _DECODER.decode(line)
    except (ValueError, RecursionError):
        return _why(line)
    return sample if abs(sample.time) < TIME_LIMIT else "damaged"


def _why(line: bytes) -> Rejected:
    """Return whether a line is a sample of a newer version, rather than no sample at all."""
    try:
        _TAGS.decode(line)
    except (ValueError, RecursionError):
        return "damaged"
    return "unknown"
