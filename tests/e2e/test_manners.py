"""What the dashboard does to the machine that it watches: nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama

AUDITED = Path(__file__).with_name("audited.py")


async def deeds(environment: dict[str, str], seconds: float = 3.0) -> list[dict[str, str]]:
    """Return what a dashboard did while it ran."""
    command = [sys.executable, str(AUDITED), str(seconds)]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    deeds: list[dict[str, str]] = json.loads(done.stdout)
    return deeds


async def test_it_starts_no_process_writes_no_file_but_its_history_and_listens_nowhere(
    environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama
) -> None:
    ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB, size_vram_bytes=4 * GIB)
    fake_driver.run(0, 4711, vram_bytes=4 * GIB)
    history = str(Path(environment["XDG_STATE_HOME"]) / "gpumon" / "history.db")
    assert [deed for deed in await deeds(environment) if deed != {"event": "write", "what": history}] == []


async def test_it_writes_nothing_where_no_history_is_kept(
    environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama
) -> None:
    ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB, size_vram_bytes=4 * GIB)
    fake_driver.run(0, 4711, vram_bytes=4 * GIB)
    assert await deeds(environment | {"GPUMON_HISTORY": "false"}) == []
