"""What is new in a log: a file, followed through rotation, or the journal of Ollama's service.

The journal is read through libsystemd (man 3 sd-journal), without starting a process.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import math
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

LONGEST_LINE_BYTES = 64 * 1024
"""A longer line is skipped."""
BYTES_PER_READ = 256 * 1024
"""So that a poll is short, however much was written since the last one."""


class Entry(NamedTuple):
    """One line."""

    text: str
    at: float | None = None
    """When it was written, Unix seconds, where the place knows it apart from the line."""


class Reader(Protocol):
    """Reads what is new in one place; used from one thread."""

    def read(self) -> list[Entry]:
        """Return lines that are new and whole; raise ``OSError`` where they cannot be read."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


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
        """Return whether the name is another file's now, or the file was deleted: it would fill the disk."""
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


_LIBRARY = "libsystemd.so.0"
_LOCAL_ONLY = 1  # SD_JOURNAL_LOCAL_ONLY: no journals of other machines


class Systemd(Protocol):
    """The part of the library that is called; a negative result is an errno."""

    def sd_journal_open(self, handle: object, flags: int, /) -> int:
        """Store a new handle."""
        ...

    def sd_journal_close(self, handle: object, /) -> None:
        """Free the handle."""
        ...

    def sd_journal_add_match(self, handle: object, data: bytes, size: int, /) -> int:
        """Show entries with this field alone."""
        ...

    def sd_journal_set_data_threshold(self, handle: object, size: int, /) -> int:
        """Cut fields at about this size."""
        ...

    def sd_journal_get_fd(self, handle: object, /) -> int:
        """Watch for changes; return the descriptor."""
        ...

    def sd_journal_process(self, handle: object, /) -> int:
        """Take changes in."""
        ...

    def sd_journal_seek_tail(self, handle: object, /) -> int:
        """Go behind the last entry."""
        ...

    def sd_journal_previous_skip(self, handle: object, count: int, /) -> int:
        """Go back; return by how many entries."""
        ...

    def sd_journal_next(self, handle: object, /) -> int:
        """Go on; return 0 at the end."""
        ...

    def sd_journal_get_data(self, handle: object, name: bytes, start: object, size: object, /) -> int:
        """Store where ``NAME=value`` is, until the next call."""
        ...

    def sd_journal_get_realtime_usec(self, handle: object, microseconds: object, /) -> int:
        """Store when the entry was written, in microseconds."""
        ...


_POINTER = ctypes.c_void_p
_ARGUMENTS: dict[str, list[type]] = {
    "sd_journal_open": [ctypes.POINTER(_POINTER), ctypes.c_int],
    "sd_journal_close": [_POINTER],
    "sd_journal_add_match": [_POINTER, ctypes.c_char_p, ctypes.c_size_t],
    "sd_journal_set_data_threshold": [_POINTER, ctypes.c_size_t],
    "sd_journal_get_fd": [_POINTER],
    "sd_journal_process": [_POINTER],
    "sd_journal_seek_tail": [_POINTER],
    "sd_journal_previous_skip": [_POINTER, ctypes.c_uint64],
    "sd_journal_next": [_POINTER],
    "sd_journal_get_data": [
        _POINTER,
        ctypes.c_char_p,
        ctypes.POINTER(_POINTER),
        ctypes.POINTER(ctypes.c_size_t),
    ],
    "sd_journal_get_realtime_usec": [_POINTER, ctypes.POINTER(ctypes.c_uint64)],
}


def load_systemd() -> Systemd:
    """Load the library; raise ``OSError`` where there is none, or an old one."""
    library = ctypes.CDLL(_LIBRARY)
    for name, arguments in _ARGUMENTS.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise OSError(errno.ENOSYS, f"{_LIBRARY} has no {name}") from None
        function.argtypes = arguments
        function.restype = None if name == "sd_journal_close" else ctypes.c_int
    return library


