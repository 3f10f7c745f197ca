"""The lines of a recording's file from any place in it, and the places from which it can be begun."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gpumon.app.recording.keys import beginning_of
from gpumon.app.recording.lines import MAGIC, RecordingError
from gpumon.app.recording.packing import PLAIN, Form, form_of_content

LINE_BYTES_MAXIMUM = 16 * 1024**2
"""A longer line is no sample."""
TOO_LONG = b"?\n"
"""What is read in place of one."""
PIECE_BYTES = 4096
"""Unpacked at once: a few bytes can stand for thousands of times as many."""
LOOK_BYTES = 256 * 1024
NEAR_BYTES = 64 * 1024
"""Two places so close to each other need no more halving: what lies between them is read."""
FIRST_BYTES = 4096
"""Of a block's first line so much is read to know its time."""

_MARK = b'{"gpumon_'


class Place(NamedTuple):
    """Where a line begins: in which block, and after how many of its bytes, unpacked."""

    block: int
    """Offset in the file; of a plain one, that of the line itself."""
    skip: int = 0


START = Place(0)


class Lines:
    """The lines from a place on. ``place`` is where the next one begins."""

    def __init__(self, path: Path, place: Place = START) -> None:
        self.place = place
        self.torn = 0
        """Blocks that were damaged, but for one that was cut off at the end of the file."""
        self.read = 0
        """Up to where the file was gone through, in bytes."""
        self._lines = self._opened(path)

    def __iter__(self) -> Iterator[bytes]:
        return self._lines

    def __next__(self) -> bytes:
        return next(self._lines)

    def _opened(self, path: Path) -> Iterator[bytes]:
        with open_recording(path) as file:
            form = form_of_content(file.read(4), path)
            yield from self._plain(file) if form is PLAIN else self._packed(file, form)

    def _plain(self, file: BinaryIO) -> Iterator[bytes]:
        at = file.seek(self.place.block)
        while line := file.readline(LINE_BYTES_MAXIMUM):
            at += len(line)
            part, is_too_long = line, len(line) >= LINE_BYTES_MAXIMUM and not line.endswith(b"\n")
            while part and not part.endswith(b"\n"):
                part = file.readline(LINE_BYTES_MAXIMUM)
                at += len(part)
            self.place, self.read = Place(at), at
            yield TOO_LONG if is_too_long else line

    def _packed(self, file: BinaryIO, form: Form) -> Iterator[bytes]:
        block, skip = self.place
        at, rest, is_too_long = 0, b"", False
        for piece in self._pieces(file, form, block):
            if piece.block != block:
                block, at = piece.block, -len(rest)
            if piece.is_after_tear and rest:
                yield rest
                at, rest = 0, b""
            drop = min(skip, len(piece.data))
            at, skip, self.read = at + drop, skip - drop, piece.end
            *whole, rest = (rest + piece.data[drop:]).split(b"\n")
            for line in whole:
                at += len(line) + 1
                self.place = Place(block, at)
                yield TOO_LONG if is_too_long else line + b"\n"
                is_too_long = False
            if len(rest) > LINE_BYTES_MAXIMUM:
                at, rest, is_too_long = at + len(rest), b"", True
        if rest:
            yield rest

    def _pieces(self, file: BinaryIO, form: Form, at: int | None) -> Iterator[_Piece]:
        """Yield what the blocks from one on hold; what is damaged is counted and passed over."""
        is_after_tear = False
        while at is not None:
            end, is_torn = yield from _block(file, form, at, is_after_tear=is_after_tear)
            is_after_tear = is_torn or not _is_block(file, form, end)
            if not is_after_tear:
                at = end
                continue
            at = next_block(file, form, at + 1 if is_torn else end, _is_block)
            self.torn += is_torn or at is not None


class _Piece(NamedTuple):
    block: int
    data: bytes
    end: int
    """Of what was read of the file."""
    is_after_tear: bool


def _block(
    file: BinaryIO, form: Form, at: int, *, is_after_tear: bool
) -> Generator[_Piece, None, tuple[int, bool]]:
    """Yield what one block holds; return where it ends, and whether it is damaged."""
    file.seek(at)
    unpacker, end = form.unpacker(), at
    while not unpacker.eof:
        packed = file.read(PIECE_BYTES)
        if not packed:
            break
        try:
            data, is_torn = unpacker.decompress(packed), False
        except form.errors:
            data, is_torn = _salvaged(file, form, at, end), True
        end += len(packed)
        if data:
            yield _Piece(at, data, end, is_after_tear)
            is_after_tear = False
        if is_torn:
            return end, True
        file.seek(end)
    return end - len(unpacker.unused_data), False


