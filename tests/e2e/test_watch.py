"""``gpumon snapshot --watch`` in a process of its own: a line of JSON for each change, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import ROOT
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import compiler
from tests.fakes.processes.secluded import COMMAND, VARIABLE

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")

WAIT_SECONDS = 60
LINE_BYTES = 2**20


@pytest.fixture
def alone(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The fake driver and the fake Ollama, and no other process."""
    return secluded(environment, tmp_path)


def secluded(environment: dict[str, str], folder: Path) -> dict[str, str]:
    return environment | {VARIABLE: str(folder), "PYTHONPATH": f"{ROOT / '.dev'}{os.pathsep}{ROOT}"}


def gpumon(*arguments: str) -> list[str]:
    """Return the command, which sees no processes but those of its own test."""
    return [sys.executable, *COMMAND, *arguments]


@dataclass
class Watch:
    """One that runs, and the lines that it has printed."""

    process: asyncio.subprocess.Process
    lines: list[dict[str, Any]]

    async def line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(WAIT_SECONDS):
            raw = await self.process.stdout.readline()
        assert raw.endswith(b"\n"), "no more lines"
        self.lines.append(json.loads(raw))
        return self.lines[-1]

    async def until(self, name: str, **fields: object) -> dict[str, Any]:
        """Read on to the line in which a model is like this; return the model."""
        while True:
            for model in (await self.line())["models"]:
                if model["name"] == name and fields.items() <= model.items():
                    return dict(model)

    async def end(self, ending: signal.Signals) -> tuple[int, str]:
        """Return its exit code, and what it has said on stderr."""
        assert self.process.stderr is not None
        self.process.send_signal(ending)
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.process.wait(), (await self.process.stderr.read()).decode()


@asynccontextmanager
async def watching(environment: dict[str, str]) -> AsyncIterator[Watch]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *gpumon("snapshot", "--watch", "--interval", "0.25"),
        env=environment,
        stdout=pipe,
        stderr=pipe,
        limit=LINE_BYTES,
    )
    try:
        yield Watch(process, [])
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_line_is_printed_when_a_model_is_loaded_spills_and_is_unloaded(
    alone: dict[str, str], ollama: FakeOllama
) -> None:
    async with watching(alone) as watch:
        first = await watch.line()
        assert (first["schema"], first["complete"], first["missing"]) == (2, True, [])
        assert (first["models"], first["level"], first["sentence"]) == ([], "ok", "no model loaded")
        ollama.catalog.load("llama3.1:8b", size_bytes=6 * GIB)
        await watch.until("llama3.1:8b", spill_percent=None, level="ok")
        ollama.catalog.load("llama3.1:8b", size_bytes=12 * GIB, size_vram_bytes=8 * GIB)
        await watch.until("llama3.1:8b", spill_percent="33%", level="bad")
        assert watch.lines[-1]["level"] == "bad"
        while not watch.lines[-1]["alerts"]:
            await watch.line()
        ollama.catalog.unload("llama3.1:8b")
        while watch.lines[-1]["models"] or watch.lines[-1]["alerts"]:
            await watch.line()
        assert await watch.end(signal.SIGTERM) == (0, "")
    times = [line["time"] for line in watch.lines]
    assert times == sorted(times)
    assert len(times) < 12, "a line for each change, none for each of four looks a second"


async def test_nothing_is_printed_while_nothing_changes(alone: dict[str, str], ollama: FakeOllama) -> None:
    ollama.catalog.load("llama3.1:8b", size_bytes=6 * GIB)
    async with watching(alone) as watch:
        await watch.until("llama3.1:8b")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.line(), 4)
        assert (await watch.end(signal.SIGINT))[0] == 0


async def test_a_gpu_that_is_lost_is_a_line(alone: dict[str, str], fake_driver: FakeDriver) -> None:
    async with watching(alone) as watch:
        assert [gpu["state"] for gpu in (await watch.line())["gpus"]] == ["ok"]
        fake_driver.lose(0)
        while watch.lines[-1]["gpus"][0]["state"] != "lost":
            await watch.line()
        assert (await watch.end(signal.SIGINT))[0] == 0


async def test_it_ends_when_nobody_reads_any_more(alone: dict[str, str]) -> None:
    words = " ".join(gpumon("snapshot", "--watch"))
    began = time.monotonic()
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", f"{words} | head -1; exit ${{PIPESTATUS[0]}}"],
        env=alone,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["schema"] == 2
    assert done.stdout.count("\n") == 1
    assert time.monotonic() - began < WAIT_SECONDS / 2, "though nothing changes that it could print"


async def test_it_ends_while_a_reader_that_stopped_keeps_a_line_waiting(
    alone: dict[str, str], ollama: FakeOllama
) -> None:
    for number in range(60):  # far more than a pipe holds
        ollama.catalog.load(f"model-{number}", size_bytes=GIB)
    async with watching(alone) as watch:
        assert watch.process.stdout is not None
        assert await watch.process.stdout.read(1) == b"{"
        await asyncio.sleep(1)
        assert (await watch.end(signal.SIGTERM))[0] == 0


async def test_with_nothing_to_see_it_goes_on(bare_environment: dict[str, str], tmp_path: Path) -> None:
    async with watching(secluded(bare_environment, tmp_path)) as watch:
        assert (await watch.line())["level"] == "unknown"
        assert await watch.end(signal.SIGTERM) == (0, "")
