"""Set-ups that people have, which are about more than who is found: what is said on the surfaces."""

from __future__ import annotations

import asyncio

import pytest
from tests.e2e.test_found_servers import Machine, finding, machine, run
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.llama_swap import FakeLlamaSwap
from tests.fakes.nvml.driver import GIB
from tests.fakes.processes.actor import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")
__all__ = ["finding", "machine"]


async def test_models_behind_llama_swap_have_the_names_that_clients_use(
    finding: dict[str, str], machine: Machine
) -> None:
    swap, ready, starting = FakeLlamaSwap(), FakeLlamaServer(), FakeLlamaServer()
    machine.hold(ready, starting)
    ports = [ready.port, starting.port]
    lines = [f"llama-server --model /models/gemma.gguf --port {port} -c 4096" for port in ports]
    swap.run("gem-a", ports[0], lines[0])
    swap.run("gem-b", ports[1], lines[1], "starting")
    starting.loading = True
    parent = machine.run(swap, "llama-swap", "--config", "c.yaml", "--listen", "127.0.0.1:PORT")
    machine.driver.run(0, parent.start(lines[0].split()), 5 * GIB)
    machine.driver.run(0, parent.start(lines[1].split()), 1 * GIB)
    async with swap, ready, starting:
        ready.simulation.start(0, 1000)
        working = asyncio.create_task(_work(ready))
        _, document, _ = await run(finding, "snapshot")
        _, report, _ = await run(finding, "doctor")
        working.cancel()
    assert "ollama" not in report.lower()
    rows = {model["name"]: model for model in document["models"]}
    assert set(rows) == {"gem-a", "gem-b"}
    assert (rows["gem-a"]["url"], rows["gem-a"]["measured_vram_bytes"]) == (swap.url, 5 * GIB)
    assert rows["gem-a"]["decode_tokens_per_second"] == pytest.approx(40, rel=0.25)
    assert rows["gem-b"]["load"]["phase"]
    assert "llama-swap" in report
    assert "is not asked" not in report
    assert swap.careless == []


async def _work(server: FakeLlamaServer) -> None:
    while True:
        server.simulation.decode(0, 4)
        await asyncio.sleep(0.1)
