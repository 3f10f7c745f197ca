"""What the state has learned, kept across runs in the state directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from gpumon.app.errors import GpumonError
from gpumon.app.log import make_private_folder, state_folder
from gpumon.app.state.records import LearnedRecord
from gpumon.app.state.records.learned import record_of
from gpumon.app.state.state import State
from gpumon.collectors.learned import Document, DocumentError, encode, read
from gpumon.collectors.samples import AnySample, SourceHealth


def learned_path() -> Path:
    """Return ``learned.json`` in the state directory."""
    return state_folder() / "learned.json"


LOCK_SECONDS = 2.0
"""How long another process may hold the directory: a write takes milliseconds."""
_LOCK_PAUSE_SECONDS = 0.02


class SaveError(GpumonError):
    """What was learned cannot be kept, in one line."""


def save(path: Path, learned: Document) -> str | None:
    """Add what was learned to the file at ``path``; of two of a kind the one renewed later stays.

    Return the words to tell if the file could not be understood and was moved aside.

    Raises:
        SaveError: it cannot be read or written: disk full, no permission, locked by another process.
    """
    return _update(path, lambda kept: _merged(learned, kept))


def remember_ram_bandwidth(bytes_per_second: float, path: Path | None = None) -> None:
    """Keep what ``gpumon calibrate`` has measured.

    Raises:
        SaveError: it cannot be written, or another process holds it.
    """
    measured = Document(ram_bandwidth_bytes_per_second=bytes_per_second)
    _update(path or learned_path(), lambda kept: _merged(kept, measured))


def check_writable(path: Path | None = None) -> None:
    """Return if something can be kept, before time is spent on it; raise ``SaveError`` as a write would."""
    kept_at = path or learned_path()
    with _trouble_in_words(kept_at):
        make_private_folder(kept_at.parent)
        with alone_in(kept_at.parent), tempfile.NamedTemporaryFile(dir=kept_at.parent) as file:
            file.write(b"\n")
            file.flush()


def document_of(record: LearnedRecord) -> Document:
    """Return all that is learned as one value that no longer changes."""
    return Document(
        baselines=tuple(record.baselines.values()),
        scales=tuple(record.scales.values()),
        memory=tuple(record.memory.values()),
        ram_observed=tuple(record.ram_observed.values()),
        ram_bandwidth_bytes_per_second=record.ram_bandwidth_bytes_per_second,
    )


def _merged(*documents: Document) -> Document:
    """Merge; of measurements of RAM the last one stays, that of the file: no running instance measures it."""
    return document_of(record_of(document.as_sample(0.0, "learned") for document in documents))


def _update(path: Path, change: Callable[[Document], Document]) -> str | None:
    with _trouble_in_words(path):
        make_private_folder(path.parent)
        with alone_in(path.parent):
            kept, words = _read(path)
            _replace(path, encode(change(kept)))
    return words


@contextlib.contextmanager
def _trouble_in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SaveError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from error


def _read(path: Path) -> tuple[Document, str | None]:
    try:
        return read(path), None
    except DocumentError as error:
        aside = move_aside(path)
        return Document(), f"{path} {error}: moved to {aside.name}"


def move_aside(path: Path) -> Path:
    """Rename a file that cannot be understood to ``NAME.bad``, or ``NAME.bad1``, …; return its new path."""
    names = (path.with_name(f"{path.name}.bad{number or ''}") for number in count())
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    return aside


def _replace(path: Path, text: bytes) -> None:
    """Write beside the file and then rename: a reader or a crash sees the old one or the new one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".learned-", delete=False) as file:
        written = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            written.replace(path)
        except OSError:
            written.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Keep other instances from writing in between; the lock goes with the descriptor.

    Raises:
        SaveError: another process has held it for ``LOCK_SECONDS``.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    last = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= last:
                raise SaveError(f"another process holds {directory} locked; nothing is kept") from None
        time.sleep(_LOCK_PAUSE_SECONDS)


SAVE_SECONDS = 30.0
"""No more often than this, by the time of the samples."""
CLOSE_SECONDS = 2.0


class Keeper:
    """Follows a live state and writes after something was learned; at its close what is left.

    ``on_sample`` is to be called after the state has taken each sample.
    """

    def __init__(self, state: Callable[[], State], path: Path) -> None:
        self.path = path
        self._state = state
        self._has_news = False
        self._saved_at: float | None = None
        self._trouble: SourceHealth | None = None
        self._thread: threading.Thread | None = None

    def trouble(self) -> SourceHealth | None:
        """Return what is wrong with writing, as long as it is."""
        return self._trouble

    def close(self) -> None:
        """Write what is left; does not wait long for a disk that hangs."""
        self._wait()
        if self._has_news and not self._is_writing():
            self._start()
            self._wait()

    def on_sample(self, _sample: AnySample) -> None:
        """Write if there is something new and the last time is long enough ago."""
        self._has_news = self._has_news or self._state().touched.learned
        if self._has_news and self._is_due() and not self._is_writing():
            self._start()

    def _is_due(self) -> bool:
        return self._saved_at is None or self._state().now - self._saved_at >= SAVE_SECONDS

    def _is_writing(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        state = self._state()
        self._has_news, self._saved_at = False, state.now
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
            self._has_news = True  # what could not be written is tried again
            self._trouble = SourceHealth(state="failing", detail=str(error))
        else:
            self._trouble = SourceHealth(state="nonsense", detail=words) if words else None
