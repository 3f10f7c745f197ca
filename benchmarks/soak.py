"""Whether it grows: ``python -m benchmarks.soak simulated``, ``python -m benchmarks.soak real --minutes 30``.

``simulated`` feeds 24 hours of samples, one look a second at 8 GPUs and 20 models, through store and alerts
as fast as it goes, and measures at every sixth hour. ``real`` runs the live feed, at ten polls a second
unless ``--hz`` says otherwise, against fakes whose models, runners and servers come and go, and measures once
a minute, after a first one for what is cached.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from benchmarks.soak_samples import hour_of_samples
from benchmarks.world import World

from gpumon.app.alerts.limits import Limits
from gpumon.app.config.settings import LearnSettings, Settings
from gpumon.app.monitor import Monitor
from gpumon.app.session.build import live_session
from gpumon.app.session.session import Session
from gpumon.collectors.samples import AnySample, SystemSample
from gpumon.collectors.source import Cadence

MIB = 1024**2
LOOK_HOURS = 6
POLLS_PER_SECOND = 10.0
CHURN_SECONDS = 5.0
START_AGAIN_EVERY = 7
MODELS, GPUS = 6, 4


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("simulated", "real"))
    parser.add_argument("--minutes", type=float, default=30.0, help="of real")
    parser.add_argument("--hz", type=float, default=POLLS_PER_SECOND, help="of real: polls a second")
    parser.add_argument("--hours", type=int, default=24, help="of simulated")
    options = parser.parse_args()
    if options.what == "simulated":
        simulated(options.hours)
    else:
        asyncio.run(real(options.minutes, 1 / options.hz))
    return 0


def simulated(hours: int) -> None:
    """Feed ``hours`` of samples and print what is held every six of them."""
    monitor = Monitor(Limits())
    print("| hour | samples | Python blocks | resident MiB | CPU s |\n|---|---|---|---|---|")
    count = 0
    for hour in range(1, hours + 1):
        for sample in hour_of_samples(hour - 1):
            monitor.feed(sample)
            count += 1
        if hour % LOOK_HOURS == 0 or hour == 1:
            _print_memory(hour, count)


def _print_memory(hour: int, count: int) -> None:
    gc.collect()
    held = sys.getallocatedblocks()
    resident = psutil.Process().memory_info().rss / MIB
    print(f"| {hour} | {count:,} | {held:,} | {resident:.1f} | {time.process_time():.0f} |", flush=True)


async def real(minutes: float, interval_seconds: float) -> None:
    """Run the live feed for ``minutes`` and print once a minute what is held, and how late its polls are."""
    Cadence.MINIMUM = interval_seconds
    print("| minute | resident MiB | threads | tasks | descriptors | polls | drift s |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), GPUS, MODELS, busy=True, restarts=True)
        ctypes.CDLL(str(world.driver.library))
        os.environ.update(world.environment)
        async with world.running():
            await _watch(world, minutes, interval_seconds)


async def _watch(world: World, minutes: float, interval_seconds: float) -> None:
    os.environ["FAKE_NVML_STATE"] = str(world.driver.path)
    settings = Settings(
        urls=(world.ollama.url,), interval_seconds=interval_seconds, learn=LearnSettings(enabled=False)
    )
    session = live_session(settings)
    polls = _Polls(interval_seconds)
    session.monitor.listen(polls.note)
    running = asyncio.create_task(session.feed.run(session.monitor))
    churning = asyncio.create_task(_churn(world))
    for minute in range(1, int(minutes) + 1):
        await asyncio.wait({running, churning}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        _raise_what_failed(running, churning)
        _forget_requests(world)
        _print_held(minute, polls)
    await _end(session, running, churning)


def _raise_what_failed(*tasks: asyncio.Task[None]) -> None:
    """End the run where what it watches has ended: there would be nothing to be seen any more."""
    for task in tasks:
        if task.done():
            task.result()


def _forget_requests(world: World) -> None:
    """Let the fakes, which share this process, hold nothing of what they were asked."""
    for server in (world.ollama, *world.runners):
        server.requests.clear()


async def _end(session: Session, *tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await session.close()


class _Polls:
    """The polls of RAM, of which none may be late: each is due ``interval_seconds`` after the one before."""

    def __init__(self, interval_seconds: float) -> None:
        self.interval_seconds = interval_seconds
        self.count = 0
        self.first: float | None = None
        self.last = 0.0

    def note(self, sample: AnySample) -> None:
        if isinstance(sample, SystemSample):
            self.first = sample.time if self.first is None else self.first
            self.count, self.last = self.count + 1, sample.time

    @property
    def drift_seconds(self) -> float:
        """How much later than due the latest poll was."""
        return self.last - (self.first or 0.0) - (self.count - 1) * self.interval_seconds


def _print_held(minute: int, polls: _Polls) -> None:
    gc.collect()
    process = psutil.Process()
    cells = (
        minute,
        f"{process.memory_info().rss / MIB:.1f}",
        threading.active_count(),
        len(asyncio.all_tasks()),
        process.num_fds(),
        polls.count,
        f"{polls.drift_seconds:.2f}",
    )
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


async def _churn(world: World) -> None:
    """Load and unload models, let runners and the server die and come back, lose GPUs, for ever."""
    names = list(world.ollama.catalog.installed)
    for turn, name in enumerate(_in_turn(names)):
        world.ollama.catalog.unload(name)
        runner = world.runners[turn % len(world.runners)]
        runner.hanging.add("/slots")
        world.driver.lose(turn % GPUS)
        if turn % START_AGAIN_EVERY == 0:
            await world.ollama.refuse()
        await asyncio.sleep(CHURN_SECONDS / 2)
        if turn % START_AGAIN_EVERY == 0:
            await world.ollama.listen()
        runner.hanging.clear()
        world.driver.find(turn % GPUS)
        world.ollama.catalog.load(name)
        await asyncio.sleep(CHURN_SECONDS / 2)


def _in_turn(names: list[str]) -> Iterator[str]:
    while True:
        yield from names


if __name__ == "__main__":
    sys.exit(main())
