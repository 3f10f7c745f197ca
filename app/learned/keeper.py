"""Keeps what the state learns in the file, seldom and off the event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from gpumon.app.learned.file import SaveError, document_of, save
from gpumon.app.state.state import State
from gpumon.collectors.learned import Document
from gpumon.collectors.samples import AnySample, SourceHealth

SAVE_SECONDS = 30.0
"""No more often than this, by the time of the samples."""
CLOSE_SECONDS = 2.0
NOTHING_SAVED = -1
"""No revision: what could not be written is tried again."""


class Keeper:
    """Follows a live state and writes after something was learned; at its close what is left.

    ``on_sample`` is to be called after the state has taken each sample.
    """

    def __init__(self, state: Callable[[], State], path: Path) -> None:
        self.path = path
        self._state = state
        self._saved_revision = 0
        self._saved_at: float | None = None
        self._trouble: SourceHealth | None = None
        self._thread: threading.Thread | None = None

    def trouble(self) -> SourceHealth | None:
        """Return what is wrong with writing, as long as it is."""
        return self._trouble

    def close(self) -> None:
        """Write what is left; does not wait long for a disk that hangs."""
        self._wait()
        if self._has_news() and not self._is_writing():
            self._start()
            self._wait()

    def on_sample(self, _sample: AnySample) -> None:
        """Write if there is something new and the last time is long enough ago."""
        if self._has_news() and self._is_due() and not self._is_writing():
            self._start()

    def _has_news(self) -> bool:
        return self._state().learned.revision != self._saved_revision

    def _is_due(self) -> bool:
        return self._saved_at is None or self._state().now - self._saved_at >= SAVE_SECONDS

    def _is_writing(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        state = self._state()
        self._saved_revision, self._saved_at = state.learned.revision, state.now
        learned = document_of(state.learned)
        self._thread = threading.Thread(target=self._save, args=(learned,), name="learned", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _save(self, learned: Document) -> None:
        try:
            words = save(self.path, learned)
        except SaveError as error:
            self._saved_revision = NOTHING_SAVED
            self._trouble = SourceHealth(state="failing", detail=str(error))
        else:
            self._trouble = SourceHealth(state="nonsense", detail=words) if words else None
