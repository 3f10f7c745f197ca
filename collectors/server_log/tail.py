"""Follows a log file through rotation, by rename and by truncation."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from gpumon.collectors.server_log.parse import LONGEST_LINE_BYTES
from gpumon.collectors.server_log.reader import BYTES_PER_READ, Entry

BACKLOG_BYTES = 1024 * 1024
"""Read of what is there at first: enough for the load in progress."""
_TOO_FAR_BEHIND_BYTES = 8 * 1024 * 1024
"""A file that grows faster than it is read is skipped ahead."""


class LineSplitter:
    """Cuts bytes into lines; keeps the last one until it is whole, drops one that is too long."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_dropping = False

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that ``data`` completes."""
        *whole, rest = (self._rest + data).split(b"\n")
        if self._is_dropping and whole:
            del whole[0]
            self._is_dropping = False
        self._rest = b"" if self._is_dropping else rest
        if len(self._rest) > LONGEST_LINE_BYTES:
            self.drop_to_end_of_line()
        return [line.decode(errors="replace") for line in whole if len(line) <= LONGEST_LINE_BYTES]

    def drop_to_end_of_line(self) -> None:
        """Skip what is left of a line whose beginning is not known."""
        self._rest, self._is_dropping = b"", True

    def start_over(self) -> None:
        """Forget the line that was begun."""
        self._rest, self._is_dropping = b"", False


class Tail:
    """Reads what is appended to ``path``.

    A renamed file is read on until another has its name; one that got shorter is read from its start. One
    that was truncated and has outgrown its old size between two reads cannot be told from one that only grew.
    """

    def __init__(self, path: Path, backlog_bytes: int = BACKLOG_BYTES) -> None:
        self._path = path
        self._backlog_bytes = backlog_bytes
        self._file: int | None = None
        self._position = 0
        self._splitter = LineSplitter()

    def read(self) -> list[Entry]:
        """Return the lines that are new, at most 256 KiB; raise ``OSError``: no such file, no permission."""
        file = self._opened()
        self._follow_size(os.fstat(file).st_size)
        data = os.pread(file, BYTES_PER_READ, self._position)
        self._position += len(data)
        lines = self._splitter.feed(data)
        if len(data) < BYTES_PER_READ and self._is_replaced(file):
            self.close()
            self._backlog_bytes = BACKLOG_BYTES
        return [Entry(line) for line in lines]

    def close(self) -> None:
        """Close the file; the next read opens what has its name then."""
        if self._file is not None:
            os.close(self._file)
        self._file = None
        self._splitter.start_over()

    def _opened(self) -> int:
        if self._file is None:
            self._file = _open_regular(self._path)
            self._position = 0
            self._skip_to(os.fstat(self._file).st_size - self._backlog_bytes)
        return self._file

    def _follow_size(self, size: int) -> None:
        if size < self._position:
            self._position = 0
            self._splitter.start_over()
        elif size - self._position > _TOO_FAR_BEHIND_BYTES:
            self._skip_to(size - BACKLOG_BYTES)

    def _skip_to(self, position: int) -> None:
        """Go on at the first line that begins at ``position`` or later."""
        if position > 0:
            self._position = position - 1
            self._splitter.drop_to_end_of_line()

    def _is_replaced(self, file: int) -> bool:
        """Tell whether the name is another file's now, or the file was deleted: it would fill the disk."""
        ours = os.fstat(file)
        with contextlib.suppress(OSError):
            named = self._path.stat()
            return (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino)
        return ours.st_nlink == 0


def _open_regular(path: Path) -> int:
    """Open a file without waiting for a writer, as a named pipe would."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise OSError(errno.EINVAL, "not a regular file", str(path))
