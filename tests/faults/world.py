"""The whole program on a screen of its own, between a fake driver and a fake Ollama, and what it shows."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.app.ui.screen import text
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.faults.hurry import INTERVAL_SECONDS
from textual.pilot import Pilot

from gpumon.app.config.settings import HistorySettings, LearnSettings, ServerSettings, Settings
from gpumon.app.session.build import live_session
from gpumon.app.session.session import Session
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import Snapshot
from gpumon.app.ui.app import GpumonApp
from gpumon.collectors.samples import AnySample
from gpumon.widgets.glyphs import UNICODE

DEADLINE_SECONDS = 20.0
"""For what takes tenths of a second: a machine may be busy with other things."""
LOOK_SECONDS = 0.02
"""Between two looks, at least."""
GPU_COUNT = 2


class World:
    """One run: the faults that are made, the polls that are begun, the samples that come of them."""

    def __init__(self, driver: FakeDriver, ollama: FakeOllama, session: Session, pilot: Pilot[int]) -> None:
        self.driver = driver
        self.ollama = ollama
        self.session = session
        self.pilot = pilot
        self.answers: Counter[str] = Counter()
        self._watched: list[Callable[[AnySample], None]] = []
        self._changed = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot:
        monitor = self.session.monitor
        return build_snapshot(monitor.pictures)

    def change_interval(self, seconds: float) -> None:
        """Poll so often from now on."""
        assert self.session.cadence
        self.session.cadence.change(seconds)

    def version(self) -> str | None:
        """Return the version of the server that is known."""
        record = self.session.monitor.state.sources.get(self.ollama.url)
        return record.version if record else None

    async def screen(self) -> str:
        """Return the text of a screen that is drawn now."""
        self.pilot.app.call_later(self.pilot.app._draw)  # type: ignore[attr-defined]
        return await text(self.pilot)

    def take(self, sample: AnySample) -> None:
        """Note a sample after the monitor has taken it."""
        self.answers[sample.source] += 1
        for watch in self._watched:
            watch(sample)
        self._changed.set()

    def watch(self, watch: Callable[[AnySample], None]) -> None:
        """Call ``watch`` with every sample from now on."""
        self._watched.append(watch)

    def unwatch(self) -> None:
        """Call nobody any more."""
        self._watched.clear()

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds, looked at after samples; raise ``AssertionError`` if it never does."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not await self._looked(holds):
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"never {what}: {_brief(self.snapshot)}") from None

    async def _looked(self, holds: Callable[[], bool]) -> bool:
        """Look once, then rest for longer than that took: the look must not take all the time there is."""
        self._changed.clear()
        began = time.perf_counter()
        if holds():
            return True
        await asyncio.sleep(LOOK_SECONDS + 3 * (time.perf_counter() - began))
        return False

    async def until_screen(self, *words: str) -> None:
        """Wait until the screen shows all the words."""
        shown = ""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not all(word in shown for word in words):
                    shown = await self.screen()
        except TimeoutError:
            raise AssertionError(f"never on the screen: {words}\n{shown}") from None


def _brief(snapshot: Snapshot) -> str:
    sources = ", ".join(f"{one.name} {one.state} ({one.detail})" for one in snapshot.sources)
    gpus = ", ".join(f"{gpu.index} {gpu.state}" for gpu in snapshot.gpus)
    return f"sources {sources}; gpus {gpus}; {len(snapshot.models)} models"


def resources() -> dict[str, int]:
    """Count what a leak would add to."""
    return {
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


@asynccontextmanager
async def running(driver: FakeDriver, ollama: FakeOllama) -> AsyncIterator[World]:
    """Run the dashboard against both for the time of the context."""
    settings = Settings(
        urls=(ollama.url,),
        interval_seconds=INTERVAL_SECONDS,
        learn=LearnSettings(enabled=False),
        history=HistorySettings(enabled=False),  # a file and a thread that begin later
        servers=ServerSettings(find=False),
    )
    session = live_session(settings)
    app = GpumonApp(session, UNICODE)
    async with app.run_test(size=(120, 40)) as pilot:
        world = World(driver, ollama, session, pilot)
        session.monitor.listen(world.take)
        yield world
