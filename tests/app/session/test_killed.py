"""A real process below one that looks like Ollama is killed: what is said of its model, end to end."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.fakes.live import running
from tests.fakes.nvml.driver import MIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build, compiler
from tests.fakes.processes.tree import OLLAMA_SERVE, llama_server

from gpumon.app.config.settings import ServerSettings, Settings
from gpumon.app.session.build import live_session

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


async def test_a_killed_process_is_told_with_its_pid_and_no_longer_counted(
    ollama: FakeOllama, fake_driver: FakeDriver, serve: Actor
) -> None:
    pid = serve.start(llama_server(ollama.catalog.installed[NAME].blob))
    fake_driver.run(0, pid, 400 * MIB)
    session = live_session(
        Settings(urls=(ollama.url,), interval_seconds=0.25, servers=ServerSettings(find=False))
    )
    pictures, alerts = session.monitor.pictures, session.monitor.alerts
    async with running(session) as live:
        await live.until(lambda: any(one.memory.measured_vram_bytes for one in pictures.models()))
        fake_driver.end(0, serve.stop())
        await live.until(lambda: any(one.kind == "ended" for one in alerts.active))
        [model] = pictures.models()
        sentence = f"{NAME} is loaded no more: its process {pid} has ended, Ollama still lists it"
        assert (pictures.health().sentence, model.sentence, model.doing) == (sentence, sentence, "gone")
        assert (model.memory.gpu_bytes, model.memory.ram_bytes) == (None, None)
