"""The whole program in a tmux pane, against the fake driver and a fake Ollama."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build
from tests.fakes.processes.secluded import COMMAND, VARIABLE

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of this folder where there is no tmux."""
    if shutil.which("tmux") is not None:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="tmux is not installed"))


@pytest.fixture
async def ollama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        yield server


@pytest.fixture
def bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Neither a driver nor an Ollama, nobody's settings, and no processes but those of this test."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return {
        VARIABLE: str(tmp_path),
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": f"{ROOT / '.dev'}{os.pathsep}{ROOT}",
        "LANG": "C.UTF-8",
        "COLORTERM": "truecolor",
        "OLLAMA_HOST": "127.0.0.1:9",
        "GPUMON_FIND": "false",
    }


@pytest.fixture
def environment(
    bare_environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama
) -> dict[str, str]:
    """The fake driver and the fake Ollama."""
    return bare_environment | fake_driver.environment() | {"OLLAMA_HOST": ollama.url}


@pytest.fixture
def serve(tmp_path: Path, ollama: FakeOllama, monkeypatch: pytest.MonkeyPatch) -> Iterator[Actor]:
    """A process that looks like the ``ollama serve`` behind the fake server."""
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)
    with Actor(build(tmp_path), ["ollama", "serve"]) as server:
        yield server


def gpumon(*arguments: str) -> list[str]:
    return [sys.executable, *COMMAND, *arguments]
