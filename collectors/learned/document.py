"""The file of what was learned: versioned JSON, read within limits and checked."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gpumon.collectors.samples import Learned, MemoryCorrection, RamObservation, RateBaseline, RateScale

VERSION = 1
LARGEST_BYTES = 16 * 1024**2


class DocumentError(Exception):
    """The file is there and holds nothing that can be used; says why, in one line without its path."""


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the file holds. No text of prompts or answers, no names of models: their digests."""

    baselines: tuple[RateBaseline, ...] = ()
    scales: tuple[RateScale, ...] = ()
    memory: tuple[MemoryCorrection, ...] = ()
    ram_observed: tuple[RamObservation, ...] = ()
    ram_bandwidth_bytes_per_second: float | None = None

    def as_sample(self, time: float, source: str) -> Learned:
        """Return it as said at ``time``."""
        return Learned(
            time=time,
            source=source,
            baselines=self.baselines,
            scales=self.scales,
            memory=self.memory,
            ram_observed=self.ram_observed,
            ram_bandwidth_bytes_per_second=self.ram_bandwidth_bytes_per_second,
        )


class _Versioned(msgspec.Struct, frozen=True, kw_only=True):
    gpumon_learned: int


def encode(document: Document) -> bytes:
    """Return the text of the file; the version stands first."""
    fields = {"gpumon_learned": VERSION, **msgspec.to_builtins(document)}
    return msgspec.json.format(msgspec.json.encode(fields), indent=1) + b"\n"


def decode(text: bytes) -> Document:
    """Return what the text of a file holds.

    Raises:
        DocumentError: it is damaged, or of another version.
    """
    try:
        version = msgspec.json.decode(text, type=_Versioned).gpumon_learned
        if version != VERSION:
            raise DocumentError(f"is of version {version}, not {VERSION}")
        document = msgspec.json.decode(text, type=Document)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise DocumentError("is damaged") from None
    if not all(map(_is_rate, _rates(document))):
        raise DocumentError("is damaged: a figure in it cannot be")
    return document


def read(path: Path) -> Document:
    """Return what the file holds; nothing where there is none.

    Raises:
        DocumentError: it is damaged, of another version, too large or no plain file.
        OSError: it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return Document()
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DocumentError("is no plain file")
    with os.fdopen(descriptor, "rb") as file:
        text = file.read(LARGEST_BYTES + 1)
    if len(text) > LARGEST_BYTES:
        raise DocumentError("is too large")
    return decode(text)


def _rates(document: Document) -> Iterable[float]:
    yield from (baseline.decode_tokens_per_second for baseline in document.baselines)
    yield from (rate for baseline in document.baselines for rate in baseline.recent_tokens_per_second)
    yield from (scale.scale for scale in document.scales)
    yield from (one for scale in document.scales for one in scale.recent)
    for observed in document.ram_observed:
        yield from (observed.bytes_per_second, *observed.recent)
    if document.ram_bandwidth_bytes_per_second is not None:
        yield document.ram_bandwidth_bytes_per_second


def _is_rate(value: float) -> bool:
    return math.isfinite(value) and value > 0
