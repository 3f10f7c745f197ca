"""The contract of a source, its clock, and the loop that polls it: cadence, watchdog, no drift."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Protocol

from gpumon.collectors.samples import AnySample, SourceSilent


class Clock(Protocol):
    """What a collector needs to know about time; tests hand in their own."""

    def now(self) -> float:
        """Return seconds since the Unix epoch, never less than before."""
        ...


def elapsed_seconds() -> float:
    """Return seconds of a clock that ignores steps of the wall clock and, on Linux, counts suspension."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


class SystemClock:
    """Wall-clock time at the start plus elapsed time since: a stepped wall clock does not move samples."""

    def __init__(self) -> None:
        self._offset = time.time() - elapsed_seconds()

    def now(self) -> float:
        """Return seconds since the Unix epoch as of the start of this run."""
        return self._offset + elapsed_seconds()


Emit = Callable[[AnySample], None]
"""Takes each sample; never blocks."""

SILENT_AFTER_SECONDS = 2.0
"""A poll that takes longer than this is reported, once a second, until it ends."""

WAKING_SECONDS = 0.25
"""A start that is later than this is not made up for."""

CANCEL_SECONDS = 1.0
"""How long a cancelled poll may take to end before its source is closed under it."""


_log = logging.getLogger("gpumon.collectors.source")
logging.getLogger("gpumon").addHandler(logging.NullHandler())  # without a log nothing goes to the screen
_logged: set[str] = set()
MAX_LOGGED = 100


def log_defect(where: str, error: BaseException) -> None:
    """Log a defect of our own with its traceback, once; without its text, which may hold a secret."""
    trace = "".join(traceback.format_tb(error.__traceback__))
    name = type(error).__name__
    if len(_logged) < MAX_LOGGED and (entry := f"internal error in {where}: {name}\n{trace}") not in _logged:
        _logged.add(entry)
        _log.error("%s", entry)


class Backoff:
    """A delay that doubles with each failure in a row, between ``first`` and ``most``, in their unit."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._current = 0.0

    @property
    def current(self) -> float:
        """The delay after the failures so far; 0 after a success."""
        return self._current

    def failed(self) -> None:
        """Note a failure."""
        self._current = min(max(2 * self._current, self._first), self._most)

    def succeeded(self) -> None:
        """Start again."""
        self._current = 0.0


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
        """Return seconds from this poll's start to the next one, for the user's ``interval``.

        Asked more than once per poll, when the interval changes or something new is known meanwhile.
        """
        ...

    async def close(self) -> None:
        """Release what is held; called once, after the last poll has ended or been cancelled."""
        ...


class Cadence:
    """The user's refresh interval in seconds, shared by all sources and changed while they run."""

    MINIMUM = 0.25
    MAXIMUM = 60.0

    def __init__(self, interval: float = 1.0) -> None:
        self._interval = self._clamped(interval)
        self._at_least = 0.0
        self._changed = asyncio.Event()

    @property
    def interval(self) -> float:
        """Seconds between polls of a busy source."""
        return self._interval

    def change(self, interval: float) -> None:
        """Set the interval; sources that wait for the old one look again at when they are due."""
        self._interval = self._clamped(interval)
        self._wake()

    @property
    def shortest_seconds(self) -> float:
        """No source is polled more often than this: the interval, or longer while nothing happens."""
        return max(self._interval, self._at_least)

    def slow_down(self, seconds: float) -> None:
        """Poll no source more often than every ``seconds``; with less than before, waiting sources wake."""
        before, self._at_least = self._at_least, seconds
        if seconds < before:
            self._wake()

    def look_again(self) -> None:
        """Let waiting sources ask again when they are due: what was learnt may make one of them due now."""
        self._wake()

    async def wait(self, seconds: float) -> None:
        """Sleep for ``seconds`` or until there is reason to look again at when to poll."""
        changed = self._changed
        try:
            async with asyncio.timeout(seconds):
                await changed.wait()
        except TimeoutError:
            pass

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _clamped(self, interval: float) -> float:
        return min(max(interval, self.MINIMUM), self.MAXIMUM)


async def run_source(source: Source, emit: Emit, cadence: Cadence, clock: Clock) -> None:
    """Poll ``source`` until cancelled, handing each sample to ``emit``.

    Polls start ``source.delay`` apart (start to start, so the cadence does not drift with the time that a
    poll takes); the next one never starts before the last one ended. A poll that raises is a defect of that
    source alone: it is reported as a ``SourceSilent`` and polled again.
    """
    heard = clock.now()
    started = asyncio.get_running_loop().time()
    try:
        while True:
            try:
                samples = await _watched_poll(source, emit, clock)
                heard = clock.now()
            except Exception as error:
                samples = [_broken(source, error, heard, clock.now())]
            for sample in samples:
                emit(sample)
            started = await _next_start(source, cadence, started)
    finally:
        await source.close()


async def _next_start(source: Source, cadence: Cadence, started: float) -> float:
    """Sleep until the next poll is due and return when it was due, so that late wakings do not add up.

    A changed interval moves the due time; it does not poll at once, or a key held down would flood a server.
    """
    loop = asyncio.get_running_loop()
    while (due := started + _delay(source, cadence)) > loop.time():
        await cadence.wait(due - loop.time())
    return due if loop.time() - due < WAKING_SECONDS else loop.time()


def _delay(source: Source, cadence: Cadence) -> float:
    return max(source.delay(cadence.interval), cadence.shortest_seconds)


def _broken(source: Source, error: Exception, heard: float, now: float) -> SourceSilent:
    """Name the exception by its type alone: its text may hold what must not be shown."""
    log_defect(f"source {source.name}", error)
    detail = f"internal error: {type(error).__name__}"
    return SourceSilent(time=now, source=source.name, seconds=now - heard, detail=detail)


async def _watched_poll(source: Source, emit: Emit, clock: Clock) -> Sequence[AnySample]:
    """Poll once; while it is late, emit a ``SourceSilent`` every second."""
    asked = clock.now()
    poll = asyncio.ensure_future(source.poll())
    poll.add_done_callback(_mark_retrieved)
    try:
        done, _ = await asyncio.wait({poll}, timeout=SILENT_AFTER_SECONDS)
        if not done:
            _log.info("source %s is slow: asked %.0f s ago", source.name, clock.now() - asked)
        while not done:
            now = clock.now()
            emit(SourceSilent(time=now, source=source.name, seconds=now - asked))
            done, _ = await asyncio.wait({poll}, timeout=1.0)
        return poll.result()
    finally:
        if not poll.done():
            poll.cancel()
            await asyncio.wait({poll}, timeout=CANCEL_SECONDS)


def _mark_retrieved(poll: asyncio.Future[Sequence[AnySample]]) -> None:
    """Keep asyncio from printing, over the screen, the exception of a poll that nobody waits for any more."""
    if not poll.cancelled():
        poll.exception()
