"""A watch over a fake server, with time that moves when told to."""

from __future__ import annotations

from tests.collectors.ollama.support import BRIEF, PATIENT, FakeClock
from tests.fakes.llama_server.server import FakeLlamaServer

from gpumon.collectors.http.client import TimeLimits
from gpumon.collectors.runners.source import Ownership, Watch
from gpumon.collectors.runners.target import RunnerTarget
from gpumon.collectors.samples import WorkSample

PID = 4321


class FakeOwner:
    """Says who owns a port, and counts how often it was asked."""

    def __init__(self, answer: Ownership = "own") -> None:
        self.answer: Ownership = answer
        self.asked = 0

    async def __call__(self, target: RunnerTarget) -> Ownership:
        self.asked += 1
        return self.answer


class Setting:
    """One runner, watched."""

    def __init__(
        self,
        fake: FakeLlamaServer,
        sleep_idle_seconds: float | None = None,
        kind: str = "llama_server",
    ) -> None:
        self.fake = fake
        self.clock = FakeClock()
        self.owner = FakeOwner()
        self.target = RunnerTarget(
            PID, 1.0, kind, "127.0.0.1", fake.port, sleep_idle_seconds=sleep_idle_seconds
        )
        self.active: bool | None = None
        self._watches: list[Watch] = []
        self.watch = self.watch_with(PATIENT)

    def watch_with(self, limits: TimeLimits) -> Watch:
        self.watch = Watch(self.target, self.clock, self.owner, limits)
        self._watches.append(self.watch)
        return self.watch

    async def close(self) -> None:
        for watch in self._watches:
            await watch.close()

    def hurry(self) -> None:
        """Give up on an answer soon."""
        self.watch_with(BRIEF)

    async def poll(self) -> WorkSample | None:
        return await self.watch.poll(self.active)

    async def said(self) -> WorkSample:
        sample = await self.poll()
        assert sample is not None, "nothing was asked"
        return sample

    async def run(self, seconds: float, interval: float = 1.0) -> list[WorkSample]:
        """Poll every ``interval``; return what was said."""
        samples = []
        for _ in range(round(seconds / interval)):
            self.clock.seconds += interval
            if (sample := await self.poll()) is not None:
                samples.append(sample)
        return samples

    async def made_ready(self) -> None:
        """Get past the load."""
        assert (await self.said()).state in {"ready", "asleep"}
        self.fake.requests.clear()
        self.fake.idle_log_lines = 0
