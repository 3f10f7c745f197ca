"""The commands, run as their users run them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.secluded import COMMAND, VARIABLE

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60.0


class Said(NamedTuple):
    """What a command has printed."""

    code: int | None
    output: str
    errors: str


Run = Callable[..., Awaitable[Said]]


@pytest.fixture
async def ollama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        yield server


@pytest.fixture
def run(tmp_path: Path, fake_driver: FakeDriver) -> Run:
    """Runs gpumon with arguments and variables of the environment, beside a fake driver and no servers."""

    async def run(*arguments: str, **variables: str) -> Said:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path / "config"),
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "PYTHONPATH": f"{ROOT / '.dev'}{os.pathsep}{ROOT}",
            VARIABLE: str(tmp_path),
            "LANG": "C.UTF-8",
            "GPUMON_FIND": "false",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *COMMAND, *arguments),
            env=environment | fake_driver.environment() | variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            output, errors = await process.communicate()
        return Said(process.returncode, output.decode(), errors.decode())

    return run
