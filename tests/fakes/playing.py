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
