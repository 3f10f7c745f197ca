"""A journal for tests: the functions of libsystemd over a list."""

from __future__ import annotations

import ctypes
import errno
from dataclasses import dataclass, field


@dataclass
class FakeSystemd:
    """Entries are (microseconds, message); ``failing`` names a function that returns ``-EIO``."""

    entries: list[tuple[int, bytes | None]] = field(default_factory=list)
    failing: str | None = None
    matches: list[bytes] = field(default_factory=list)
    opened: int = 0
    _position: int = -1
    _kept: ctypes.Array[ctypes.c_char] | None = None

    def _status(self, function: str, good: int = 0) -> int:
        return -errno.EIO if function == self.failing else good

    def sd_journal_open(self, handle: object, flags: int) -> int:
        self.opened += 1
        return self._status("open")

    def sd_journal_close(self, handle: object) -> None:
        self.opened -= 1

    def sd_journal_add_match(self, handle: object, data: bytes, size: int) -> int:
        self.matches.append(data[:size])
        return self._status("add_match")

    def sd_journal_set_data_threshold(self, handle: object, size: int) -> int:
        return 0

    def sd_journal_get_fd(self, handle: object) -> int:
        return 9

    def sd_journal_process(self, handle: object) -> int:
        return self._status("process")

    def sd_journal_seek_tail(self, handle: object) -> int:
        self._position = len(self.entries)
        return 0

    def sd_journal_previous_skip(self, handle: object, count: int) -> int:
        skipped = min(count, self._position)
        self._position -= skipped
        return skipped

    def sd_journal_next(self, handle: object) -> int:
        there_is = self._position + 1 < len(self.entries)
        self._position += there_is
        return self._status("next", int(there_is))

    def sd_journal_get_data(self, handle: object, name: bytes, start: object, size: object) -> int:
        message = self.entries[self._position][1]
        if message is None:
            return -errno.ENOENT
        data = name + b"=" + message
        self._kept = ctypes.create_string_buffer(data, len(data))
        _put(start, ctypes.addressof(self._kept))
        _put(size, len(data))
        return self._status("get_data")

    def sd_journal_get_realtime_usec(self, handle: object, microseconds: object) -> int:
        _put(microseconds, self.entries[self._position][0])
        return 0


def _put(reference: object, value: int) -> None:
    """Store what a caller of C gets back through a pointer made by ``ctypes.byref``."""
    reference._obj.value = value  # type: ignore[attr-defined]
