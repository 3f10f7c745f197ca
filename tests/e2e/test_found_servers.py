"""Servers that nobody has named: found among the processes, asked where they listen, each once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane, has_line
from tests.fakes.http import Listening
from tests.fakes.llama_server.router import Child, FakeRouter
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build, compiler
from tests.fakes.processes.secluded import VARIABLE

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")


class Machine:
    """Starts processes that listen where fake servers answer."""

    def __init__(self, folder: Path, driver: FakeDriver, stack: ExitStack) -> None:
        self._program = build(folder)
        self._stack = stack
        self._held: list[int] = []
        self.log: IO[bytes] | None = None
        """Where processes write that are run next."""
        self.driver = driver

    def hold(self, *servers: Listening) -> None:
        """Have the processes that are run next, and their children, hold the sockets of these too."""
        self._held += [server.bind() for server in servers]

    def run(self, server: Listening, *argv: str, **variables: str) -> Actor:
        """Run a process that holds the socket of ``server``, with these variables beside our own."""
        descriptors = [server.bind(), *self._held]
        words = [word.replace("PORT", str(server.port)) for word in argv]
        told = {name: value.replace("PORT", str(server.port)) for name, value in variables.items()}
        before = dict(os.environ)
        os.environ.update(told)
        try:
            return self._stack.enter_context(Actor(self._program, words, descriptors, self.log))
        finally:
            os.environ.clear()
            os.environ.update(before)


@pytest.fixture
def machine(tmp_path: Path, fake_driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    with ExitStack() as stack:
        yield Machine(tmp_path, fake_driver, stack)


@pytest.fixture
def finding(bare_environment: dict[str, str], fake_driver: FakeDriver) -> dict[str, str]:
    """Nobody names a server, and none is left out."""
    found = bare_environment | fake_driver.environment()
    for name in ("GPUMON_FIND", "OLLAMA_HOST"):
        del found[name]
    return found


def without_driver(finding: dict[str, str]) -> dict[str, str]:
    return finding | {"LD_LIBRARY_PATH": "", "FAKE_NVML_STATE": ""}


async def run(
    environment: dict[str, str], *arguments: str, before: Sequence[str] = (), command: Sequence[str] = ()
) -> tuple[int, Any, str]:
    """Run a command off the event loop; return its code, its JSON (else its words), and its stderr."""
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, *arguments] if command else [*before, *gpumon(*arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    is_json = done.stdout.startswith("{")
    return done.returncode, json.loads(done.stdout) if is_json else done.stdout, done.stderr


def models_of(document: dict[str, Any], url: str) -> list[dict[str, Any]]:
    return [model for model in document["models"] if model["url"] == url]


async def test_an_ollama_on_another_port_is_asked_and_its_spill_is_told(
    finding: dict[str, str], machine: Machine
) -> None:
    ollama = FakeOllama()
    machine.run(ollama, "ollama", "serve", OLLAMA_HOST="0.0.0.0:PORT")
    async with ollama:
        ollama.catalog.load("llama3.1:8b", size_bytes=12 * GIB, size_vram_bytes=8 * GIB)
        code, document, _ = await run(finding, "snapshot")
        (model,) = models_of(document, ollama.url)
        assert (model["name"], model["spill_percent"], model["level"]) == ("llama3.1:8b", "33%", "bad")
        assert (code, document["level"], document["complete"]) == (1, "bad", True)
        assert "no Ollama" not in document["sentence"]
        assert "127.0.0.1:11434" not in [source["name"] for source in document["sources"]]
        _, words, _ = await run(finding, "why")
        assert "llama3.1:8b spills 4.0 GiB (33%) to RAM" in words
        _, report, _ = await run(finding, "doctor")
        assert f"Ollama at 127.0.0.1:{ollama.port}" in report
        assert f"server at 127.0.0.1:{ollama.port}" not in report
        for said in (json.dumps(document), words, report):
            assert "start it with: ollama serve" not in said


async def test_the_dashboard_has_it_and_starts_nothing(finding: dict[str, str], machine: Machine) -> None:
    ollama = FakeOllama()
    machine.run(ollama, "ollama", "serve", OLLAMA_HOST="0.0.0.0:PORT")
    async with ollama:
        ollama.catalog.load("llama3.1:8b", size_bytes=12 * GIB, size_vram_bytes=8 * GIB)
        with Pane(gpumon(), finding, 140, 40) as pane:
            await pane.wait_for_line("■ SPILLED  llama3.1:8b · 33% in RAM")
            screen = await pane.wait_for_line("■ llama3.1:8b", "8.0+4.0", "33%")
            assert "ollama serve" not in screen
            assert "no Ollama at" not in screen


async def test_of_two_ollamas_each_has_its_row(
    finding: dict[str, str], machine: Machine, ollama: FakeOllama
) -> None:
    second = FakeOllama()
    machine.run(second, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT")
    async with second:
        ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
        second.catalog.load("gemma3:27b", size_bytes=18 * GIB, size_vram_bytes=12 * GIB)
        code, document, _ = await run(finding | {"OLLAMA_HOST": ollama.url}, "snapshot")
    assert [model["name"] for model in models_of(document, ollama.url)] == ["qwen3:8b"]
    (spilled,) = models_of(document, second.url)
    assert (spilled["name"], spilled["spill_percent"]) == ("gemma3:27b", "33%")
    assert (code, document["level"]) == (1, "bad")


async def test_one_that_is_named_by_another_spelling_is_asked_once(
    finding: dict[str, str], machine: Machine
) -> None:
    ollama = FakeOllama()
    machine.run(ollama, "ollama", "serve", OLLAMA_HOST="0.0.0.0:PORT")
    named = f"http://localhost:{ollama.port}"
    async with ollama:
        ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
        _, document, _ = await run(finding, "snapshot", "--url", named)
    assert [model["url"] for model in document["models"] if model["name"] == "qwen3:8b"] == [named]


async def test_it_can_be_left_out(finding: dict[str, str], machine: Machine) -> None:
    ollama = FakeOllama()
    machine.run(ollama, "ollama", "serve", OLLAMA_HOST="0.0.0.0:PORT")
    async with ollama:
        ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
        _, document, _ = await run(finding, "snapshot", "--no-find")
        _, report, _ = await run(finding, "doctor", "--no-find")
    assert models_of(document, ollama.url) == []
    assert f"server at 127.0.0.1:{ollama.port}" in report, "it runs here and is not asked"


def start_llama_server(machine: Machine, server: FakeLlamaServer, vram_gib: int) -> None:
    server.alias = "Qwen3-14B-Q4_K_M.gguf"
    argv = ("llama-server", "-m", "/models/Qwen3-14B-Q4_K_M.gguf", "-ngl", "99", "--port", "PORT")
    machine.driver.run(0, machine.run(server, *argv).pid, vram_gib * GIB)


@pytest.mark.parametrize("beside", ["nothing", "idle ollama"])
async def test_a_llama_server_is_in_every_snapshot(
    beside: str, finding: dict[str, str], machine: Machine, ollama: FakeOllama
) -> None:
    server = FakeLlamaServer()
    start_llama_server(machine, server, 11)
    if beside == "idle ollama":
        finding |= {"OLLAMA_HOST": ollama.url}
    async with server:
        for _ in range(4):
            code, document, _ = await run(finding, "snapshot")
            (model,) = models_of(document, server.url)
            assert (model["name"], model["measured_vram_bytes"]) == ("Qwen3-14B-Q4_K_M.gguf", 11 * GIB)
            assert (document["complete"], document["missing"]) == (True, [])
            assert "Ollama" not in document["sentence"]
            assert code == 0, "by the model"


async def test_a_model_at_work_has_its_rate_in_the_snapshot(
    finding: dict[str, str], machine: Machine
) -> None:
    server = FakeLlamaServer()
    start_llama_server(machine, server, 11)
    async with server:
        server.simulation.start(0, 1000)

        async def work() -> None:
            while True:
                server.simulation.decode(0, 4)
                await asyncio.sleep(0.1)

        working = asyncio.create_task(work())
        _, document, _ = await run(finding, "snapshot")
        working.cancel()
    (model,) = models_of(document, server.url)
    assert model["activity"] == "busy"
    assert model["decode_tokens_per_second"] == pytest.approx(40, rel=0.25)


async def test_a_llama_server_told_by_its_environment_alone_is_a_model(
    finding: dict[str, str], machine: Machine
) -> None:
    server = FakeLlamaServer()
    server.alias = "Qwen3-14B"
    server.simulation.context_length = 16384
    variables = {
        "LLAMA_ARG_MODEL": "/models/Qwen3-14B.gguf",
        "LLAMA_ARG_ALIAS": "Qwen3-14B",
        "LLAMA_ARG_CTX_SIZE": "32768",
        "LLAMA_ARG_N_GPU_LAYERS": "99",
        "LLAMA_ARG_N_PARALLEL": "2",
        "LLAMA_ARG_PORT": "PORT",
    }
    actor = machine.run(server, "/app/llama-server", **variables)
    machine.driver.run(0, actor.pid, 7 * GIB)
    async with server:
        _, document, _ = await run(finding, "snapshot")
        _, report, _ = await run(finding, "doctor")
    (model,) = models_of(document, server.url)
    assert (model["name"], model["measured_vram_bytes"]) == ("Qwen3-14B", 7 * GIB)
    runner = model["runner"]
    assert (runner["context_length"], runner["parallel"], runner["gpu_layers"]) == (16384, 2, 99)
    assert f":{server.port}: runs here and is not asked" not in report


async def test_a_router_and_its_child_are_one(finding: dict[str, str], machine: Machine) -> None:
    router, child = FakeRouter(), FakeLlamaServer()
    router.children["qwen"] = Child(status="loaded")
    parent = machine.run(router, "llama-server", "--models-dir", "/m", "--port", "PORT")
    descriptor = child.bind()
    argv = ["llama-server", "--alias", "qwen", "--model", "/m/qwen.gguf", "--port", str(child.port)]
    machine.driver.run(0, parent.start(argv), 5 * GIB)
    async with router, child:
        _, document, _ = await run(finding, "snapshot")
    del descriptor
    found = [model for model in document["models"] if model["name"] == "qwen"]
    assert [(model["url"], model["measured_vram_bytes"]) for model in found] == [(router.url, 5 * GIB)]
    assert router.loaded_by_question == []


async def test_where_a_server_hangs_the_snapshot_says_that_it_is_not_whole(
    finding: dict[str, str], machine: Machine
) -> None:
    ollama = FakeOllama()
    ollama.misbehave("*", "hang")
    machine.run(ollama, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT")
    async with ollama:
        code, document, said = await run(finding, "snapshot")
    assert (document["complete"], ollama.url in document["missing"]) == (False, True)
    assert document["level"] != "ok"
    assert code in {1, 2, 3}
    assert f"waiting for Ollama at 127.0.0.1:{ollama.port}" in said


async def test_one_that_comes_and_goes_is_a_row_while_it_is_there(
    finding: dict[str, str], machine: Machine
) -> None:
    ollama = FakeOllama()
    ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
    with Pane(gpumon("--interval", "0.5"), finding, 140, 40) as pane:
        await pane.wait_for("RTX 4090")
        actor = machine.run(ollama, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT")
        async with ollama:
            await pane.wait_for("1 model on GPU")
            await pane.wait_for_line("● qwen3:8b", "▆", "6.0")
            actor.__exit__(None, None, None)
            await ollama.refuse()
            screen = await pane.wait_for_line("○ qwen3:8b", "left", "ago, server stopped")
            assert "1 model on GPU" not in screen
            assert not has_line(screen, "qwen3:8b", "▆")


@pytest.mark.parametrize("named", [False, True], ids=["by process", "by url"])
async def test_a_key_that_is_missing_is_said_once_and_costs_one_refusal(
    named: bool, finding: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    """Others may watch this machine at the same time: our requests bear a mark."""
    server = FakeLlamaServer()
    server.api_key = "sesame"
    start_llama_server(machine, server, 11)
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[headers."{server.url}"]\nX-Test = "ours"\n')
    finding |= {"GPUMON_CONFIG": str(settings)}
    async with server:
        with Pane(gpumon(*(["--url", server.url] if named else [])), finding, 140, 40) as pane:
            await pane.wait_for("Qwen3-14B-Q4_K_M.gguf", "11.0 GiB", "HTTP 401", "--api-key")
            await asyncio.sleep(4)
            screen = pane.screen()
        ours = [one.path for one in server.requests if "x-test" in one.headers]
        refused = [path for path in ours if path != "/health"]
    assert len(refused) == 1, refused
    assert screen.count("HTTP 401") == (2 if named else 1), "of one that is named: band and event"
    assert not named or has_line(screen, "■ SILENT", "does not let us ask: HTTP 401")
    assert "Ollama" not in screen.partition("Models")[2]


async def test_a_key_that_is_set_for_its_url_is_sent_and_one_for_every_server_is_not(
    finding: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    server = FakeLlamaServer()
    server.api_key = "sesame"
    start_llama_server(machine, server, 11)
    settings = tmp_path / "settings.toml"
    own = f'[headers."{server.url}"]\nAuthorization = "Bearer sesame"\n'
    settings.write_text(f'[headers."*"]\nX-Team = "research"\n{own}')
    async with server:
        _, document, _ = await run(finding | {"GPUMON_CONFIG": str(settings)}, "snapshot")
    (model,) = models_of(document, server.url)
    assert model["activity"] == "idle"
    assert "Bearer sesame" in {one.headers.get("authorization") for one in server.requests}
    assert not any("x-team" in one.headers for one in server.requests)


async def test_without_a_gpu_the_exit_code_is_that_of_the_model(
    finding: dict[str, str], machine: Machine
) -> None:
    server = FakeLlamaServer()
    server.alias = "tiny"
    machine.run(server, "llama-server", "-m", "/models/tiny.gguf", "--port", "PORT")
    async with server:
        code, document, _ = await run(without_driver(finding), "snapshot")
        why, words, _ = await run(without_driver(finding), "why")
        _, report, _ = await run(without_driver(finding), "doctor")
    assert [model["name"] for model in models_of(document, server.url)] == ["tiny.gguf"]
    assert (code, why) == (0, 0)
    assert "Ollama" not in document["sentence"]
    assert "Ollama" not in words
    assert "1 server, 0 of their processes" in report
    assert "Neither a GPU driver nor a server answers" not in report


async def test_where_another_port_is_named_the_right_one_is_said_and_nothing_is_started(
    finding: dict[str, str], machine: Machine
) -> None:
    ollama = FakeOllama()
    machine.run(ollama, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT")
    async with ollama:
        _, document, _ = await run(finding, "snapshot", "--url", "http://127.0.0.1:9")
    (source,) = [one for one in document["sources"] if one["name"] == "http://127.0.0.1:9"]
    assert source["hint"] == f"Ollama runs here, at 127.0.0.1:{ollama.port}: check --url"


async def test_where_nothing_serves_it_is_said_how_to_start_it(finding: dict[str, str]) -> None:
    _, document, _ = await run(finding | {VARIABLE: "nobody"}, "snapshot")
    sources = {one["name"]: one["hint"] for one in document["sources"]}
    assert sources["http://127.0.0.1:11434"] == "start it with: ollama serve"
    assert "no Ollama at 127.0.0.1:11434" in document["sentence"]
