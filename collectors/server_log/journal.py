"""Follows the journal of Ollama's service."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from gpumon.collectors.server_log.libsystemd import JournalHandle, Systemd, load_systemd
from gpumon.collectors.server_log.parse import LONGEST_LINE_BYTES
from gpumon.collectors.server_log.reader import BYTES_PER_READ, Entry

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
        """Tell whether an entry is not too old; after the first one that is wanted all are."""
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
