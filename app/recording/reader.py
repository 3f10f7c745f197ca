"""Reads a recording, whatever state it was left in, from its start or from near any instant of it."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import msgspec

from gpumon.app.recording.keys import BLOCK_BYTES, beginning_of, begins_block, is_key, samples_of
from gpumon.app.recording.lines import FORMAT, MAGIC, Header, RecordingError, decode_line
from gpumon.app.recording.packing import PLAIN, form_of_content
from gpumon.app.recording.spools import (
    START,
    Lines,
    Place,
    beginning_at,
    block_before,
    next_block,
    open_recording,
)
from gpumon.collectors.samples import AnySample

TAIL_BYTES = 1024**2
"""How far back from the end the last sample is looked for in a plain file."""
BLOCKS_BACK = 2
"""So many blocks before the one in which an instant lies a recording is begun, to know what led to it."""


class Landing(NamedTuple):
    """Where a recording can be begun so that an instant is soon reached, and what was known there."""

    place: Place
    time: float
    samples: tuple[AnySample, ...]


class Items:
    """What a recording holds from a place on; ``place`` is where what comes next begins."""

    def __init__(self, recording: Recording, place: Place) -> None:
        self._recording = recording
        self._lines = Lines(recording.path, place)
        self._from, self._size = place.block, recording.path.stat().st_size

    @property
    def done(self) -> float:
        """How far it is on the way to the end, 0 to 1."""
        return min(1.0, max(0, self._lines.read - self._from) / max(1, self._size - self._from))

    @property
    def place(self) -> Place:
        """Where what comes next begins."""
        return self._lines.place

    def __iter__(self) -> Iterator[AnySample | Header]:
        return self

    def __next__(self) -> AnySample | Header:
        for line in self._lines:
            item = self._recording.item(line)
            if item is not None:
                return item
        self._recording.torn = self._lines.torn
        raise StopIteration


class Recording:
    """A recording on disk. Iterate it as often as you like: each time it is read again, line by line.

    ``unknown`` and ``damaged`` count, for the newest iteration, the lines that were left out: of a newer
    version, or no sample at all. A last line that was cut off is neither. ``torn`` counts the blocks of a
    packed one of which the rest could not be read.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        """The first one; a recording that was continued has more."""
        self.unknown = 0
        self.damaged = 0
        self.torn = 0
        self.looked: float | None = None
        """The part of the file that was gone through while a place in it is looked for, 0 to 1."""
        self._beginnings: list[tuple[float, Place]] | None = None

    def __iter__(self) -> Iterator[AnySample]:
        return (item for item in self.items() if not isinstance(item, Header))

    def items(self, place: Place = START) -> Items:
        """Yield each sample, and a header where a new run begins: what was known before it is void."""
        if place == START:
            self.unknown = self.damaged = self.torn = 0
        return Items(self, place)

    @property
    def left_out(self) -> str | None:
        """Say in one line what the newest iteration left out, ``None`` where it was nothing."""
        said = [
            f"{count} {what}{'' if count == 1 else 's'}{which}"
            for count, what, which in (
                (self.damaged, "line", " damaged"),
                (self.unknown, "line", " of a newer version"),
                (self.torn, "block", " damaged"),
            )
            if count
        ]
        return f"{', '.join(said)} left out" if said else None

    def first_time(self) -> float | None:
        """Return the time of the first sample, ``None`` if there is none."""
        return next((sample.time for sample in Recording(self.path, self.header)), None)

    def last_time(self) -> float | None:
        """Return the time of the last sample, ``None`` if there is none near the end."""
        with open_recording(self.path) as file:
            form = form_of_content(file.read(4), self.path)
            size = file.seek(0, os.SEEK_END)
            if form is PLAIN:
                file.seek(max(0, size - TAIL_BYTES))
                lines = file.read().splitlines()
            else:
                at = block_before(file, form, size)
                lines = [] if at == 0 and size > BLOCK_BYTES else list(Lines(self.path, Place(at)))
        samples = (decode_line(line) for line in reversed(lines))
        return next((sample.time for sample in samples if not isinstance(sample, str)), None)

    def landing(self, time: float, blocks_back: int = BLOCKS_BACK) -> Landing | None:
        """Return where to begin so that an instant is soon reached; ``None`` is the start.

        Found by halving the file. One that another program has packed is gone through once: see ``looked``.
        """
        with open_recording(self.path) as file:
            form, size = form_of_content(file.read(4), self.path), file.seek(0, os.SEEK_END)
            if next_block(file, form, 1) is not None:
                return self._landing(Place(beginning_at(file, form, time, blocks_back)))
        return None if size <= BLOCK_BYTES else self._landing(self._looked_for(time, blocks_back, size))

    def _looked_for(self, time: float, blocks_back: int, size: int) -> Place:
        """Go through all lines, once, for those from which the recording can be begun."""
        if self._beginnings is None:
            found: list[tuple[float, Place]] = []
            lines = Lines(self.path)
            place = lines.place
            for line in lines:
                begins = beginning_of(line) if begins_block(line) else None
                if begins is not None:
                    found.append((begins, place))
                place, self.looked = lines.place, lines.read / size
            self._beginnings, self.looked = found, None
        at = bisect_right(self._beginnings, time, key=itemgetter(0)) - 1 - blocks_back
        return self._beginnings[at][1] if at > 0 else START

    def _landing(self, place: Place) -> Landing | None:
        line = next(Lines(self.path, place), b"")
        begins = beginning_of(line)
        if place == START or begins is None:
            return None
        return Landing(place, begins, samples_of(line))

    def item(self, line: bytes) -> AnySample | Header | None:
        """Return what a line holds; nothing where it is a key, or cannot be read, which is counted."""
        if not line.strip() or is_key(line):
            return None
        item = _header(line) or decode_line(line)
        if not isinstance(item, str):
            return item
        if item == "unknown":
            self.unknown += 1
        elif line.endswith(b"\n"):
            self.damaged += 1
        return None


def read_recording(path: Path) -> Recording:
    """Open a recording.

    Raises:
        RecordingError: it cannot be read, is no recording, or is of a format of another version.
    """
    line = next(Lines(path), b"")
    if not line:
        raise RecordingError(f"{path} is empty, not a gpumon recording")
    header = _header(line)
    if header is None:
        raise RecordingError(f"{path} line 1: not a gpumon recording")
    if header.gpumon_recording != FORMAT:
        version = header.gpumon_recording
        age = "a newer" if version > FORMAT else "an older"
        raise RecordingError(f"{path} line 1: format {version} of {age} gpumon, this one reads {FORMAT}")
    return Recording(path, header)


def _header(line: bytes) -> Header | None:
    if not line.startswith(MAGIC):
        return None
    try:
        return msgspec.json.decode(line, type=Header)
    except (ValueError, RecursionError):
        return None
