"""A live session that runs while a test waits for what it comes to know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gpumon.app.monitor import Monitor
from gpumon.app.session.session import Session
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State

DEADLINE_SECONDS = 60.0


class Live:
    """What a monitor has made of the samples so far, and of those to come."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self._changed = asyncio.Event()
        monitor.listen(lambda _: self._changed.set())

    @property
    def state(self) -> State:
        return self.monitor.state

    def model(self, name: str) -> ModelRecord | None:
        """Return what is known of a model, if it is there."""
        return next((one for one in self.state.models.values() if one.claim.name == name), None)

    async def until(self, holds: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until something holds, asked again after each sample."""
        async with asyncio.timeout(seconds):
            while not holds():
                await self.sample()

    async def sample(self) -> None:
        """Wait for the next sample of any source."""
        self._changed.clear()
        await self._changed.wait()


@asynccontextmanager
async def running(session: Session) -> AsyncIterator[Live]:
    """Run a session for the time of the context, and close it."""
    task = asyncio.create_task(session.feed.run(session.monitor))
    try:
        yield Live(session.monitor)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await session.close()
