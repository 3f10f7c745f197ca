"""The source that asks every runner on its own port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gpumon.collectors.clock import Clock
from gpumon.collectors.http.client import TimeLimits
from gpumon.collectors.runners.owner import FindOwner, PortOwner
from gpumon.collectors.runners.port import LIMITS
from gpumon.collectors.runners.target import RunnerTarget
from gpumon.collectors.runners.watch import Watch
from gpumon.collectors.samples import AnySample, RunnerSample
from gpumon.collectors.worker import Worker

PATIENCE_SECONDS = 0.2
"""A runner that answers later is heard in a later poll, so that it does not hold up the others."""

IsActive = Callable[[int], bool | None]
"""Whether the process with a PID seems to work; ``None`` where that cannot be told."""


class RunnersSource:
    """Polls the runners that ``targets`` names, side by side, each with one request in flight."""

    def __init__(
        self,
        clock: Clock,
        targets: Callable[[], Sequence[RunnerTarget]],
        active: IsActive | None = None,
        limits: TimeLimits = LIMITS,
        find_owner: FindOwner | None = None,
    ) -> None:
        self._clock = clock
        self._targets = targets
        self._active = active
        self._limits = limits
        self._worker = Worker("port owners")
        self._find_owner = find_owner or PortOwner(self._worker)
        self._watches: dict[tuple[int, float], Watch] = {}
        self._asked: dict[tuple[int, float], asyncio.Task[RunnerSample | None]] = {}

    @property
    def name(self) -> str:
        """The source as a whole; a sample names its runner."""
        return "runners"

    async def poll(self) -> Sequence[AnySample]:
        """Ask whom it is time to ask; return what has been said since the last poll."""
        await self._follow(self._targets())
        for key, watch in self._watches.items():
            if key not in self._asked:
                self._asked[key] = asyncio.ensure_future(watch.poll(self._is_active(watch.target.pid)))
        if self._asked:
            await asyncio.wait(self._asked.values(), timeout=PATIENCE_SECONDS)
        return self._collect()

    def delay(self, interval: float) -> float:
        """Return the user's interval: whether a runner is asked at a turn is up to its watch."""
        return interval

    async def close(self) -> None:
        """Cancel what is under way and close the connections."""
        await self._follow(())
        self._worker.close()

    def _is_active(self, pid: int) -> bool | None:
        return None if self._active is None else self._active(pid)

    def _collect(self) -> list[RunnerSample]:
        done = [key for key, task in self._asked.items() if task.done()]
        samples = [self._asked.pop(key).result() for key in done]
        said = [sample for sample in samples if sample is not None]
        return sorted(said, key=lambda sample: sample.time)

    async def _follow(self, targets: Sequence[RunnerTarget]) -> None:
        """Watch these targets and no others; what a target says of itself may be learnt later."""
        wanted = {(target.pid, target.started): target for target in targets}
        for key in list(self._watches):
            if self._watches[key].target != wanted.get(key):
                await self._drop(key)
        for key, target in wanted.items():
            if key not in self._watches:
                self._watches[key] = Watch(target, self._clock, self._find_owner, self._limits)

    async def _drop(self, key: tuple[int, float]) -> None:
        task = self._asked.pop(key, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._watches.pop(key).close()
