"""One machine with many kinds of servers at once: every row right, on one screen of 120x40."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.test_found_servers import Machine, finding, machine, run
from tests.e2e.tmux import Pane
from tests.fakes.http import Listening
from tests.fakes.koboldcpp import NAME as KOBOLD_NAME
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.lm_studio import NAME as LM_STUDIO_NAME
from tests.fakes.lm_studio import FakeLmStudio
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.pictures import NAME as PICTURES_NAME
from tests.fakes.pictures import FakeComfyUi
from tests.fakes.processes.actor import compiler
from tests.fakes.sglang import NAME as SGLANG_NAME
from tests.fakes.sglang import FakeSglang
from tests.fakes.tabbyapi import NAME as TABBY_NAME
from tests.fakes.tabbyapi import FakeTabbyApi
from tests.fakes.vllm import NAME as VLLM_NAME
from tests.fakes.vllm import FakeVllm

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")
__all__ = ["finding", "machine"]


class Row(NamedTuple):
    """What a row must say."""

    name: str
    kind: str
    label: str
    gib: float


@pytest.fixture
def fake_driver(tmp_path: Path) -> Iterator[FakeDriver]:
    """Four cards of 24 GiB."""
    with FakeDriver(tmp_path / "driver", 4) as driver:
        yield driver


class Workshop:
    """Nine servers, each with a process that holds VRAM."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.rows: list[Row] = []
        self.servers: list[Listening] = []

    def runs(self, server: Listening, row: Row, gpu: int, *argv: str, **variables: str) -> int:
        pid = self.machine.run(server, *argv, **variables).pid
        self.machine.driver.run(gpu, pid, int(row.gib * GIB))
        self.rows.append(row)
        self.servers.append(server)
        return pid

    def fill(self) -> None:
        ollama = FakeOllama()
        ollama.catalog.load("gemma3", size_bytes=3 * GIB, size_vram_bytes=3 * GIB)
        parent = self.machine.run(ollama, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT")
        blob = ollama.catalog.installed["gemma3"].blob
        line = ["llama-server", "--model", f"/root/.ollama/models/blobs/{blob}", "--port", "1"]
        self.machine.driver.run(0, parent.start(line), 3 * GIB)
        self.rows.append(Row("gemma3", "ollama", "Ollama", 3.0))
        self.servers.append(ollama)
        llama = FakeLlamaServer()
        llama.alias = "qwen3-coder-30b"
        row = Row("qwen3-coder-30b", "llama_server", "llama-server", 18.0)
        self.runs(
            llama, row, 1, "llama-server", "--model", "/m/q.gguf", "--alias", llama.alias, "--port", "PORT"
        )
        vllm = FakeVllm()
        vllm.engine.running, vllm.engine.used = 1, 0.25
        serve = ("python3", "/usr/bin/vllm", "serve", VLLM_NAME, "--port", "PORT")
        self.runs(vllm, Row(VLLM_NAME, "vllm", "vLLM", 20.0), 2, *serve)
        launch = ("python3", "-m", "sglang.launch_server", "--model-path", SGLANG_NAME, "--port", "PORT")
        self.runs(FakeSglang(), Row(SGLANG_NAME, "sglang", "SGLang", 19.0), 3, *launch)
        kobold = FakeKoboldCpp()
        row = Row(KOBOLD_NAME, "koboldcpp", "KoboldCpp", 5.0)
        self.runs(kobold, row, 0, "koboldcpp", "--model", f"/m/{KOBOLD_NAME}.gguf", "--port", "PORT")
        self._others()

    def _others(self) -> None:
        studio = FakeLmStudio()
        parent = self.machine.run(studio, "llmster")
        worker = [
            "/home/u/.lmstudio/.internal/utils/node",
            "/home/u/.lmstudio/llmster/0.0.6/lib/llmworker.js",
        ]
        self.machine.driver.run(0, parent.start(worker), 6 * GIB)
        self.rows.append(Row(LM_STUDIO_NAME, "lm_studio", "LM Studio", 6.0))
        self.servers.append(studio)
        tabby = FakeTabbyApi()
        row = Row(TABBY_NAME, "tabbyapi", "TabbyAPI", 4.0)
        self.runs(tabby, row, 1, "python3", "/opt/tabbyAPI/main.py", "--port", "PORT")
        comfyui = FakeComfyUi()
        comfyui.queue()
        comfyui.load()
        comfyui.step(7)
        row = Row(PICTURES_NAME, "comfyui", "ComfyUI", 6.5)
        self.runs(comfyui, row, 0, "python3", "/opt/ComfyUI/main.py", "--port", "PORT")
        text = FakeLlamaServer()
        row = Row("mistral-7b", "tgi", "TGI", 2.0)
        self.runs(text, row, 3, "text-generation-server", "serve", "mistral-7b", "--port", "PORT")


@pytest.fixture
async def workshop(machine: Machine) -> AsyncIterator[Workshop]:
    shop = Workshop(machine)
    shop.fill()
    async with AsyncExitStack() as stack:
        for server in shop.servers:
            await stack.enter_async_context(server)
        yield shop


async def test_each_of_nine_kinds_is_one_row_with_its_name_and_memory(
    finding: dict[str, str], workshop: Workshop
) -> None:
    _, document, _ = await run(finding, "snapshot")
    said = [
        Row(one["name"], one["runtime"], row.label, (one["measured_vram_bytes"] or 0) / GIB)
        for one in document["models"]
        for row in workshop.rows
        if row.name == one["name"]
    ]
    assert sorted(said) == sorted(workshop.rows)
    assert len(document["models"]) == len(workshop.rows)
    assert [holder for gpu in document["gpus"] for holder in gpu["holders"] or ()] == []


async def test_all_of_them_are_on_one_screen(finding: dict[str, str], workshop: Workshop) -> None:
    with Pane(gpumon(), finding, 120, 40) as pane:
        for row in workshop.rows:
            screen = await pane.wait_for_line(row.name, row.label)
    assert "SPILLED" not in screen
