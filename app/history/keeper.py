"""Keeps the history of a run in a thread of its own: rows go in without a wait, trouble comes out."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gpumon.app.history.file import Bounds, HistoryFile, NewRow, Run
from gpumon.app.history.reader import HistoryError
from gpumon.collectors.samples import SourceHealth

WAITING_ROWS = 20_000
"""Rows that may wait for a disk that is full, hangs or is locked: some hours' worth; then the oldest go."""
FORGET_SECONDS = 3600.0
CLOSE_SECONDS = 2.0
"""How long ``close`` waits for what is still to be written."""
SET_ASIDE_SECONDS = 600.0
"""So long it is told that a damaged file was moved aside."""


class HistoryKeeper:
    """Writes what it is given, in one transaction each time; what could not be written is tried again."""

    def __init__(self, path: Path, run: Run, bounds: Bounds, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._file = HistoryFile(path, run)
        self._bounds = bounds
        self._clock = clock
        self._batches: queue.SimpleQueue[Sequence[NewRow] | None] = queue.SimpleQueue()
        self._waiting: list[NewRow] = []
        self._trouble: SourceHealth | None = None
        self._told_until = float("-inf")
        self._forgot_at = float("-inf")
        self._thread: threading.Thread | None = None

    def put(self, rows: Sequence[NewRow]) -> None:
        """Have rows written soon. Never blocks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="history", daemon=True)
            self._thread.start()
        self._batches.put(rows)

    def trouble(self) -> SourceHealth | None:
        """Return what is wrong with writing, as long as it is."""
        return self._trouble

    def close(self) -> None:
        """Write what waits; does not wait long for a disk that hangs."""
        if self._thread is not None:
            self._batches.put(None)
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            self._waiting = [*self._waiting, *batch][-WAITING_ROWS:]
            self._save()
        self._file.close()

    def _save(self) -> None:
        now = self._clock()
        try:
            words = self._file.write(self._waiting, now)
            self._waiting = []
            if time.monotonic() - self._forgot_at >= FORGET_SECONDS:
                self._file.forget(self._bounds, now)
                self._forgot_at = time.monotonic()
        except HistoryError as error:
            self._trouble = SourceHealth(state="failing", detail=str(error))
            return
        if words is not None:
            self._trouble = SourceHealth(state="nonsense", detail=words)
            self._told_until = time.monotonic() + SET_ASIDE_SECONDS
        elif time.monotonic() >= self._told_until:
            self._trouble = None
