"""What earlier runs have learned of this machine, as the file in the state directory holds it.

The file is versioned JSON, read within limits and checked. The source ``learned`` reads it at the start and
when another instance changes it.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from gpumon.collectors.samples import (
    AnySample,
    Learned,
    MemoryCorrection,
    RamObservation,
    RateBaseline,
    RateScale,
    SourceHealth,
)
from gpumon.collectors.source import Clock
from gpumon.collectors.worker import Worker

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


LOOK_SECONDS = 60.0

_T = TypeVar("_T")


def no_trouble() -> SourceHealth | None:
    """Return what is wrong with writing the file: nothing, where nobody writes it."""
    return None


class LearnedSource:
    """Reads ``path`` in a thread of its own; gives only what differs from what it gave before.

    ``trouble`` returns what the writer of the file has to say as long as something is wrong.
    """

    name = "learned"

    def __init__(
        self, clock: Clock, path: Path, trouble: Callable[[], SourceHealth | None] = no_trouble
    ) -> None:
        self._clock = clock
        self._path = path
        self._trouble = trouble
        self._worker = Worker("learned")
        self._document = Document()
        self._health = SourceHealth(state="idle")
        self._seen: tuple[int, int] | None = None
        """Time and inode of the file when it was last read."""
        self._told: tuple[Document, SourceHealth] | None = None

    async def poll(self) -> Sequence[AnySample]:
        """Return what is new: at first everything, later mostly nothing."""
        await self._worker.run(self._look)
        told_before, self._told = self._told, (self._document, self._trouble() or self._health)
        if self._told == told_before:
            return []
        document, health = self._told
        news = news_of(told_before[0] if told_before else Document(), document)
        return [replace(news.as_sample(self._clock.now(), self.name), health=health)]

    def delay(self, interval: float) -> float:
        """Return a minute: the file changes seldom."""
        return max(interval, LOOK_SECONDS)

    async def close(self) -> None:
        """End the thread after what it is in."""
        self._worker.close()

    def _look(self) -> None:
        """Read the file if it has changed; what was read of it before stands if it can no longer be."""
        seen = _stamp(self._path)
        if seen is not None and seen == self._seen:
            return
        self._seen = seen
        try:
            self._document = read(self._path)
        except DocumentError as error:
            hint = f"remove {self._path}"
            self._health = SourceHealth(state="nonsense", detail=f"{self._path} {error}", hint=hint)
        except OSError as error:
            words = (error.strerror or "cannot be read").lower()
            self._health = SourceHealth(state="failing", detail=f"{self._path}: {words}")
        else:
            self._health = SourceHealth(state="idle" if self._document == Document() else "serving")


def news_of(before: Document, after: Document) -> Document:
    """Return what ``after`` holds and ``before`` does not."""
    return Document(
        baselines=_new(before.baselines, after.baselines),
        scales=_new(before.scales, after.scales),
        memory=_new(before.memory, after.memory),
        ram_observed=_new(before.ram_observed, after.ram_observed),
        ram_bandwidth_bytes_per_second=after.ram_bandwidth_bytes_per_second,
    )


def _new(before: Sequence[_T], after: Sequence[_T]) -> tuple[_T, ...]:
    return tuple(one for one in after if one not in before)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
