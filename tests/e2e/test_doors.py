"""Servers that stand before others: each model is one row, whichever door is found or named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.test_containers import contain, publish
from tests.e2e.test_found_servers import Machine, finding, machine, run
from tests.e2e.tmux import Pane
from tests.fakes.docker_model_runner import HEX, FakeDockerModelRunner, child
from tests.fakes.lemonade import FakeLemonade
from tests.fakes.llama_server.ik import FakeIkLlama
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.llama_swap import FakeLlamaSwap
from tests.fakes.nvml.driver import GIB
from tests.fakes.processes.actor import compiler
from tests.fakes.processes.namespace import can_be_made
from tests.fakes.vllm import NAME as VLLM_NAME
from tests.fakes.vllm import FakeVllm

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")
__all__ = ["finding", "machine"]


@asynccontextmanager
async def working(server: FakeLlamaServer) -> AsyncIterator[None]:
    """Have a server generate 40 tokens a second."""
    server.simulation.start(0, 1000)

    async def work() -> None:
        while True:
            server.simulation.decode(0, 4)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(work())
    yield
    task.cancel()


def only_row(document: dict[str, Any], url: str) -> dict[str, Any]:
    """Return the only model."""
    assert [(one["name"], one["url"]) for one in document["models"]] == [(document["models"][0]["name"], url)]
    return dict(document["models"][0])


@pytest.mark.parametrize("named", ["none", "front", "behind", "both"])
async def test_a_model_behind_llama_swap_is_one_row_whichever_door_is_named(
    named: str, finding: dict[str, str], machine: Machine
) -> None:
    swap, server = FakeLlamaSwap(), FakeLlamaServer()
    machine.hold(server)
    line = f"llama-server --model /models/gemma.gguf --port {server.port} -c 4096"
    swap.run("gem-a", server.port, line)
    parent = machine.run(swap, "llama-swap", "--config", "c.yaml", "--listen", "127.0.0.1:PORT")
    machine.driver.run(0, parent.start(line.split()), 5 * GIB)
    doors = {"none": [], "front": [swap.url], "behind": [server.url], "both": [server.url, swap.url]}
    async with swap, server, working(server):
        _, document, _ = await run(finding, "snapshot", *(f"--url={url}" for url in doors[named]))
    row = only_row(document, swap.url)
    assert (row["name"], row["measured_vram_bytes"]) == ("gem-a", 5 * GIB)
    assert row["decode_tokens_per_second"] == pytest.approx(40, rel=0.25)
    assert swap.careless == []


@pytest.mark.skipif(not can_be_made(), reason="no network namespace can be made")
async def test_a_model_that_llama_swap_runs_in_a_container_is_one_row(
    finding: dict[str, str], machine: Machine
) -> None:
    """Its command line is that of ``docker run``: the process of the model is no child of llama-swap."""
    swap, published, inside = FakeLlamaSwap(), FakeVllm(), FakeVllm()
    argv = ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", VLLM_NAME, "--port", "PORT"]
    worker = contain(machine, inside, "172.17.0.2", argv, "VLLM::EngineCore")
    machine.driver.run(0, worker, 18 * GIB)
    publish(machine, published, inside, "172.17.0.2")
    parent = machine.run(swap, "llama-swap", "--config", "c.yaml", "--listen", "127.0.0.1:PORT")
    line = f"docker run --rm -p {published.port}:8000 vllm/vllm-openai --model {VLLM_NAME}"
    parent.start(line.split())
    swap.run("qwen", published.port, line)
    published.engine.running = 1
    async with swap, published, inside:
        _, document, _ = await run(finding, "snapshot")
    row = only_row(document, swap.url)
    assert (row["name"], row["measured_vram_bytes"], row["activity"]) == ("qwen", 18 * GIB, "busy")
    assert document["sentence"] == "1 model on GPU"


async def test_lemonades_model_has_its_name_and_the_figures_of_its_process(
    finding: dict[str, str], machine: Machine
) -> None:
    lemonade, server = FakeLemonade(), FakeLlamaServer()
    machine.hold(server)
    parent = machine.run(lemonade, "lemond", "--port", "PORT")
    pid = parent.start(["llama-server", "-m", "/m/Qwen3-8B.gguf", "--port", str(server.port)])
    machine.driver.run(0, pid, 6 * GIB)
    lemonade.load("Qwen3-8B-GGUF", server.port, pid)
    async with lemonade, server, working(server):
        (_, document, _), (_, report, _) = await asyncio.gather(
            run(finding, "snapshot"), run(finding, "doctor")
        )
        with Pane(gpumon(), finding, 140, 50) as pane:
            await pane.wait_for_line("● Qwen3-8B-GGUF", "6.0")
            pane.press("Enter")
            await pane.wait_for("more figures")
            pane.press("d")
            await pane.wait_for(f"Lemonade at 127.0.0.1:{lemonade.port}", f"llama-server {pid}")
    row = only_row(document, lemonade.url)
    assert (row["name"], row["runtime"]) == ("Qwen3-8B-GGUF", "lemonade")
    assert (row["measured_vram_bytes"], row["runner"]["pid"]) == (6 * GIB, pid)
    assert row["decode_tokens_per_second"] == pytest.approx(40, rel=0.25)
    assert f"Lemonade at 127.0.0.1:{lemonade.port}" in report
    assert "is not asked" not in report
    assert "ollama" not in report.lower()


async def test_docker_model_runners_model_is_joined_by_the_digest_in_its_path(
    finding: dict[str, str], machine: Machine
) -> None:
    server = FakeDockerModelRunner()
    parent = machine.run(server, "/app/model-runner")
    other = "b" * 64
    pids = {digest: parent.start(child(digest, slot)) for slot, digest in enumerate((HEX, other))}
    machine.driver.run(0, pids[HEX], 2 * GIB)
    machine.driver.run(0, pids[other], 3 * GIB)
    server.load("ai/gemma3", other)
    server.load("ai/smollm2", HEX, in_use=True)
    async with server:
        _, document, _ = await run(finding, "snapshot")
    rows = {one["name"]: (one["runner"]["pid"], one["measured_vram_bytes"]) for one in document["models"]}
    assert rows == {"ai/smollm2": (pids[HEX], 2 * GIB), "ai/gemma3": (pids[other], 3 * GIB)}
    assert {one["url"] for one in document["models"]} == {server.url}
    assert "/engines/requests" not in {path for _, path in server.asked}


async def test_a_llama_server_that_jan_has_started_says_so(finding: dict[str, str], machine: Machine) -> None:
    jan, server = FakeLlamaServer(), FakeLlamaServer()
    server.alias = "qwen3-4b"
    machine.hold(server)
    parent = machine.run(jan, "/usr/bin/Jan")
    pid = parent.start(
        ["llama-server", "-m", "/j/qwen3-4b.gguf", "-a", "qwen3-4b", "--port", str(server.port)]
    )
    machine.driver.run(0, pid, 4 * GIB)
    async with jan, server:
        _, document, _ = await run(finding, "snapshot")
        with Pane(gpumon(), finding, 140, 50) as pane:
            await pane.wait_for_line("● qwen3-4b", "4.0")
            pane.press("Enter")
            await pane.wait_for("more figures")
            pane.press("d")
            await pane.wait_for(f"llama-server {pid}", "started by Jan")
    row = only_row(document, server.url)
    assert (row["name"], row["measured_vram_bytes"]) == ("qwen3-4b", 4 * GIB)
    assert jan.requests == [], "it tells nothing"


async def test_an_ik_llama_has_the_row_of_a_llama_server(finding: dict[str, str], machine: Machine) -> None:
    server = FakeIkLlama()
    server.alias = "DeepSeek-V3-IQ4_KS"
    argv = "llama-server -m /m/DeepSeek-V3-IQ4_KS.gguf -ser 7,1 -fmoe -mla 3 -ot exps=CPU -ngl 99 --port PORT"
    machine.driver.run(0, machine.run(server, *argv.split()).pid, 20 * GIB)
    async with server, working(server):
        _, document, _ = await run(finding, "snapshot")
    row = only_row(document, server.url)
    assert (row["name"], row["measured_vram_bytes"]) == ("DeepSeek-V3-IQ4_KS.gguf", 20 * GIB)
    assert row["decode_tokens_per_second"] == pytest.approx(40, rel=0.25)
