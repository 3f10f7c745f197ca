"""The faults of a runner: a process below Ollama's, with a port of its own that this process answers on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.nvml.driver import GIB
from tests.fakes.ollama.catalog import BLOBS
from tests.fakes.ollama.misbehaviour import body
from tests.fakes.processes.actor import Actor, build
from tests.faults.hurry import INTERVAL_SECONDS
from tests.faults.servers import MODEL
from tests.faults.world import World

from gpumon.app.state.records import RunnerRecord

POLLS_TO_RECOVER = 2
WRONG_SLOTS = ('{"slots":"x"}', '[{"id":{},"is_processing":"yes","n_ctx":-1}]', "[[[[")


class Runner:
    """The process that holds the model, in a world."""

    def __init__(self, world: World, serve: Actor, server: FakeLlamaServer) -> None:
        self.world = world
        self.server = server
        self._serve = serve
        self.pid = 0

    def start(self, port: int | None = None) -> None:
        """Start it; it answers only on the port that it holds."""
        blob = f"{BLOBS}/{self.world.ollama.catalog.installed[MODEL].blob}"
        words = [
            "llama-server",
            "--model",
            blob,
            "-c",
            "4096",
            "-np",
            "2",
            "--port",
            str(port or self.server.port),
        ]
        self.pid = self._serve.start(words)
        self.world.driver.run(0, self.pid, GIB)

    def stop(self) -> None:
        """End it."""
        self.world.driver.end(0, self._serve.stop())

    def start_again(self, port: int | None = None) -> None:
        """Start another in its place."""
        self.stop()
        self.start(port)

    def record(self) -> RunnerRecord | None:
        """Return what is known of it."""
        runners = self.world.session.monitor.state.runners
        return next((runner for key, runner in runners.items() if key.pid == self.pid), None)

    def state(self) -> str | None:
        """Return how it answers on its port."""
        record = self.record()
        return record.answer.state if record is not None and record.answer is not None else None

    def well(self) -> bool:
        """Tell whether its slots are read."""
        record = self.record()
        answer = record.answer if record is not None else None
        return answer is not None and answer.state == "ready" and answer.slots is not None


@dataclass(frozen=True)
class RunnerFault:
    """How it begins, what is then true, and how it ends."""

    begin: Callable[[Runner], None]
    shown: Callable[[Runner], bool]
    end: Callable[[Runner], None]


def _gone(runner: Runner) -> bool:
    models = runner.world.snapshot.models
    mine = [model for model in models if model.url == runner.world.ollama.url]
    return runner.record() is None and len(mine) == 1 and mine[0].runner is None


def _foreign(runner: Runner) -> bool:
    return runner.state() == "foreign" and not runner.world.ollama.counts()["/slots"]


def _wrong(shape: str) -> RunnerFault:
    def begin(runner: Runner) -> None:
        runner.server.answers["/slots"] = body(shape)

    return RunnerFault(begin, _unknown, lambda runner: runner.server.answers.clear())


def _unknown(runner: Runner) -> bool:
    """Tell whether no rate is made up."""
    record = runner.record()
    answer = record.answer if record is not None else None
    return (
        answer is not None
        and not answer.slots
        and record is not None
        and record.rates.decode_tokens_per_second is None
    )


RUNNER_FAULTS: dict[str, RunnerFault] = {
    "runner dies": RunnerFault(Runner.stop, _gone, Runner.start),
    "its port is another program's": RunnerFault(
        lambda runner: runner.start_again(runner.world.ollama.port), _foreign, Runner.start_again
    ),
    **{f"/slots is {shape}": _wrong(shape) for shape in WRONG_SLOTS},
}


@contextlib.asynccontextmanager
async def running_runner(world: World, folder: Path) -> AsyncIterator[Runner]:
    """Start Ollama's process and its runner, which works."""
    os.environ["OLLAMA_HOST"] = world.ollama.url
    server = FakeLlamaServer()
    descriptor = server.bind()
    async with server:
        with Actor(build(folder), ["ollama", "serve"], [descriptor]) as serve:
            runner = Runner(world, serve, server)
            runner.start()
            server.simulation.start(0, 1000)
            working = asyncio.create_task(_work(server))
            yield runner
            working.cancel()


async def _work(server: FakeLlamaServer) -> None:
    while True:
        server.simulation.decode(0, 1)
        await asyncio.sleep(INTERVAL_SECONDS)


async def run_cell(runner: Runner, fault: RunnerFault) -> None:
    """Make the fault, end it; raise ``AssertionError`` where something is not as it must be."""
    world = runner.world
    await world.until(runner.well, "well at first")
    fault.begin(runner)
    await world.until(lambda: fault.shown(runner), "shown as it is")
    await world.until_screen(MODEL)
    before = world.answers.copy()
    await world.until(lambda: world.answers["system"] > before["system"] + 1, "live")
    answered = world.answers.copy()
    fault.end(runner)
    await world.until(runner.well, "well again")
    answers = world.answers[f"runner {runner.pid}"] - answered[f"runner {runner.pid}"]
    assert answers <= POLLS_TO_RECOVER + 1, (
        f"{answers} answers until it was well; one may have been under way"
    )
