"""The log: a private file in the state directory that names nothing of the user's, and never the terminal."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

LOG_BYTES_MAXIMUM = 1024**2
"""A file that has grown to this is set aside."""
FILES_KEPT = 3
"""``gpumon.log`` and those set aside, ``gpumon.log.1`` the newest of them."""
DEBUG_VARIABLE = "GPUMON_DEBUG"
"""Set to anything: the log tells more."""

Redact = Callable[[str], str]
"""Replaces what a text names (hosts, paths, URLs) by stand-ins."""

_PACKAGES = ("site-packages/", ".dev/")
"""What precedes ``gpumon/…`` in the path of a module; before it stands the name of the user."""


def state_folder() -> Path:
    """Return the folder of the log, of crash reports and of what was learned; it need not be there."""
    from platformdirs import user_state_path  # noqa: PLC0415 - only who writes there asks

    return user_state_path("gpumon", appauthor=False)


def make_private_folder(folder: Path) -> None:
    """Make ``folder`` if it is not there, and close it to other users.

    Raises:
        OSError: it cannot be made, or is not ours.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def open_private(path: Path, flags: int) -> int:
    """Open a file of ours for writing, readable by its owner alone; return the descriptor.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    if os.fstat(descriptor).st_mode & 0o077:
        os.fchmod(descriptor, 0o600)
    return descriptor


def log_path() -> Path:
    """Return where the log is written."""
    return state_folder() / "gpumon.log"


def log_path_words() -> str:
    """Return where the log is written as a person would type it: ``~/.local/state/gpumon/gpumon.log``."""
    path, home = str(log_path()), str(Path.home())
    return f"~{path.removeprefix(home)}" if path.startswith(f"{home}/") else path


def start_log(redactor: Callable[[], Redact], *, debug: bool = False) -> None:
    """Send what is logged, by gpumon and by what it is built on, to the file and to nothing else.

    No file is made before the first record. ``redactor`` is called for that and returns what replaces names.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LogFile)]:
        root.removeHandler(handler)
    root.addHandler(LogFile(redactor))
    level = logging.DEBUG if debug or os.environ.get(DEBUG_VARIABLE) else logging.INFO
    logging.getLogger("gpumon").setLevel(level)


class LogFile(logging.Handler):
    """Appends each record by one write; several gpumon may share the file. Never raises, never prints."""

    def __init__(self, redactor: Callable[[], Redact]) -> None:
        super().__init__()
        self._redactor = redactor
        self._redact: Redact | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; a disk that is full or gone loses it, and ends nothing."""
        try:
            if self._redact is None:
                self._redact = self._redactor()
            _append(log_path(), f"{_line(record, self._redact)}\n".encode(errors="replace"))
        except Exception:  # noqa: S110 - a log that fails has nobody to tell
            pass


def code_lines(error: BaseException) -> Iterator[str]:
    """Yield where an exception and those before it came from: the type and the lines of code.

    Their texts are left out: one may be a header or a name.
    """
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from code_lines(before)
        yield "\nwhich led to\n\n"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from code_lines(inner)
            yield "\nin a group\n\n"
    for frame in traceback.extract_tb(error.__traceback__):
        yield f'  File "{_module(frame.filename)}", line {frame.lineno}, in {frame.name}\n'
        if frame.line:
            yield f"    {frame.line}\n"
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"


def _module(path: str) -> str:
    """Return the path of a module from its package on."""
    for packages in _PACKAGES:
        _, found, module = path.rpartition(packages)
        if found:
            return module
    return Path(path).name


def _line(record: logging.LogRecord, redact: Redact) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
    head = f"{when} {record.levelname.lower():<7} {record.name}: {_message(record, redact)}"
    error = record.exc_info[1] if record.exc_info else None
    return head if error is None else f"{head}\n{''.join(code_lines(error))}".rstrip("\n")


def _message(record: logging.LogRecord, redact: Redact) -> str:
    """Return the message with every argument redacted; of others than gpumon, the message as a whole."""
    if record.name.partition(".")[0] != "gpumon" or not isinstance(record.args, tuple):
        return redact(record.getMessage())
    return str(record.msg) % tuple(
        one if one is None or isinstance(one, int | float) else redact(str(one)) for one in record.args
    )


def _append(path: Path, line: bytes) -> None:
    make_private_folder(path.parent)
    if path.exists() and path.stat().st_size + len(line) > LOG_BYTES_MAXIMUM:
        _set_aside(path)
    descriptor = open_private(path, os.O_APPEND)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def _set_aside(path: Path) -> None:
    """Rename the files, the oldest of which is lost."""
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, FILES_KEPT))]
    for older, newer in reversed([*zip(names[1:], names, strict=False)]):
        if newer.exists():
            newer.replace(older)
