"""The contract of a source, and the loop that polls it: cadence, watchdog, no drift."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from gpumon.collectors.clock import Clock
from gpumon.collectors.samples import AnySample, SourceSilent

Emit = Callable[[AnySample], None]
"""Takes each sample; never blocks."""

SILENT_AFTER_SECONDS = 2.0
"""A poll that takes longer than this is reported, once a second, until it ends."""


class Source(Protocol):
    """Something that can be asked. Failure is data: ``poll`` returns a sample that says what is wrong."""

    @property
    def name(self) -> str:
        """The ``source`` of its samples."""
        ...

    async def poll(self) -> Sequence[AnySample]:
        """Ask once and return what was said. May take for ever; the watchdog reports it."""
        ...

    def delay(self, interval: float) -> float:
        """Return seconds from this poll's start to the next one, for the user's ``interval``."""
        ...

    async def close(self) -> None:
        """Release what is held; called once, also in the middle of a poll."""
        ...


class Cadence:
    """The user's refresh interval in seconds, shared by all sources and changed while they run."""

    MINIMUM = 0.25
    MAXIMUM = 60.0

    def __init__(self, interval: float = 1.0) -> None:
        self._interval = self._clamped(interval)
        self._changed = asyncio.Event()

    @property
    def interval(self) -> float:
        """Seconds between polls of a busy source."""
        return self._interval

    def change(self, interval: float) -> None:
        """Set the interval and wake the sources that are waiting for the old one."""
        self._interval = self._clamped(interval)
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Sleep for ``seconds`` or until the interval changes."""
        changed = self._changed
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            pass

    def _clamped(self, interval: float) -> float:
        return min(max(interval, self.MINIMUM), self.MAXIMUM)


async def run_source(source: Source, emit: Emit, cadence: Cadence, clock: Clock) -> None:
    """Poll ``source`` until cancelled, handing each sample to ``emit``.

    Polls start ``source.delay`` apart (start to start, so the cadence does not drift with the time that a
    poll takes); the next one never starts before the last one ended.
    """
    loop = asyncio.get_running_loop()
    try:
        while True:
            started = loop.time()
            for sample in await _watched_poll(source, emit, clock):
                emit(sample)
            await cadence.wait(max(0.0, started + source.delay(cadence.interval) - loop.time()))
    finally:
        await source.close()


async def _watched_poll(source: Source, emit: Emit, clock: Clock) -> Sequence[AnySample]:
    """Poll once; while it is late, emit a ``SourceSilent`` every second."""
    asked = clock.now()
    poll = asyncio.ensure_future(source.poll())
    try:
        done, _ = await asyncio.wait({poll}, timeout=SILENT_AFTER_SECONDS)
        while not done:
            now = clock.now()
            emit(SourceSilent(time=now, source=source.name, seconds=now - asked))
            done, _ = await asyncio.wait({poll}, timeout=1.0)
        return poll.result()
    finally:
        poll.cancel()
