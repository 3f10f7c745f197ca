"""Writes a recording while the samples come, off the event loop."""

from __future__ import annotations

import errno
import fcntl
import os
import queue
import stat
import threading
import time
from pathlib import Path

from gpumon.app.recording.keys import Keys
from gpumon.app.recording.lines import MAGIC, Header, RecordingError, encode_header, encode_line
from gpumon.app.recording.packing import PLAIN, Form, Press, form_of_content, form_of_name
from gpumon.app.recording.spools import first_bytes
from gpumon.collectors.samples import AnySample

FLUSH_SECONDS = 2.0
"""So much of a packed recording is lost at most when the process is killed."""
STDOUT = Path("/dev/stdout")
WAITING_LINES = 20_000
"""Lines that may wait for a disk or a reader that is slow; beyond that the recording ends."""
CLOSE_SECONDS = 2.0
"""How long ``close`` waits for the lines that are still to be written."""


class Recorder:
    """Appends samples to ``path``: a new file, a recording that is continued, a FIFO, ``/dev/stdout``.

    A new file whose name ends in ``.gz`` or ``.zst`` is packed, and one that is continued goes on as it is.
    Each plain line is written by one call, so that a process that is killed leaves at most one cut line;
    packed ones are written every two seconds. A disk that is full or gone ends the recording, not the
    dashboard: see ``problem``. A file has one writer, in this process or another.

    Raises:
        RecordingError: the file cannot be opened, another writes to it, or it is no recording.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self._problem: RecordingError | None = None
        self._lines: queue.Queue[bytes | None] = queue.Queue(WAITING_LINES)
        self._first = encode_header(header)
        self._keys: Keys | None = None
        self._form = form_of_name(path)
        self._descriptor: int | None = None
        if not _waits_for_a_reader(path):
            self._descriptor = _open(path)
            self._form, joint = _continued(path, self._descriptor, self._form)
            if stat.S_ISREG(os.fstat(self._descriptor).st_mode):  # whoever reads a pipe begins at its start
                self._keys = Keys()
            self._first = joint + self._first
        self._thread = threading.Thread(target=self._write_all, name=f"recording {path}", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> RecordingError | None:
        """Why it has ended before it was closed."""
        return self._problem

    @property
    def lost_reader(self) -> bool:
        """Whether it has ended because nobody reads standard output any more, which is the usual way out."""
        error = self._problem.__cause__ if self._problem is not None else None
        return self.path == STDOUT and isinstance(error, BrokenPipeError | ConnectionResetError)

    def write(self, sample: AnySample) -> None:
        """Record ``sample``. Never blocks; after a problem it does nothing."""
        if self._problem is not None:
            return
        try:
            line = encode_line(sample)
            if self._keys is not None and (key := self._keys.due(sample, line)):
                self._lines.put_nowait(key)
            self._lines.put_nowait(line)
        except queue.Full:
            self._problem = RecordingError(f"recording to {self.path} ended: writing is too slow")

    def close(self) -> None:
        """Write what waits and close the file; does not wait long for one that hangs."""
        try:
            self._lines.put(None, timeout=CLOSE_SECONDS)
        except queue.Full:
            return
        self._thread.join(CLOSE_SECONDS)

    def _write_all(self) -> None:
        try:
            self._write_lines()
        except OSError as error:
            self._problem = RecordingError(f"recording to {self.path} ended: {_words(error)}")
            self._problem.__cause__ = error
        except RecordingError as error:
            self._problem = error
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)

    def _write_lines(self) -> None:
        if self._descriptor is None:
            self._descriptor = _open(self.path)
        press, due = Press(self._form), time.monotonic() + FLUSH_SECONDS
        _write(self._descriptor, press.add(self._first))
        while (line := self._next(press, due)) is not None:
            if line and not press.holds:
                due = time.monotonic() + FLUSH_SECONDS
            if line:
                _write(self._descriptor, press.add(line))
            if press.holds and time.monotonic() >= due:
                _write(self._descriptor, press.flush())
        _write(self._descriptor, press.finish())

    def _next(self, press: Press, due: float) -> bytes | None:
        """Return the next line; nothing where what was packed before it should not wait any longer."""
        if not press.holds:
            return self._lines.get()
        try:
            return self._lines.get(timeout=max(0.0, due - time.monotonic()))
        except queue.Empty:
            return b""


def _waits_for_a_reader(path: Path) -> bool:
    """Whether opening ``path`` would block until another program reads it."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if path != STDOUT or error.errno != errno.ENXIO:
            raise RecordingError(f"cannot record to {path}: {_words(error)}") from error
        descriptor = os.dup(1)  # a socket, as some sshd give: it cannot be opened by its name
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        _lock(path, descriptor)
    return descriptor


def _lock(path: Path, descriptor: int) -> None:
    """Keep others from writing in between; the system lets go of it however this process ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RecordingError(f"cannot record to {path}: another gpumon is recording to it") from None
    except OSError:  # a file system without locks
        return


def _continued(path: Path, descriptor: int, form: Form) -> tuple[Form, bytes]:
    """Return how the file goes on, and what must come before a header: an end of line where the last is cut.

    Raises:
        RecordingError: the file holds something else than a recording.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return form, b""
    try:
        with path.open("rb") as file:
            form = form_of_content(file.read(4), path)
            begin = first_bytes(file, form, 0)
            file.seek(-1, os.SEEK_END)
            end = file.read(1)
    except (OSError, RecordingError) as error:
        os.close(descriptor)
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"cannot continue {path}: {_words(error)}") from error
    if not begin.startswith(MAGIC):
        os.close(descriptor)
        raise RecordingError(f"{path} is not a gpumon recording; it is left as it is")
    return form, b"\n" if form is PLAIN and end != b"\n" else b""


def _write(descriptor: int, line: bytes) -> None:
    """Write a line, by one call unless the system takes only a part of it."""
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
        raise FileNotFoundError(errno.ENOENT, "the file was deleted")
    while line:
        line = line[os.write(descriptor, line) :]


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
