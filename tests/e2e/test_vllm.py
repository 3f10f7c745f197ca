"""A vLLM that nobody has named, with the processes that it has: found, asked, and drawn as one model."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.test_containers import contain, publish
from tests.e2e.test_found_servers import Machine, finding, machine, models_of, run
from tests.e2e.tmux import Pane, has_line
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.processes.actor import Actor, build, compiler
from tests.fakes.processes.namespace import can_be_made
from tests.fakes.vllm import NAME, FakeVllm

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")
__all__ = ["finding", "machine"]

SERVE = ("/usr/bin/python3", "/usr/local/bin/vllm", "serve", NAME, "--port", "PORT")
MODULE = ("python3", "-m", "vllm.entrypoints.openai.api_server")
LOG = """\
(EngineCore pid=9) INFO 11-30 12:00:01 [core.py:58] Initializing a V1 LLM engine (v0.32.0) with config: model
Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:01<00:01,  1.21it/s]
"""
LOADED = """\
Loading safetensors checkpoint shards: 100% Completed | 4/4 [00:02<00:00,  1.21it/s]
(Worker_TP0 pid=10) INFO 11-30 12:00:09 [gpu_model_runner.py:2338] Model loading took 8.0 GiB and 5.2 seconds
(Worker_TP0 pid=10) INFO 11-30 12:00:19 [gpu_worker.py:298] Available KV cache memory: 10.0 GiB
(EngineCore pid=9) INFO 11-30 12:00:19 [kv_cache_utils.py:1087] GPU KV cache size: 49,152 tokens
(APIServer pid=8) INFO:     Application startup complete.
"""


class Unready(FakeVllm):
    """Holds its port and does not listen, as it does until its engine is ready (``create_server_socket``)."""

    def _opened(self) -> socket.socket:
        held = socket.socket()
        held.bind((self.host, self.port))
        return held


@pytest.fixture
def fake_driver(tmp_path: Path) -> Iterator[FakeDriver]:
    """Two cards."""
    with FakeDriver(tmp_path / "driver", 2) as driver:
        yield driver


async def test_one_that_is_split_over_two_cards_is_one_model(
    finding: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    server, log = FakeVllm(), tmp_path / "vllm.log"
    server.engine.running, server.engine.used = 1, 0.25
    log.write_text(LOG + LOADED)
    with log.open("ab") as machine.log:
        actor = machine.run(server, *SERVE, "--tensor-parallel-size", "2")
        for card in range(2):
            machine.driver.run(card, actor.start([f"VLLM::Worker_TP{card}"]), 20 * GIB)
        async with server:
            _, document, _ = await run(finding, "snapshot")
            with Pane(gpumon(), finding, 140, 40) as pane:
                screen = await pane.wait_for_line(NAME, "40.0")
                assert has_line(screen, "RTX 4090", NAME, "20.0/24.0")
                assert "VLLM::Worker" not in screen
    (model,) = models_of(document, server.url)
    assert (model["name"], model["runtime"], model["runner"]["pid"]) == (NAME, "vllm", actor.pid)
    assert list(model["measured_vram_by_gpu"].values()) == [20 * GIB, 20 * GIB]
    assert model["spill_percent"] is None
    cache = model["cache"]
    assert (cache["capacity_tokens"], cache["used_fraction"]) == (49152, 0.25)
    assert (cache["size_bytes"], cache["size_is_estimate"]) == (20 * GIB, True), "one worker tells for both"


@pytest.mark.skipif(not can_be_made(), reason="no network namespace can be made")
async def test_two_in_containers_are_told_apart_by_their_ports(
    finding: dict[str, str], machine: Machine
) -> None:
    published, servers, port = [FakeVllm(), FakeVllm()], AsyncExitStack(), 0
    for number, server in enumerate(published):
        server.name = ("Qwen/Qwen3-8B", "google/gemma-3-27b-it")[number]
        inside, address = FakeVllm(port), f"172.17.0.{2 + number}"
        argv = [*MODULE, "--model", server.name, "--port", "PORT"]
        worker = contain(machine, inside, address, argv, "VLLM::EngineCore")
        port = inside.port
        machine.driver.run(number, worker, (18 + number) * GIB)
        publish(machine, server, inside, address)
        await servers.enter_async_context(server)
        await servers.enter_async_context(inside)
    async with servers:
        _, document, _ = await run(finding, "snapshot")
    rows = [models_of(document, server.url) for server in published]
    assert [[(one["name"], one["measured_vram_bytes"]) for one in own] for own in rows] == [
        [("Qwen/Qwen3-8B", 18 * GIB)],
        [("google/gemma-3-27b-it", 19 * GIB)],
    ]
    assert len(document["models"]) == 2


async def test_one_that_loads_is_a_load_while_its_port_is_closed(
    finding: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    server, log = Unready(), tmp_path / "vllm.log"
    log.write_text(LOG)
    with log.open("ab") as machine.log:
        actor = machine.run(server, *SERVE)
        machine.driver.run(0, actor.start(["VLLM::EngineCore"]), 5 * GIB)
        with Pane(gpumon(), finding, 140, 40) as pane:
            await pane.wait_for_line(NAME, "weights", "50%")
            machine.log.write(LOADED.encode())
            machine.log.flush()
            machine.driver.run(0, actor.start(["VLLM::EngineCore"]), 15 * GIB)
            async with server:
                await pane.wait_for_line("● Qwen/", "20.0", "32k")


async def test_one_that_sleeps_says_so_and_is_not_woken(finding: dict[str, str], machine: Machine) -> None:
    server = FakeVllm()
    server.engine.sleep = "weights_offloaded"
    actor = machine.run(server, *SERVE, "--enable-sleep-mode")
    machine.driver.run(0, actor.start(["VLLM::EngineCore"]), 1 * GIB)
    async with server:
        _, document, _ = await run(finding, "snapshot")
        with Pane(gpumon(), finding, 140, 40) as pane:
            await pane.wait_for_line(NAME, "asleep")
        assert {path for _, path in server.asked} <= {"/metrics", "/v1/models", "/version"}
    (model,) = models_of(document, server.url)
    assert (model["name"], model["cache"], model["spill_percent"]) == (NAME, None, None)


async def test_doctor_says_what_it_gives(finding: dict[str, str], machine: Machine) -> None:
    server = FakeVllm()
    machine.run(server, *SERVE)
    async with server:
        _, report, _ = await run(finding, "doctor")
    words = " ".join(report.split())
    assert f"port {server.port}" in words
    assert f"{NAME} on vLLM: /metrics" in words
    assert "how full its KV cache is" in words


async def test_one_of_several_machines_opens_no_port_and_is_a_model_all_the_same(
    finding: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    line = [*SERVE[:-2], "--headless", "--data-parallel-size", "4", "--data-parallel-address", "10.0.0.2"]
    with Actor(build(tmp_path), line) as actor:
        machine.driver.run(0, actor.start(["VLLM::EngineCore_DP1"]), 20 * GIB)
        _, document, _ = await run(finding, "snapshot")
    [model] = document["models"]
    assert (model["name"], model["load"], model["measured_vram_bytes"]) == (NAME, None, 20 * GIB)
    assert model["decode_tokens_per_second"] is None
