"""Situations out of public reports: what snapshot says, how it exits, what why says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_found_servers import Machine, finding, machine, run, without_driver
from tests.fakes.koboldcpp import NAME, FakeKoboldCpp
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.nvml.driver import GIB, MIB
from tests.fakes.ollama.catalog import BLOBS, FakeModel
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")
__all__ = ["finding", "machine"]
NOT_AVAILABLE = 2**64 - 1
LOGS = Path(__file__).parents[1] / "recordings" / "logs"


async def only(finding: dict[str, str], *arguments: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Return the exit code of a snapshot, the snapshot and its only model."""
    code, document, _ = await run(finding, "snapshot", *arguments)
    assert len(document["models"]) == 1, [(one["name"], one["url"]) for one in document["models"]]
    (model,) = document["models"]
    return code, document, model


@pytest.mark.parametrize("named", [False, True], ids=["by process", "by url"])
async def test_of_several_aliases_the_first_is_the_name_however_it_is_found(
    named: bool, finding: dict[str, str], machine: Machine
) -> None:
    server = FakeLlamaServer()
    server.alias = "best"
    machine.run(server, "llama-server", "-a", "best,千问", "--model", "models/link.gguf", "--port", "PORT")
    async with server:
        _, _, model = await only(finding, *(["--url", server.url] if named else []))
    assert (model["name"], model["url"]) == ("best", server.url)


