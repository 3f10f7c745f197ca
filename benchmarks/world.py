"""The machine that programs are measured on: fake GPUs, a fake Ollama, real processes that hold models."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build

BLOBS = "/usr/share/ollama/.ollama/models/blobs"
TICK_SECONDS = 0.1
TOKENS_PER_TICK = 4


class World:
    """``gpus`` GPUs and ``models`` loaded models; a busy one generates tokens and its GPU wanders.

    An Ollama that is to stop and start again cannot have its port held by the process of that name.
    """

    def __init__(self, folder: Path, gpus: int, models: int, *, busy: bool, restarts: bool = False) -> None:
        self.busy = busy
        self.driver = FakeDriver(folder / "gpus", gpus)
        self.ollama = FakeOllama()
        self.runners = [FakeLlamaServer() for _ in range(models)]
        held = self.runners if restarts else [self.ollama, *self.runners]
        self._descriptors = [server.bind() for server in held]
        self._program = build(folder)

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to see this world and not the real one."""
        return self.driver.environment() | {"OLLAMA_HOST": self.ollama.url}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[World]:
        """Bring everything up, and keep it moving."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self.driver)
            await stack.enter_async_context(self.ollama)
            for runner in self.runners:
                await stack.enter_async_context(runner)
            stack.enter_context(self._processes())
            mover = asyncio.create_task(self._move())
            stack.callback(mover.cancel)
            yield self

    @contextlib.contextmanager
    def _processes(self) -> Iterator[None]:
        os.environ["OLLAMA_HOST"] = self.ollama.url
        with Actor(self._program, ["ollama", "serve"], self._descriptors) as serve:
            for number, runner in enumerate(self.runners):
                self._load(serve, number, runner)
            yield

    def _load(self, serve: Actor, number: int, runner: FakeLlamaServer) -> None:
        name = f"model{number}:8b"
        self.ollama.catalog.load(name, size_bytes=GIB)
        blob = f"{BLOBS}/{self.ollama.catalog.installed[name].blob}"
        port = str(runner.port)
        pid = serve.start(["llama-server", "--model", blob, "-c", "4096", "-np", "2", "--port", port])
        self.driver.run(number % max(len(self.driver), 1), pid, GIB, sm_percent=40)

    async def _move(self) -> None:
        if not self.busy:
            return
        for runner in self.runners:
            runner.simulation.start(0, 1000)
        while True:
            for runner in self.runners:
                runner.simulation.decode(0, TOKENS_PER_TICK)
            for index in range(len(self.driver)):
                self._wander(index)
            await asyncio.sleep(TICK_SECONDS)

    def _wander(self, index: int) -> None:
        load = 0.5 + 0.5 * math.sin(time.monotonic() / 7 + index)
        gpu = self.driver[index]
        gpu.utilization_percent = round(100 * load)
        gpu.memory_utilization_percent = round(60 * load)
        gpu.temperature_celsius = round(40 + 40 * load)
        gpu.power_milliwatts = round(30_000 + 400_000 * load)
        gpu.pcie_transmit_bytes += round(load * 2e7)
        gpu.pcie_receive_bytes += round(load * 1e8)
