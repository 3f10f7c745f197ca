"""What ``gpumon web`` and ``gpumon exporter`` cost beside the dashboard alone: ``python -m benchmarks.web``.

One busy model on a fake driver and a fake Ollama, a screen of 120x40: the dashboard in a pane of tmux, then
the server with no tab, one and more, each read by a client that draws nothing; and the exporter, scraped
every 15 seconds. Of other processes of this
machine neither sees any. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil
from benchmarks.measure import MIB, _cpu_seconds, _resident, measure
from benchmarks.programs import ROOT, programs
from benchmarks.side_by_side import _environment
from benchmarks.world import World
from tests.fakes.processes.secluded import COMMAND, VARIABLE

SETTLE_SECONDS = 8.0
SIZE = (120, 40)
SCRAPE_SECONDS = 15.0


class Cost(NamedTuple):
    cpu_seconds_per_minute: float
    bytes_per_second: float
    resident_mib: float
    requests_per_minute: float


class Reader:
    """A tab without a browser: counts what it is sent."""

    def __init__(self) -> None:
        self.bytes = 0

    async def read(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        async for message in connection:
            self.bytes += len(message.data)


@asynccontextmanager
async def server(
    environment: Mapping[str, str], command: str = "web"
) -> AsyncIterator[tuple[psutil.Process, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(*COMMAND, command, "--listen", "127.0.0.1:0"),
        env=dict(environment),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    found = re.search(r"http\S+", (await process.stdout.readline()).decode())
    assert found
    yield psutil.Process(process.pid), found[0]
    process.terminate()
    await process.wait()


async def of_web(world: World, folder: str, tabs: int, seconds: float) -> Cost:
    environment = surroundings(world, folder)
    async with AsyncExitStack() as stack:
        process, address = await stack.enter_async_context(server(environment))
        base, _, token = address.partition("/?token=")
        client = await stack.enter_async_context(aiohttp.ClientSession())
        readers = [Reader() for _ in range(tabs)]
        for reader in readers:
            url = f"{base}/ws/{token}?width={SIZE[0]}&height={SIZE[1]}"
            opened = await client.ws_connect(url, headers={"Origin": base}, max_msg_size=0)
            stack.push_async_callback(opened.close)
            task = asyncio.create_task(reader.read(opened))
            stack.callback(task.cancel)
        await asyncio.sleep(SETTLE_SECONDS)
        started, cpu = time.monotonic(), _cpu_seconds(process)
        sent, asked = sum(reader.bytes for reader in readers), _asked(world)
        await asyncio.sleep(seconds)
        spent = time.monotonic() - started
        family = [process, *process.children(recursive=True)]
        return Cost(
            60 * (_cpu_seconds(process) - cpu) / spent,
            (sum(reader.bytes for reader in readers) - sent) / spent,
            sum(map(_resident, family)) / MIB,
            60 * (_asked(world) - asked) / spent,
        )


async def of_exporter(world: World, folder: str, seconds: float) -> Cost:
    async with AsyncExitStack() as stack:
        process, address = await stack.enter_async_context(server(surroundings(world, folder), "exporter"))
        client = await stack.enter_async_context(aiohttp.ClientSession())
        await asyncio.sleep(SETTLE_SECONDS)
        started, cpu, sent, asked = time.monotonic(), _cpu_seconds(process), 0, _asked(world)
        while time.monotonic() - started < seconds:
            async with client.get(address) as answer:
                sent += len(await answer.read())
            await asyncio.sleep(SCRAPE_SECONDS)
        spent = time.monotonic() - started
        return Cost(
            60 * (_cpu_seconds(process) - cpu) / spent,
            sent / spent,
            _resident(process) / MIB,
            60 * (_asked(world) - asked) / spent,
        )


async def of_dashboard(world: World, folder: str, seconds: float) -> Cost:
    gpumon = programs("")[0]._replace(command=(sys.executable, *COMMAND))
    asked, started = _asked(world), time.monotonic()
    cost = await measure(gpumon, surroundings(world, folder), SIZE, SETTLE_SECONDS, seconds, None)
    requests = 60 * (_asked(world) - asked) / (time.monotonic() - started)
    return Cost(cost.cpu_seconds_per_minute, cost.bytes_per_second, cost.resident_mib, requests)


def surroundings(world: World, folder: str) -> dict[str, str]:
    paths = {"PYTHONPATH": f"{ROOT / '.dev'}{os.pathsep}{ROOT}"}
    return _environment(folder) | world.environment | paths | {VARIABLE: os.environ[VARIABLE]}


def _asked(world: World) -> int:
    return len(world.ollama.requests) + sum(len(runner.requests) for runner in world.runners)


async def compare(tabs: list[int], seconds: float) -> None:
    print("| what | CPU s/min | bytes/s | RSS MiB | requests/min |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[VARIABLE] = folder  # inherited by the fakes, by which they are known
        async with World(Path(folder), 1, 1, busy=True).running() as world:
            _print("the dashboard in a pane", await of_dashboard(world, folder, seconds))
            _print("gpumon exporter", await of_exporter(world, folder, seconds))
            for count in tabs:
                _print(f"gpumon web, {count} tabs", await of_web(world, folder, count, seconds))


def _print(name: str, cost: Cost) -> None:
    print(f"| {name} | {' | '.join(f'{value:.3g}' for value in cost)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.web", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="measured in each run")
    parser.add_argument("--tabs", type=int, nargs="*", default=[0, 1, 4])
    options = parser.parse_args()
    asyncio.run(compare(options.tabs, options.seconds))


if __name__ == "__main__":
    main()
