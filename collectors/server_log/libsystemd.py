"""The functions of libsystemd that read the journal (man 3 sd-journal), without starting a process."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Protocol

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
        """Go to the first of the last ``count`` entries; tell whether there is one."""
        checked(self._library.sd_journal_seek_tail(self._handle))
        return checked(self._library.sd_journal_previous_skip(self._handle, count)) > 0

    def go_on(self) -> bool:
        """Go to the next entry; tell whether there is one."""
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
