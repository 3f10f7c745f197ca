"""A real process below one that looks like Ollama is killed: what is said of its model, end to end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.fakes.nvml.driver import MIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build, compiler
from tests.fakes.processes.tree import OLLAMA_SERVE, llama_server

from gpumon.app.config.settings import ServerSettings, Settings
from gpumon.app.session.build import live_session
from gpumon.app.session.session import Session

pytestmark = [
    pytest.mark.usefixtures("secluded"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.skipif(compiler() is None, reason="needs a C compiler"),
]

NAME = "qwen3:8b"


@pytest.fixture
async def ollama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        server.catalog.load(NAME, size_bytes=400 * MIB)
        yield server


@pytest.fixture
def serve(ollama: FakeOllama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Actor]:
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)
    with Actor(build(tmp_path), OLLAMA_SERVE) as actor:
        yield actor


async def until(session: Session, holds: Callable[[], bool]) -> None:
    changed = asyncio.Event()
    session.monitor.listen(lambda _: changed.set())
    async with asyncio.timeout(60):
        while not holds():
            changed.clear()
            await changed.wait()


async def test_a_killed_process_is_told_with_its_pid_and_no_longer_counted(
    ollama: FakeOllama, fake_driver: FakeDriver, serve: Actor
) -> None:
    pid = serve.start(llama_server(ollama.catalog.installed[NAME].blob))
    fake_driver.run(0, pid, 400 * MIB)
    session = live_session(
        Settings(urls=(ollama.url,), interval_seconds=0.25, servers=ServerSettings(find=False))
    )
    pictures = session.monitor.pictures
    running = asyncio.create_task(session.feed.run(session.monitor))
    try:
        await until(session, lambda: any(one.measured_vram_bytes for one in pictures.models()))
        fake_driver.end(0, serve.stop())
        await until(session, lambda: any(one.kind == "ended" for one in session.monitor.alerts.active))
        [model] = pictures.models()
        sentence = f"{NAME} is loaded no more: its process {pid} has ended, Ollama still lists it"
        assert (pictures.health().sentence, model.sentence, model.doing) == (sentence, sentence, "gone")
        assert (model.gpu_bytes, model.ram_bytes) == (None, None)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await session.close()
