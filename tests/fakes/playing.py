"""Time that passes at once, and a few samples to play."""

from __future__ import annotations

import asyncio
import math

from gpumon.app.alerts.limits import Limits
from gpumon.app.feeds.player import Player
from gpumon.app.monitor import Monitor
from gpumon.collectors.samples import AnySample, SystemSample

START = 1_000_000.0


def system_at(second: float, used_bytes: int = 4) -> SystemSample:
    """Return a sample of the machine, ``second`` after ``START``."""
    return SystemSample(
        time=START + second,
        source="system",
        host="box",
        ram_total_bytes=16,
        ram_used_bytes=used_bytes,
        ram_available_bytes=16 - used_bytes,
    )


class FakeTime:
    """Waits take no time and are remembered."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self.standing = asyncio.Event()
        """Set while a player waits for a control and nothing else."""

    def elapsed(self) -> float:
        """Return the seconds that were waited."""
        return self.now

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        """Let ``seconds`` pass, or wait for a control where that is for ever."""
        if math.isinf(seconds):
            self.standing.set()
            await changed.wait()
            self.standing.clear()
            return
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class HandTime:
    """Time that passes only as far as a test lets it."""

    def __init__(self) -> None:
        self._now = 0.0
        self._until = 0.0
        self._moved = asyncio.Event()
        self._standing = asyncio.Event()

    def elapsed(self) -> float:
        """Return the seconds that have passed."""
        return self._now

    async def wait(self, changed: asyncio.Event, seconds: float) -> None:
        """Let ``seconds`` pass as soon as they may, or return where the player is told something."""
        due = self._now + seconds
        while self._until < due and not changed.is_set():
            self._now = self._until
            self._standing.set()
            self._moved.clear()
            told = [asyncio.ensure_future(event.wait()) for event in (changed, self._moved)]
            await asyncio.wait(told, return_when=asyncio.FIRST_COMPLETED)
            for task in told:
                task.cancel()
        if self._until >= due:
            self._now = due

    async def pass_by(self, seconds: float) -> None:
        """Let ``seconds`` pass, and return when all that happens in them has happened."""
        self._until += seconds
        await self.settle()

    async def settle(self) -> None:
        """Return when the player has nothing to do before more time passes."""
        self._standing.clear()
        self._moved.set()
        await self._standing.wait()


class Heard:
    """A monitor, and the seconds after ``START`` of what it was fed."""

    def __init__(self) -> None:
        self.monitor = Monitor(Limits())
        self.seconds: list[float] = []
        self._awaited: dict[float, asyncio.Event] = {}
        self.monitor.listen(self._hear)

    def _hear(self, sample: AnySample) -> None:
        self.seconds.append(sample.time - START)
        if (event := self._awaited.get(sample.time - START)) is not None:
            event.set()

    async def until(self, second: float) -> None:
        """Wait until the sample of ``second`` was heard."""
        if second not in self.seconds:
            await self._awaited.setdefault(second, asyncio.Event()).wait()


def player_of(seconds: list[float], time: FakeTime, *, speed: float = 1.0, hold: bool = False) -> Player:
    """Return a player of one sample at each of ``seconds``."""
    samples = [system_at(second) for second in seconds]
    return Player(lambda: samples, speed=speed, hold_at_end=hold, wait=time.wait, elapsed=time.elapsed)
