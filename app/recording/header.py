"""The first line of a recording."""

from __future__ import annotations

import platform

import msgspec

from gpumon.app.errors import GpumonError

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
