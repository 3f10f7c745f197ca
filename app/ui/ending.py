"""How the program ends: when told to, quietly; of an error, with a report; in both cases for certain."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import threading
from collections.abc import Callable

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
