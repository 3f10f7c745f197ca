"""What ends the program by a fault of ours: a report in a file, one line on the terminal, a status."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

from gpumon.app.log import code_lines, make_private_folder, open_private, state_folder

EXIT_CRASHED = 70
"""EX_SOFTWARE of sysexits.h: not one of those by which commands say how the machine is."""

_log = logging.getLogger("gpumon.crash")
_T = TypeVar("_T")


def write_crash_report(error: BaseException, folder: Path | None = None) -> str:
    """Write where ``error`` came from to a file and return one line that says where that is.

    Of each exception it holds the type and the lines of code, not its text: that may be a header or a name.
    """
    path = (folder or state_folder()) / "crash.txt"
    problem = f"internal error ({type(error).__name__})"
    try:
        make_private_folder(path.parent)
        with os.fdopen(open_private(path, os.O_TRUNC), "w", encoding="utf-8", errors="replace") as file:
            file.writelines(code_lines(error))
    except OSError:
        return f"{problem}; no report could be written to {path}"
    return f"{problem}; please report it with {path}"


@contextlib.contextmanager
def watch_for_deaths(end: Callable[[Exception], None]) -> Iterator[None]:
    """Call ``end`` in the running loop for each thread or task that dies of an exception nobody takes.

    What merely went wrong in a callback, or with a connection that broke, is logged, and goes on.
    """
    loop = asyncio.get_running_loop()
    before = threading.excepthook

    def thread_died(death: threading.ExceptHookArgs) -> None:
        if isinstance(death.exc_value, Exception):
            _log.error(
                "thread %s died", death.thread.name if death.thread else None, exc_info=death.exc_value
            )
            with contextlib.suppress(RuntimeError):  # the loop is closed: it ends anyway
                loop.call_soon_threadsafe(end, death.exc_value)

    def loop_fault(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        _log.error("%s", context.get("message"), exc_info=error if isinstance(error, Exception) else None)
        dead = context.get("task") or context.get("future")  # a lost task is named as a future
        if isinstance(dead, asyncio.Task) and isinstance(error, Exception) and not isinstance(error, OSError):
            end(error)

    threading.excepthook = thread_died
    loop.set_exception_handler(loop_fault)
    try:
        yield
    finally:
        threading.excepthook = before
        loop.set_exception_handler(None)


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run ``main`` as ``asyncio.run`` does, and raise what a thread or task of ours has died of meanwhile."""
    return asyncio.run(_watched(main))


async def _watched(main: Coroutine[Any, Any, _T]) -> _T:
    deaths: list[Exception] = []
    running = asyncio.ensure_future(main)

    def end(error: Exception) -> None:
        deaths.append(error)
        running.cancel()

    with watch_for_deaths(end):
        try:
            result = await running
        except asyncio.CancelledError:
            if deaths:
                raise deaths[0] from None
            raise
    if deaths:
        raise deaths[0]
    return result
