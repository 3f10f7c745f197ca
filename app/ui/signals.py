"""Ending when told to: quietly, with the terminal restored, and for certain."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

GRACE_SECONDS = 3.0
"""How long leaving may take. A terminal that has gone can block Textual's writer for ever."""

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""Textual's driver leaves these alone, and the terminal with them in its own mode."""


def leave_on_signals(leave: Callable[[int], None]) -> None:
    """Call ``leave`` with the exit code when told to end; end the process if that does not."""
    loop = asyncio.get_running_loop()
    for number in ENDINGS:
        loop.add_signal_handler(number, _leave, leave, 128 + number)


def _leave(leave: Callable[[int], None], code: int) -> None:
    last_resort = threading.Timer(GRACE_SECONDS, os._exit, [code])
    last_resort.daemon = True
    last_resort.start()
    leave(code)