class JournalHandle:
    """An open journal. Every method raises ``OSError`` where the library reports one."""

    def __init__(self, library: Systemd) -> None:
        self._library = library
        self._handle = _POINTER()
        checked(library.sd_journal_open(ctypes.byref(self._handle), _LOCAL_ONLY))

    def close(self) -> None:
        """Close it; once."""
        self._library.sd_journal_close(self._handle)

    def match(self, field: str, longest_bytes: int) -> None:
        """Show entries with ``NAME=value`` alone, their data cut at about ``longest_bytes``."""
        match = field.encode()
        checked(self._library.sd_journal_add_match(self._handle, match, len(match)))
        checked(self._library.sd_journal_set_data_threshold(self._handle, longest_bytes))
        # Asking for the descriptor is what makes the library look for files that are new.
        checked(self._library.sd_journal_get_fd(self._handle))

    def look_for_changes(self) -> None:
        """Notice new and rotated files."""
        checked(self._library.sd_journal_process(self._handle))

    def go_to_last(self, count: int) -> bool:
        """Go to the first of the last ``count`` entries; return whether there is one."""
        checked(self._library.sd_journal_seek_tail(self._handle))
        return checked(self._library.sd_journal_previous_skip(self._handle, count)) > 0

    def go_on(self) -> bool:
        """Go to the next entry; return whether there is one."""
        return checked(self._library.sd_journal_next(self._handle)) > 0

    def data(self, field: str) -> bytes:
        """Return a field of this entry; empty if it has none."""
        start, length = _POINTER(), ctypes.c_size_t()
        status = self._library.sd_journal_get_data(
            self._handle, field.encode(), ctypes.byref(start), ctypes.byref(length)
        )
        if status in (-errno.ENOENT, -errno.EBADMSG, -errno.E2BIG):
            return b""
        checked(status)
        raw = ctypes.string_at(start.value, length.value) if start.value else b""
        return raw.removeprefix(f"{field}=".encode())

    def written_at(self) -> float:
        """Return when this entry was written, Unix seconds."""
        microseconds = ctypes.c_uint64()
        checked(self._library.sd_journal_get_realtime_usec(self._handle, ctypes.byref(microseconds)))
        return microseconds.value / 1e6


def checked(status: int) -> int:
    """Return ``status``; raise ``OSError`` if it is a negative errno."""
    if status < 0:
        raise OSError(-status, os.strerror(-status))
    return status


UNIT = "ollama.service"
JOURNAL_DIRECTORIES = (Path("/var/log/journal"), Path("/run/log/journal"))
BACKLOG_ENTRIES = 5000
"""Lines looked back for the load in progress: one load logs a few hundred."""


class Journal:
    """Reads what ``ollama.service`` writes from ``since`` on (Unix seconds).

    Opened by the first read, in its thread: the library wants one thread. One without permission opens too,
    and shows nothing; so the files are looked at first.
    """

    def __init__(
        self,
        since: float,
        load: Callable[[], Systemd] = load_systemd,
        directories: Sequence[Path] = JOURNAL_DIRECTORIES,
    ) -> None:
        self._since = self._seen_at = since
        self._load = load
        self._directories = directories
        self._handle: JournalHandle | None = None
        self._is_placed = False
        self._is_in_backlog = True

    def read(self) -> list[Entry]:
        """Return lines that are new, about 256 KiB at most; raise ``OSError``: no journal, no permission."""
        handle = self._opened()
        handle.look_for_changes()
        entries: list[Entry] = []
        size = 0
        while size < BYTES_PER_READ and self._go_on(handle):
            at, text = handle.written_at(), handle.data("MESSAGE").decode(errors="replace")
            size += len(text)
            if self._is_wanted(at):
                entries += [Entry(line, at) for line in text.splitlines()]
        return entries

    def close(self) -> None:
        """Close the journal; the next read opens it again where this one ended."""
        if self._handle is not None:
            self._handle.close()
        self._handle, self._since = None, math.nextafter(self._seen_at, math.inf)
        self._is_placed, self._is_in_backlog = False, True

    def _opened(self) -> JournalHandle:
        if self._handle is None:
            check_permission(self._directories)
            self._handle = JournalHandle(self._load())
            self._handle.match(f"_SYSTEMD_UNIT={UNIT}", LONGEST_LINE_BYTES)
        return self._handle

    def _go_on(self, handle: JournalHandle) -> bool:
        """Go to the next entry, at first some way back."""
        if self._is_placed:
            return handle.go_on()
        self._is_placed = handle.go_to_last(BACKLOG_ENTRIES)
        return self._is_placed

    def _is_wanted(self, at: float) -> bool:
        """Return whether an entry is not too old; after the first one that is wanted all are."""
        self._is_in_backlog = self._is_in_backlog and at < self._since
        if not self._is_in_backlog:
            self._seen_at = at
        return not self._is_in_backlog


def check_permission(directories: Sequence[Path]) -> None:
    """Raise ``FileNotFoundError`` where no journal is kept, ``PermissionError`` where none can be read."""
    files = [file for directory in directories for file in directory.glob("*/system.journal")]
    if not files:
        raise FileNotFoundError(errno.ENOENT, "no system journal", str(directories[0]))
    if not any(os.access(file, os.R_OK) for file in files):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(files[0]))
