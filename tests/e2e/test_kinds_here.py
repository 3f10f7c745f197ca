"""Kinds of servers that run here, found as processes: what holds VRAM for them is theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.test_found_servers import Machine, finding, machine, run
from tests.fakes.gguf.mixture import dense
from tests.fakes.koboldcpp import NAME as KOBOLD_NAME
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.lm_studio import NAME as LM_STUDIO_NAME
from tests.fakes.lm_studio import FakeLmStudio
from tests.fakes.localai import NAME as LOCALAI_NAME
from tests.fakes.localai import READY, FakeLocalAi
from tests.fakes.nvml.driver import GIB
from tests.fakes.processes.actor import compiler
from tests.fakes.sglang import NAME as SGLANG_NAME
from tests.fakes.sglang import FakeSglang

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")
__all__ = ["finding", "machine"]


async def test_both_workers_of_an_sglang_are_its_own(finding: dict[str, str], machine: Machine) -> None:
    server = FakeSglang()
    server.used = 40_000
    line = (
        "python3",
        "-m",
        "sglang.launch_server",
        "--model-path",
        SGLANG_NAME,
        "--port",
        "PORT",
        "--tp",
        "2",
    )
    machine.driver.state.gpu_count = 2
    parent = machine.run(server, *line)
    for gpu in (0, 1):
        machine.driver.run(gpu, parent.start([f"sglang::scheduler_TP{gpu}"]), 20 * GIB)
    parent.start(["sglang::detokenizer"])
    async with server:
        code, document, _ = await run(finding, "snapshot")
    [model] = document["models"]
    assert (code, model["name"], model["runtime"]) == (0, SGLANG_NAME, "sglang")
    assert model["measured_vram_bytes"] == 40 * GIB
    assert sorted(model["measured_vram_by_gpu"].values()) == [20 * GIB, 20 * GIB]
    assert (model["requests_running"], model["requests_waiting"]) == (0, 0)
    assert {path.partition("?")[0] for _, path in server.asked} == {"/v1/models", "/v1/loads", "/metrics"}
    assert {method for method, _ in server.asked} == {"GET"}


async def test_the_worker_of_an_lm_studio_holds_its_model(finding: dict[str, str], machine: Machine) -> None:
    server = FakeLmStudio()
    parent = machine.run(server, "llmster")
    worker = ["/home/u/.lmstudio/.internal/utils/node", "/home/u/.lmstudio/llmster/0.0.6/lib/llmworker.js"]
    machine.driver.run(0, parent.start(worker), 6 * GIB)
    async with server:
        _, document, _ = await run(finding, "snapshot")
    [model] = document["models"]
    assert (model["name"], model["runtime"], model["context_length"]) == (LM_STUDIO_NAME, "lm_studio", 8192)
    assert (model["measured_vram_bytes"], model["claimed_size_bytes"]) == (6 * GIB, None)
    assert model["decode_tokens_per_second"] is None


async def test_the_backend_of_a_localai_holds_its_model(finding: dict[str, str], machine: Machine) -> None:
    server = FakeLocalAi()
    server.models[LOCALAI_NAME] = READY
    parent = machine.run(server, "local-ai", "run", "--address", ":PORT")
    backend = ["/data/backends/llama-cpp/llama-cpp-avx2", "--addr", "127.0.0.1:40001"]
    machine.driver.run(0, parent.start(backend), 6 * GIB)
    async with server:
        _, document, _ = await run(finding, "snapshot")
    [model] = document["models"]
    assert (model["name"], model["runtime"]) == (LOCALAI_NAME, "localai")
    assert (model["measured_vram_bytes"], model["activity"]) == (6 * GIB, "idle")


async def test_the_last_request_of_a_koboldcpp_is_told_as_that(
    finding: dict[str, str], machine: Machine
) -> None:
    server = FakeKoboldCpp()
    parent = machine.run(server, "koboldcpp", "--model", f"/m/{KOBOLD_NAME}.gguf", "--port", "PORT")
    machine.driver.run(0, parent.pid, 17 * GIB)
    async with server:
        _, document, _ = await run(finding, "snapshot")
        _, words, _ = await run(finding, "why")
    [model] = document["models"]
    assert (model["name"], model["measured_vram_bytes"]) == (KOBOLD_NAME, 17 * GIB)
    assert model["decode_tokens_per_second"] is None
    assert model["last_request"]["decode_tokens_per_second"] == 31.5
    assert "generated at 32 tok/s" in words


async def test_the_file_of_a_koboldcpp_is_read_for_cause_and_cure(
    finding: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    path = dense().write(tmp_path / f"{KOBOLD_NAME}.gguf")
    server = FakeKoboldCpp()
    line = ("koboldcpp", "--model", str(path), "--port", "PORT", "--gpulayers", "10", "--contextsize", "8192")
    machine.driver.run(0, machine.run(server, *line).pid, 3 * GIB)
    async with server:
        _, words, _ = await run(finding, "why")
    assert "what its file holds is not known" not in words
    assert "--gpulayers" in words