async def test_a_claim_above_all_cards_is_never_well(finding: dict[str, str], machine: Machine) -> None:
    ollama, runner = FakeOllama(), FakeLlamaServer()
    machine.hold(runner)
    serve = machine.run(ollama, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT")
    machine.driver[0].total_bytes, machine.driver[0].used_bytes = 8 * GIB, 7 * GIB
    ollama.catalog.load("llama3.1:8b", size_bytes=12 * GIB)
    blob = ollama.catalog.installed["llama3.1:8b"].blob
    pid = serve.start(["llama-server", "--model", f"{BLOBS}/{blob}", "--port", str(runner.port)])
    machine.driver.list_process(0, pid, NOT_AVAILABLE)
    async with ollama, runner:
        (code, document, model), (why, words, _) = await asyncio.gather(only(finding), run(finding, "why"))
    assert (code, why) == (1, 1)
    assert model["level"] in {"watch", "bad"}
    assert document["level"] == model["level"]
    assert "4.0 GiB" in words
    assert "is well" not in words


async def test_a_program_that_imitates_ollama_is_known_by_its_own_name(
    finding: dict[str, str], machine: Machine
) -> None:
    server = FakeKoboldCpp()
    line = ("koboldcpp", "--model", f"/m/{NAME}.gguf", "--port", "PORT", "--gpulayers", "99")
    machine.driver.run(0, machine.run(server, *line).pid, 17 * GIB)
    async with server:
        for arguments in ([], ["--url", server.url]):
            _, document, model = await only(finding, *arguments)
            assert (model["name"], model["runtime"]) == (NAME, "koboldcpp")
            assert (model["measured_vram_bytes"], model["claimed_size_bytes"]) == (17 * GIB, None)
            assert model["expires_at"] is None
            assert "Ollama" not in document["sentence"]


async def test_in_mig_mode_nothing_is_measured(finding: dict[str, str], machine: Machine) -> None:
    ollama = FakeOllama()
    machine.run(ollama, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT")
    machine.driver.datacenter(0)
    machine.driver[0].mig_mode, machine.driver[0].used_bytes = 1, 6 * GIB
    ollama.catalog.load("llama3.1:8b", size_bytes=6 * GIB)
    async with ollama:
        (_, _, model), (_, words, _) = await asyncio.gather(only(finding), run(finding, "why"))
    assert model["measured_vram_bytes"] is None
    assert "0.0 GiB (NVML)" not in words


async def test_a_size_in_vram_that_an_old_ollama_leaves_out_is_none(
    finding: dict[str, str], machine: Machine
) -> None:
    ollama = FakeOllama()
    ollama.version = "0.1.41"
    machine.run(ollama, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT")
    row = FakeModel("llama3:8b", 5 * GIB).ps_row()
    ollama.catalog.raw_ps_rows.append({key: row[key] for key in row if key != "size_vram"})
    async with ollama:
        code, document, model = await only(finding)
    assert (model["processor"], model["spill_percent"], model["level"]) == ("100% CPU", "100%", "bad")
    assert (code, document["level"]) == (1, "bad")


FOREIGN = "Nov 30 10:50:01 box kernel: usb 1-1: new device {}\n"
LOADED = (LOGS / "ollama-0.32-sliding-window.log").read_text()


@pytest.mark.parametrize(
    "prefix",
    ["", "Nov 30 10:50:01 box ollama[1180]: ", "11月 30 10:50:01 box ollama[1180]: ", "ollama-1  | "],
)
async def test_a_saved_log_is_read_behind_its_prefix_and_never_takes_the_headline(
    prefix: str, finding: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    ollama, log, settings = FakeOllama(), tmp_path / "all.log", tmp_path / "settings.toml"
    machine.run(ollama, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT")
    ollama.catalog.load("llama3.1:8b", size_bytes=5 * GIB)
    lines = LOADED.splitlines() if prefix else [FOREIGN.format(number) for number in range(300)]
    log.write_text("".join(f"{prefix}{line.rstrip()}\n" for line in lines))
    settings.write_text(f"log_files = [{json.dumps(str(log))}]\n")
    async with ollama:
        code, document, _ = await only(finding | {"GPUMON_CONFIG": str(settings)})
    assert (code, document["sentence"]) == (0, "1 model on GPU")
    (source,) = [one for one in document["sources"] if one["name"] == f"log {log}"]
    assert source["state"] == ("serving" if prefix else "nonsense")


async def test_a_load_is_in_the_snapshot_by_the_name_that_the_server_gives(
    finding: dict[str, str], machine: Machine
) -> None:
    """Its folder of models cannot be read: the name is asked for."""
    ollama, runner = FakeOllama(), FakeLlamaServer()
    runner.loading = True
    machine.hold(runner)
    serve = machine.run(ollama, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT", OLLAMA_MODELS="/nowhere")
    ollama.catalog.install(FakeModel("qwen3:8b", 5 * GIB))
    blob = f"/nowhere/blobs/{ollama.catalog.installed['qwen3:8b'].blob}"
    async with ollama, runner:
        serve.start(["llama-server", "--model", blob, "--port", str(runner.port)])
        _, document, model = await only(finding)
    assert (model["name"], document["sentence"]) == ("qwen3:8b", "qwen3:8b is loading")
    assert set(model["load"]) >= {"phase", "fraction", "seconds_left"}


async def test_on_a_machine_without_a_gpu_a_model_in_ram_is_where_it_belongs(
    finding: dict[str, str], machine: Machine
) -> None:
    ollama = FakeOllama()
    machine.run(ollama, "ollama", "serve", OLLAMA_HOST="127.0.0.1:PORT")
    ollama.catalog.load("gemma3:270m", size_bytes=272 * MIB, size_vram_bytes=0)
    async with ollama:
        bare = without_driver(finding)
        (code, document, model), (why, words, _) = await asyncio.gather(only(bare), run(bare, "why"))
    assert (code, why, model["level"]) == (0, 0, "ok")
    assert model["spill_percent"] is None
    assert "spill" not in (words + document["sentence"]).lower()


async def test_a_name_that_the_kernel_has_cut_in_a_character_is_a_name_with_a_mark(
    finding: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    program = tmp_path / "Обработчик"
    build(tmp_path).rename(program)
    with Actor(program, ["worker"]) as worker:
        worker.start(["child"])  # it has answered, and so has its name by now
        machine.driver.run(0, worker.pid, 2 * GIB)
        _, document, problems = await run(finding, "snapshot")
    (process,) = document["gpus"][0]["processes"]
    assert process["name"].startswith("Обработ")
    assert problems == ""


async def test_a_koboldcpp_in_one_file_is_one_model_with_the_memory_of_the_process_below_it(
    finding: dict[str, str], machine: Machine
) -> None:
    """Its program starts itself again with the same command line; what is below holds model and port."""
    server = FakeKoboldCpp()
    line = ("/opt/koboldcpp-linux-x64", f"/m/{NAME}.gguf", "PORT")
    parent = machine.run(server, *line)
    machine.driver.run(0, parent.start([*line[:2], str(server.port)]), 16 * GIB)
    async with server:
        code, document, model = await only(finding)
    assert (code, document["complete"]) == (0, True)
    assert (model["name"], model["runtime"], model["url"]) == (NAME, "koboldcpp", server.url)
    assert (model["measured_vram_bytes"], model["load"]) == (16 * GIB, None)
    assert [one["model"] for one in document["gpus"][0]["processes"]] == [NAME]
