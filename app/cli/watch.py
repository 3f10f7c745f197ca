"""Lines on standard output, one for each change, until told to end or nobody reads."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from typing import TYPE_CHECKING

from gpumon.app.cli.output import json_line
from gpumon.app.errors import GpumonError
from gpumon.collectors.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gpumon.app.snapshot.schema import Snapshot

READER_SECONDS = 0.5
"""Between two looks at whether anybody still reads: while nothing changes, no write would tell."""
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Lines:
    """Standard output, a line at a time, past every buffer.

    Written in a thread of its own: a reader that is slow or stopped stops neither the looks nor the end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._worker = Worker("lines")

    async def tell(self, snapshot: Snapshot) -> None:
        """Write one document; what is raised is as for ``write``."""
        await self.write(json_line(snapshot), "snapshot")

    async def write(self, line: bytes, what: str) -> None:
        """Write one line; raise ``BrokenPipeError`` where nobody reads. ``what`` names it in errors.

        Raises:
            GpumonError: the output is full, or cannot be written.
        """
        try:
            await self._worker.run(lambda: self._write(line))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise GpumonError(f"cannot write the {what}: {str(error.strerror).lower()}") from None

    async def until_left(self) -> None:
        """Return once nobody can read any more what is written: the other end of a pipe is closed."""
        closed = select.poll()
        closed.register(self._descriptor, 0)
        while not closed.poll(0):  # noqa: ASYNC110 - nobody else would tell
            await asyncio.sleep(READER_SECONDS)

    def close(self) -> None:
        """Write nothing more; a write that still waits for its reader ends with the process."""
        self._worker.close()

    def _write(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._descriptor, line) :]


def output() -> Lines:
    """Return standard output.

    Raises:
        GpumonError: there is none.
    """
    if sys.stdout is None:
        raise GpumonError("there is no standard output to write to")
    sys.stdout.flush()
    return Lines(sys.stdout.fileno())


async def until_told_to_end(watching: Coroutine[None, None, None], lines: Lines) -> None:
    """Run ``watching`` until it ends, the process is told to end, or nobody reads: no error, either."""
    running, leaving = asyncio.ensure_future(watching), asyncio.ensure_future(lines.until_left())
    loop = asyncio.get_running_loop()
    for ending in (one for one in _ENDINGS if signal.getsignal(one) != signal.SIG_IGN):  # as nohup has it
        loop.add_signal_handler(ending, running.cancel)
    try:
        await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        running.cancel()
        leaving.cancel()
        await asyncio.wait({running, leaving})
        lines.close()
    if not running.cancelled() and not isinstance(running.exception(), BrokenPipeError):
        running.result()
