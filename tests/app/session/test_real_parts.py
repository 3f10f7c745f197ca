"""A real llama-server below a process that looks like Ollama: found, joined, and followed to its end.

Claim and bytes are fakes: there is neither an Ollama nor a GPU. Process, port, log and load are real.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.fakes.live import Live, running
from tests.fakes.llama_server.running import (
    MISSING,
    assembled_model,
    command_line,
    completed,
    free_port,
    python_path,
)
from tests.fakes.nvml.driver import MIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build, compiler

from gpumon.app.config.settings import ServerSettings, Settings
from gpumon.app.insight.activity import activity
from gpumon.app.session.build import live_session
from gpumon.app.state.records import RunnerRecord

pytestmark = [
    pytest.mark.usefixtures("secluded"),
    pytest.mark.real_server,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(compiler() is None, reason="needs a C compiler"),
]

NAME = "gemma3:270m"
VRAM_BYTES = 400 * MIB
DEADLINE_SECONDS = 60.0
OLLAMAS_FLAGS = [
    *("--host", "127.0.0.1", "--no-webui", "--offline", "-c", "8192", "-np", "2", "--log-verbosity", "4"),
    *("--no-log-prefix", "--no-log-timestamps", "--load-mode", "none", "--flash-attn", "auto"),
    *("-b", "512", "-ub", "512", "--context-shift", "--keep", "4"),
]
OLLAMA = ("ollama", "serve")


class World(Live):
    """All that there is to see, and what gpumon makes of it."""

    def __init__(self, ollama: FakeOllama, driver: FakeDriver, serve: Actor, models: Path) -> None:
        self.session = live_session(
            Settings(urls=(ollama.url,), interval_seconds=0.25, servers=ServerSettings(find=False))
        )
        super().__init__(self.session.monitor)
        self.ollama = ollama
        self.driver = driver
        self._serve = serve
        self._models = models
        self.port = free_port()

    async def ask(self) -> None:
        """Have the model write a long answer, from the moment that it can: so it is after every load."""
        while True:
            with suppress(httpx.TransportError, KeyError):
                await completed(f"http://127.0.0.1:{self.port}", 3000)
            await self.sample()

    def start_runner(self) -> int:
        """Start what Ollama starts: its command line, from a blob."""
        pid = self._serve.run(sys.executable, command_line(self._models, self.port, *OLLAMAS_FLAGS))
        self.driver.run(0, pid, VRAM_BYTES)
        return pid

    def end_runner(self) -> None:
        self.driver.end(0, self._serve.stop())

    def runner(self, pid: int) -> RunnerRecord | None:
        return next((runner for key, runner in self.state.runners.items() if key.pid == pid), None)


@pytest.fixture
def serve(ollama: FakeOllama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Actor]:
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)
    monkeypatch.setenv("PYTHONPATH", python_path())
    with (tmp_path / "server.log").open("wb") as log, Actor(build(tmp_path), OLLAMA, log=log) as actor:
        yield actor


@pytest.fixture
async def ollama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        server.catalog.load(NAME, size_bytes=VRAM_BYTES)
        server.catalog.unload(NAME)
        yield server


@pytest.fixture
async def world(
    ollama: FakeOllama, fake_driver: FakeDriver, serve: Actor, tmp_path: Path
) -> AsyncIterator[World]:
    blob = tmp_path / "models" / "blobs" / ollama.catalog.installed[NAME].blob
    blob.parent.mkdir(parents=True)
    assembled_model(tmp_path).rename(blob)
    world = World(ollama, fake_driver, serve, blob)
    async with running(world.session):
        yield world


async def test_a_real_runner_is_followed_through_load_work_and_exit(world: World) -> None:
    await world.until(lambda: bool(world.state.servers) and world.ollama.url in world.state.sources)
    pid = world.start_runner()
    asking = asyncio.create_task(world.ask())

    await world.until(lambda: any(load.key.pid == pid for load in world.state.loads.values()))
    (load,) = (load for load in world.state.loads.values() if load.key.pid == pid)
    assert load.server_pid is not None, "it is a child of the server"
    assert load.settings.context_length == 4096, "of each slot"
    assert world.model(NAME) is None, "long before the server claims it"

    await world.until(lambda: (r := world.runner(pid)) is not None and r.ready_since is not None)
    world.ollama.catalog.load(NAME)
    await world.until(lambda: (m := world.model(NAME)) is not None and m.joined_by == "blob")
    await world.until(lambda: (r := world.runner(pid)) is not None and r.measured_vram_bytes == VRAM_BYTES)
    (finished,) = (load for load in world.state.finished_loads if load.key.pid == pid)
    assert finished.outcome == "loaded"
    assert finished.blob == world.ollama.catalog.installed[NAME].blob

    await world.until(lambda: (r := world.runner(pid)) is not None and r.placement is not None)
    runner, model = world.runner(pid), world.model(NAME)
    assert runner is not None
    assert model is not None
    assert runner.placement is not None
    assert (runner.placement.model_bytes or 0) > 200 * MIB, "by the log of the server"
    assert runner.placement.gpu_bytes == 0, "there is no GPU in truth"

    await world.until(lambda: runner.rates.decode_tokens_per_second is not None)
    assert activity(model, world.state) == "busy"

    asking.cancel()
    world.end_runner()
    world.ollama.catalog.unload(NAME)
    await world.until(lambda: world.runner(pid) is None and world.model(NAME) is None)
    assert world.state.departed[-1].claim.name == NAME