def _salvaged(file: BinaryIO, form: Form, at: int, end: int) -> bytes:
    """Return what a damaged block still holds after what was read of it up to ``end``."""
    file.seek(at)
    unpacker, found = form.unpacker(), []
    with contextlib.suppress(*form.errors):
        while (left := end - file.tell()) > 0:
            unpacker.decompress(file.read(min(left, PIECE_BYTES)))
        for byte in file.read(PIECE_BYTES):
            found.append(unpacker.decompress(bytes((byte,))))  # noqa: PERF401 - what came before the fault counts
    return b"".join(found)


def open_recording(path: Path) -> BinaryIO:
    """Open a recording's file.

    Raises:
        RecordingError: it cannot be opened, or is no file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise RecordingError(f"cannot read {path}: not a regular file")
        return path.open("rb")
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error


def first_bytes(file: BinaryIO, form: Form, at: int) -> bytes:
    """Return how the first line of a block begins; nothing where there is no block."""
    file.seek(at)
    if form is PLAIN:
        return file.read(FIRST_BYTES)
    unpacker, found, left = form.unpacker(), b"", LOOK_BYTES
    with contextlib.suppress(*form.errors):
        while (
            len(found) < FIRST_BYTES and left > 0 and not unpacker.eof and (packed := file.read(PIECE_BYTES))
        ):
            found += unpacker.decompress(packed)
            left -= len(packed)
    return found[:FIRST_BYTES]


def _is_block(file: BinaryIO, form: Form, at: int) -> bool:
    file.seek(at)
    return file.read(len(form.magic)) == form.magic and bool(first_bytes(file, form, at))


def _is_beginning(file: BinaryIO, form: Form, at: int) -> bool:
    return beginning_of(first_bytes(file, form, at)) is not None


Check = Callable[[BinaryIO, Form, int], bool]


def next_block(file: BinaryIO, form: Form, at: int, check: Check = _is_beginning) -> int | None:
    """Return where the next block begins, at ``at`` or after it."""
    mark, ahead = (form.magic, 0) if form is not PLAIN else (b"\n" + _MARK, 1)
    start = max(0, at - ahead)
    while True:
        file.seek(start)
        window = file.read(LOOK_BYTES)
        found = window.find(mark)
        while found >= 0:
            if check(file, form, start + found + ahead):
                return start + found + ahead
            found = window.find(mark, found + 1)
        if len(window) < LOOK_BYTES:
            return None
        start += LOOK_BYTES - len(mark)


def block_before(file: BinaryIO, form: Form, at: int) -> int:
    """Return where the last block begins before ``at``; the start of the file where there is none."""
    mark, ahead = (form.magic, 0) if form is not PLAIN else (b"\n" + _MARK, 1)
    end = at
    while end > 0:
        start = max(0, end - LOOK_BYTES)
        file.seek(start)
        window = file.read(end - start + len(mark) - 1)
        found = window.rfind(mark)
        while found >= 0:
            if start + found + ahead < at and _is_beginning(file, form, start + found + ahead):
                return start + found + ahead
            found = window.rfind(mark, 0, found + len(mark) - 1)
        end = start
    return 0


def beginning_at(file: BinaryIO, form: Form, time: float, blocks_back: int) -> int:
    """Return where the block begins that is so many before the one in which an instant lies.

    It is never before the run in which that is: what came before its header is void.
    """
    low, high = 0, file.seek(0, os.SEEK_END)
    while high - low > NEAR_BYTES:
        middle = (low + high) // 2
        at = next_block(file, form, middle)
        if at is None or at >= high or _begins(file, form, at) > time:
            high = middle
        else:
            low = at
    while (at := next_block(file, form, low + 1)) is not None and _begins(file, form, at) <= time:
        low = at
    for _ in range(blocks_back):
        if first_bytes(file, form, low).startswith(MAGIC):
            break
        low = block_before(file, form, low)
    return low


def _begins(file: BinaryIO, form: Form, at: int) -> float:
    return beginning_of(first_bytes(file, form, at)) or 0.0
