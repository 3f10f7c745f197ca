"""How the program ends: when told to, quietly; of an error, with a report; in both cases for certain."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

GRACE_SECONDS = 3.0
"""How long leaving may take. A terminal that has gone can block Textual's writer for ever."""

HUNG_UP = 128 + signal.SIGHUP
"""The exit code for a terminal that has gone, by whichever way that is learnt."""

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""Textual's driver leaves these alone, and the terminal with them in its own mode."""

TERMINAL_GONE = frozenset({errno.EIO, errno.ENXIO})
"""What reading and writing say once the terminal has been closed (Linux, tty_io.c: a hung-up tty)."""


def leave_on_signals(leave: Callable[[int], None]) -> None:
    """Call ``leave`` with the exit code when told to end; end the process if that does not."""
    loop = asyncio.get_running_loop()
    for number in ENDINGS:
        loop.add_signal_handler(number, leave_for_certain, leave, 128 + number)


def leave_for_certain(leave: Callable[[int], None], code: int) -> None:
    """Call ``leave`` with ``code``, and end the process if that does not."""
    end_for_certain(code)
    leave(code)


def end_for_certain(code: int) -> None:
    """End the process with ``code`` if it has not ended by itself within ``GRACE_SECONDS``."""
    last_resort = threading.Timer(GRACE_SECONDS, os._exit, [code])
    last_resort.daemon = True
    last_resort.start()


def is_terminal_gone(error: BaseException) -> bool:
    """Whether ``error`` is what a thread that reads or writes a closed terminal dies of."""
    return isinstance(error, OSError) and error.errno in TERMINAL_GONE


@contextmanager
def watch_for_deaths(end: Callable[[Exception], None]) -> Iterator[None]:
    """Call ``end`` in the running loop for each thread or task that dies of an exception nobody takes."""
    loop, before = asyncio.get_running_loop(), threading.excepthook

    def thread_died(death: threading.ExceptHookArgs) -> None:
        if isinstance(death.exc_value, Exception):
            with suppress(RuntimeError):  # the loop has ended, and the program with it
                loop.call_soon_threadsafe(end, death.exc_value)

    def told(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(context.get("future"), asyncio.Task) and isinstance(error, Exception):
            end(error)
        else:
            loop.default_exception_handler(context)

    threading.excepthook = thread_died
    loop.set_exception_handler(told)
    try:
        yield
    finally:
        threading.excepthook = before
        loop.set_exception_handler(None)


def write_crash_report(error: BaseException, folder: Path | None = None) -> str:
    """Write where ``error`` came from to a file and return one line that says where that is.

    Of each exception it holds the type and the lines of code, not its text: that may be a header or a name.
    """
    path = (folder or user_state_path("gpumon")) / "crash.txt"
    problem = f"internal error ({type(error).__name__})"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text("".join(_report(error)), encoding="utf-8")
    except OSError:
        return f"{problem}; no report could be written to {path}"
    return f"{problem}; please report it with {path}"


def _report(error: BaseException) -> Iterator[str]:
    """Yield the report, the cause of each exception before it."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _report(before)
        yield "\nwhich led to\n\n"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _report(inner)
            yield "\nin a group\n\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
