"""Runs one row of the matrix in this process: ``python -m tests.faults.row "WDDM" servers``.

Prints a line of JSON for each cell. A process can load the driver's library once only: a row each.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import random
import socket
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.secluded import hide_hardware
from tests.faults.cells import Cell, returns
from tests.faults.drivers import DRIVER_FAULTS, DriverFault
from tests.faults.hurry import alone, hurry
from tests.faults.runners import RUNNER_FAULTS, run_cell, running_runner
from tests.faults.servers import ABSENT, SERVER_FAULTS, behave
from tests.faults.world import GPU_COUNT, World, resources, running

ANSWERS_AT_FIRST = 10


async def run_row(name: str, driver: FakeDriver, columns: Collection[str] = SERVER_FAULTS) -> None:
    """Run the cells of the row and print what came of each.

    The first is that of a server which has not been there since the start.
    """
    row = DRIVER_FAULTS[name]
    if row.lasting:
        row.begin(driver)
    async with FakeOllama(steady_port()) as ollama:
        await ollama.refuse()
        async with running(driver, ollama) as world:
            await world.until(lambda: world.answers["nvml"] > 0, "started without the server")
            print_result(name, ABSENT, await outcome(world, row, ABSENT))
            held = await started(world)
            for column in SERVER_FAULTS:
                if column != ABSENT and column in columns:
                    print_result(name, column, await outcome(world, row, column, held))


async def run_runner_row(name: str, driver: FakeDriver, folder: Path) -> None:
    """Run every fault of a runner while the driver is as the row says."""
    row = DRIVER_FAULTS[name]
    async with FakeOllama(steady_port()) as ollama:
        await behave(ollama)
        async with running(driver, ollama) as world, running_runner(world, folder) as runner:
            await world.until(runner.well, "well at the start")
            row.begin(driver)
            for column, fault in RUNNER_FAULTS.items():
                try:
                    await run_cell(runner, fault)
                except AssertionError as problem:
                    print_result(name, column, str(problem))
                    return
                print_result(name, column, None)


def steady_port() -> int:
    """Return a free port that no program is given by chance while the server is away."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as taken, contextlib.suppress(OSError):
            taken.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


async def started(world: World) -> dict[str, int]:
    """Wait until every source has answered often; return the most that is held without a fault."""
    held = resources()

    def settled() -> bool:
        held.update({what: max(now, held[what]) for what, now in resources().items()})
        return all(world.answers[name] >= ANSWERS_AT_FIRST for name in (world.ollama.url, "nvml"))

    await world.until(settled, "started")
    return held


async def outcome(
    world: World, row: DriverFault, column: str, held: dict[str, int] | None = None
) -> str | None:
    """Run one cell; return what is wrong. ``held`` is what may be held after it, where that is known."""
    try:
        await Cell(world, row, SERVER_FAULTS[column]).run()
        if held is not None:
            await returns(world, held)
    except AssertionError as problem:
        await repair(world, row, column)
        return str(problem)
    return None


async def repair(world: World, row: DriverFault, column: str) -> None:
    """End the faults of a cell that has failed, so that the next one is judged by itself."""
    world.unwatch()
    if not row.lasting:
        row.end(world.driver)
    await SERVER_FAULTS[column].end(world.ollama)


def print_result(row: str, column: str, problem: str | None) -> None:
    """Print one line of JSON."""
    print(json.dumps({"driver": row, "server": column, "problem": problem}), file=sys.__stdout__, flush=True)


def main(name: str, what: str, *columns: str) -> None:
    """Run the row called ``name`` with the faults of servers, all or some, or with those of ``runners``."""
    hurry()
    hide_hardware()
    with tempfile.TemporaryDirectory() as folder, FakeDriver(Path(folder, "state"), GPU_COUNT) as driver:
        ctypes.CDLL(str(driver.library))
        os.environ["FAKE_NVML_STATE"] = str(driver.path)
        for index in range(GPU_COUNT):
            driver.run(index, 4_000_000 + index, 2 * GIB)
        if what == "runners":
            asyncio.run(run_runner_row(name, driver, Path(folder)))
            return
        alone(Path(folder))
        asyncio.run(run_row(name, driver, columns or SERVER_FAULTS))


if __name__ == "__main__":
    main(*sys.argv[1:])
