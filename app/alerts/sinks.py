"""Where alerts go besides the screen: the user's command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import asdict

from gpumon.app.alerts.alert import AlertEvent
from gpumon.text.safe import visible

DEADLINE_SECONDS = 10.0
AT_ONCE = 4
WAITING_AT_MOST = 100


class AlertHook:
    """Runs the user's command for each event, with one JSON object on its standard input.

    Never waits for it, never raises because of it; its output is discarded. What goes wrong is said in one
    line to ``notice``.
    """

    def __init__(
        self,
        command: Sequence[str],
        notice: Callable[[str], None],
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        self._command = tuple(command)
        self._notice = notice
        self._deadline_seconds = deadline_seconds
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, event: AlertEvent, host: str = "") -> None:
        """Start the command for ``event``, or as soon as fewer than ``AT_ONCE`` are running.

        ``host`` is where it happened, if several machines are watched.
        """
        if len(self._tasks) >= WAITING_AT_MOST:
            self._notice(f"the alert command is too slow, left out: {event.alert.message}")
            return
        task = asyncio.get_running_loop().create_task(self._run(event_json(event, host)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, grace_seconds: float = 1.0) -> None:
        """Return what is running ``grace_seconds`` to end, then end it."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _run(self, line: bytes) -> None:
        async with self._slots:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
                )
            except (OSError, ValueError) as error:
                self._fail(f"cannot be started: {visible(str(error))}")
                return
            await self._feed(process, line)

    async def _feed(self, process: Process, line: bytes) -> None:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                await process.communicate(line)
        except TimeoutError:
            self._fail(f"took longer than {self._deadline_seconds:g} s and was ended")
        else:
            if process.returncode:
                self._fail(f"ended with status {process.returncode}")
        finally:
            await _ended(process)

    def _fail(self, what: str) -> None:
        self._notice(f"alert command {visible(self._command[0])} {what}")


def event_json(event: AlertEvent, host: str = "") -> bytes:
    """Write an event as one line of JSON: ``change``, ``host`` if there are several, the alert's fields."""
    where = {"host": host} if host else {}
    return msgspec.json.encode({"change": event.change, **where, **asdict(event.alert)}) + b"\n"


async def _ended(process: Process) -> None:
    """Kill the process and those it started, if it still runs, and reap it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
