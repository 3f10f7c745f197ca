"""Reads a recording, whatever state it was left in."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from gpumon.app.recording.lines import FORMAT, MAGIC, Header, RecordingError, decode_line
from gpumon.collectors.samples import AnySample

LINE_BYTES_MAXIMUM = 16 * 1024**2
"""A longer line is no sample."""
TAIL_BYTES = 1024**2
"""How far back from the end the last sample is looked for."""

_TOO_LONG = b"?\n"


class Recording:
    """A recording on disk. Iterate it as often as you like: each time it is read again, line by line.

    ``unknown`` and ``damaged`` count, for the newest iteration, the lines that were left out: of a newer
    version, or no sample at all. A last line that was cut off is neither.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.header = header
        """The first one; a recording that was continued has more."""
        self.unknown = 0
        self.damaged = 0

    def __iter__(self) -> Iterator[AnySample]:
        return (item for item in self.items() if not isinstance(item, Header))

    def items(self) -> Iterator[AnySample | Header]:
        """Yield each sample, and a header where a new run begins: what was known before it is void."""
        self.unknown = self.damaged = 0
        with _open(self.path) as file:
            for line in _lines(file):
                item = self._item(line)
                if item is not None:
                    yield item

    @property
    def left_out(self) -> str | None:
        """Say in one line what the newest iteration left out, ``None`` where it was nothing."""
        counts = {"damaged": self.damaged, "of a newer version": self.unknown}
        said = [
            f"{count} {'line' if count == 1 else 'lines'} {what}" for what, count in counts.items() if count
        ]
        return f"{', '.join(said)} left out" if said else None

    def first_time(self) -> float | None:
        """Return the time of the first sample, ``None`` if there is none."""
        return next((sample.time for sample in Recording(self.path, self.header)), None)

    def last_time(self) -> float | None:
        """Return the time of the last sample, ``None`` if there is none near the end."""
        with _open(self.path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL_BYTES))
            lines = file.read().splitlines()
        for line in reversed(lines):
            sample = decode_line(line)
            if not isinstance(sample, str):
                return sample.time
        return None

    def _item(self, line: bytes) -> AnySample | Header | None:
        if not line.strip():
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
    with _open(path) as file:
        line = file.readline(LINE_BYTES_MAXIMUM)
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


def _open(path: Path) -> BinaryIO:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise RecordingError(f"cannot read {path}: not a regular file")
        return path.open("rb")
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines, and something that is no sample in place of one that is too long."""
    while line := file.readline(LINE_BYTES_MAXIMUM):
        yield line if line.endswith(b"\n") or len(line) < LINE_BYTES_MAXIMUM else _TOO_LONG
        while line and not line.endswith(b"\n"):
            line = file.readline(LINE_BYTES_MAXIMUM)
