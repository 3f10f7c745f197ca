"""Whether the runner itself listens on the port, looked at before anything is sent there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Literal

from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.processes.sockets import own_listeners
from gpumon.collectors.runners.target import RunnerTarget
from gpumon.collectors.worker import Worker

Ownership = Literal[
    "own",
    "other",  # another program listens there
    "closed",  # nobody does
    "unknown",  # another user's process: its sockets cannot be seen
]
FindOwner = Callable[[RunnerTarget], Awaitable[Ownership]]

CONNECT_SECONDS = 1.0


class PortOwner:
    """Looks up listeners in ``/proc``, off the event loop."""

    def __init__(self, worker: Worker, proc: Proc | None = None) -> None:
        self._worker = worker
        self._proc = proc or Proc()

    async def __call__(self, target: RunnerTarget) -> Ownership:
        """Tell who owns the port of ``target``.

        A connection that sends nothing tells a port that is not open yet from another program's; the second
        look is for a runner that has opened it in between.
        """
        first = await self._listens(target)
        if first is not False:
            return "unknown" if first is None else "own"
        if not await accepts(target):
            return "closed"
        return "own" if await self._listens(target) else "other"

    async def _listens(self, target: RunnerTarget) -> bool | None:
        return await self._worker.run(lambda: listens(self._proc, target))


def listens(proc: Proc, target: RunnerTarget) -> bool | None:
    """Tell whether the process of ``target`` listens on its port; ``None`` where it may not be seen."""
    try:
        return any(listener.port == target.port for listener in own_listeners(proc, target.pid))
    except OSError:
        return None


async def accepts(target: RunnerTarget) -> bool:
    """Tell whether anybody takes a connection on the port of ``target``."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(target.address, target.port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
