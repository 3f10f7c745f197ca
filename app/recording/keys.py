"""Keys: lines of a recording from which it can be begun, with what was said once and still holds.

Without them an instant of a week could be known only by feeding all that came before. With them it is what a
gpumon would show that was started some minutes before it.
"""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from gpumon.app.recording.lines import MAGIC, decode_line, encode_line
from gpumon.collectors.samples import (
    AnySample,
    BlobNames,
    FileFacts,
    GpuFacts,
    GpuReading,
    GpuSlow,
    InstalledModels,
    Learned,
    LoadFacts,
    LogSample,
    ModelFacts,
    NvmlSample,
    SourceSilent,
    WorkSample,
)

KEY_MAGIC = b'{"gpumon_key":'
"""How the line of a key begins."""
BLOCK_BYTES = 1024**2
"""Lines of so many bytes lie between two keys at most; of a workstation six minutes."""
BLOCK_SECONDS = 600.0
"""So long lies between two keys at most."""
KEY_SHARE = 8
"""A key takes no more than this part of its block, however much there is to say."""
FRESH_SECONDS = 900.0
"""What was said longer ago is of something that has left, unless it is said only once."""
LOG_EVENTS = 200
"""Lines of a log that a key holds, the newest: what they say of a load is said once."""
ONCE: frozenset[type] = frozenset({ModelFacts, FileFacts, InstalledModels, BlobNames, Learned, LogSample})
ONCE_KEPT = 400
"""Of models and processes that left long ago nothing is needed any more."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What was known when this line was written, as samples."""

    gpumon_key: int = 1
    time: float
    """Seconds since the Unix epoch, of the newest sample."""
    samples: tuple[msgspec.Raw, ...] = ()


class Beginning(msgspec.Struct):
    """When a block begins, of a key or of a header."""

    time: float | None = None
    created: float | None = None


def begins_block(line: bytes) -> bool:
    """Return whether a recording can be begun from this line."""
    return line.startswith((KEY_MAGIC, MAGIC, b"\n" + MAGIC))


def is_key(line: bytes) -> bool:
    """Return whether this line is a key: of no use where all before it was fed."""
    return line.startswith(KEY_MAGIC)


def beginning_of(line: bytes) -> float | None:
    """Return when a block begins whose first bytes these are."""
    if not line.startswith((KEY_MAGIC, MAGIC)):
        return None
    head, is_cut, _ = line.partition(b"\n")[0].partition(b',"samples":')
    try:
        found = msgspec.json.decode(head + b"}" if is_cut else head, type=Beginning)
    except (ValueError, RecursionError):
        return None
    return found.time if found.time is not None else found.created


def samples_of(line: bytes) -> tuple[AnySample, ...]:
    """Return what a key holds; nothing for the line of a header."""
    if not is_key(line):
        return ()
    try:
        key = msgspec.json.decode(line, type=Key)
    except (ValueError, RecursionError):
        return ()
    found = (decode_line(bytes(raw)) for raw in key.samples)
    return tuple(sample for sample in found if not isinstance(sample, str))


class _Told(NamedTuple):
    facts: GpuFacts | None = None
    slow: GpuSlow | None = None


class Keys:
    """Remembers what keys are made of, and makes one when it is due."""

    def __init__(self) -> None:
        self._newest: dict[tuple[object, ...], AnySample] = {}
        self._gpus: dict[str, _Told] = {}
        self._loads: dict[tuple[object, ...], LoadFacts] = {}
        self._bytes = 0
        self._limit = BLOCK_BYTES
        self._began: float | None = None

    def due(self, sample: AnySample, line: bytes) -> bytes:
        """Note a sample that is being written; return the key that has to come before it, mostly nothing."""
        key = b""
        began = self._began
        if began is None:
            self._began = sample.time
        elif self._bytes >= self._limit or not began <= sample.time < began + BLOCK_SECONDS:
            key, self._began = self._key(sample.time), sample.time
            self._bytes, self._limit = len(key), max(BLOCK_BYTES, KEY_SHARE * len(key))
        self._bytes += len(line)
        self._note(sample)
        return key

    def _note(self, sample: AnySample) -> None:
        kind, subject = type(sample), _subject(sample)
        if isinstance(sample, NvmlSample):
            for gpu in sample.gpus:
                if gpu.facts is not None or gpu.slow is not None:
                    told = self._gpus.get(gpu.uuid, _Told())
                    self._gpus[gpu.uuid] = _Told(gpu.facts or told.facts, gpu.slow or told.slow)
        elif isinstance(sample, WorkSample) and sample.facts is not None:
            self._loads[subject] = sample.facts
        elif isinstance(sample, LogSample):
            before = self._newest.get(subject)
            sample = _with_events(sample, before) if isinstance(before, LogSample) else sample
        if kind in ONCE:
            self._newest.pop(subject, None)
        if kind is not SourceSilent:
            self._newest.pop((SourceSilent, sample.source), None)
        self._newest[subject] = sample

    def _key(self, now: float) -> bytes:
        self._forget(now)
        samples = sorted(map(self._whole, self._newest.items()), key=lambda sample: sample.time)
        raw = tuple(msgspec.Raw(encode_line(_not_before(sample, now)).rstrip()) for sample in samples)
        return msgspec.json.encode(Key(time=now, samples=raw)) + b"\n"

    def _whole(self, item: tuple[tuple[object, ...], AnySample]) -> AnySample:
        """Return a sample with what was said once, long before it."""
        subject, sample = item
        if isinstance(sample, NvmlSample):
            return replace(sample, gpus=tuple(map(self._told, sample.gpus)))
        if isinstance(sample, WorkSample):
            return replace(sample, facts=sample.facts or self._loads.get(subject))
        return sample

    def _told(self, gpu: GpuReading) -> GpuReading:
        told = self._gpus.get(gpu.uuid, _Told())
        return replace(gpu, facts=gpu.facts or told.facts, slow=gpu.slow or told.slow)

    def _forget(self, now: float) -> None:
        """Let go of what has left."""
        once = [subject for subject in self._newest if subject[0] in ONCE]
        old = (
            subject
            for subject, sample in self._newest.items()
            if subject[0] not in ONCE and now - sample.time > FRESH_SECONDS
        )
        for subject in [*once[:-ONCE_KEPT], *old]:
            del self._newest[subject]
            self._loads.pop(subject, None)


def _subject(sample: AnySample) -> tuple[object, ...]:
    """Return what a sample is of: a later one of the same says what holds now."""
    match sample:
        case WorkSample():
            return (WorkSample, sample.source, sample.model, sample.pid)
        case ModelFacts():
            return (ModelFacts, sample.source, sample.digest)
        case FileFacts():
            return (FileFacts, sample.source, sample.pid, sample.started)
    return (type(sample), sample.source)


def _with_events(sample: LogSample, before: LogSample) -> LogSample:
    return replace(sample, events=tuple(chain(before.events, sample.events))[-LOG_EVENTS:])


def _not_before(sample: AnySample, now: float) -> AnySample:
    """Return what was said once as if it were said now: what begins here has no time before it."""
    return replace(sample, time=now) if type(sample) in ONCE else sample
