"""Set-ups that people have, which are about more than who is found: what is said on the surfaces."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.test_found_servers import Machine, finding, machine, run
from tests.e2e.tmux import Pane
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.llama_swap import FakeLlamaSwap
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.catalog import BLOBS, FakeModel
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import compiler
from tests.fakes.processes.namespace import can_be_made, run_inside

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")
LOGS = Path(__file__).parents[1] / "recordings" / "logs"
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
        (_, document, _), (_, report, _) = await asyncio.gather(
            run(finding, "snapshot"), run(finding, "doctor")
        )
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


@asynccontextmanager
async def contained(machine: Machine, published: FakeOllama, log: Path) -> AsyncIterator[FakeLlamaServer]:
    """An Ollama in a container: its API on a published port, its runner on a loopback that is not ours."""
    inner, runner = FakeOllama(), FakeLlamaServer()
    published.catalog.load("llama3.1:8b", size_bytes=6 * GIB)
    blob = published.catalog.installed["llama3.1:8b"].blob

    def start() -> int:
        machine.hold(runner)
        server = machine.run(inner, "ollama", "serve")
        return server.start(["llama-server", "--model", f"{BLOBS}/{blob}", "--port", str(runner.port)])

    with log.open("ab") as machine.log:
        pid = run_inside(start)
    machine.driver.run(0, pid, 6 * GIB)
    async with inner, runner:
        yield runner


@pytest.mark.skipif(not can_be_made(), reason="no network namespace can be made")
@pytest.mark.parametrize("may_enter", [True, False], ids=["root", "without the right"])
async def test_of_a_container_root_sees_the_rate_and_anybody_why_there_is_none(
    may_enter: bool, finding: dict[str, str], machine: Machine, ollama: FakeOllama, tmp_path: Path
) -> None:
    log = tmp_path / "container.log"
    shutil.copy(LOGS / "ollama-0.32-start.log", log)
    finding |= {"OLLAMA_HOST": ollama.url}
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    async with contained(machine, ollama, log) as runner:
        runner.simulation.start(0, 1000)
        working = asyncio.create_task(_work(runner))
        (_, document, _), (_, report, _) = await asyncio.gather(
            *(
                run(finding, command, before=[] if may_enter else without)
                for command in ("snapshot", "doctor")
            )
        )
        working.cancel()
    (model,) = document["models"]
    assert (model["name"], model["measured_vram_bytes"]) == ("llama3.1:8b", 6 * GIB)
    sources = {source["name"]: source["state"] for source in document["sources"]}
    assert sources[f"log {log}"] == "serving"
    if may_enter:
        assert model["decode_tokens_per_second"] == pytest.approx(40, rel=0.25)
        assert "in a container" not in report
    else:
        assert model["decode_tokens_per_second"] is None
        assert "in a container" in report
        with Pane([*without, *gpumon()], finding, 140, 40) as pane:
            await pane.wait_for("llama3.1:8b", "6.0 GiB")
            pane.press("Enter")
            await pane.wait_for("in a container: its port cannot be reached from here")


@pytest.fixture
def two_cards(tmp_path: Path, finding: dict[str, str]) -> Iterator[dict[str, str]]:
    """An RTX 3090 and an RTX 3060 in the place of the one card."""
    with FakeDriver(tmp_path / "two", gpus=2) as driver:
        driver[0].name, driver[1].name = b"NVIDIA GeForce RTX 3090", b"NVIDIA GeForce RTX 3060"
        driver[1].total_bytes, driver[1].memory_bus_width_bits = 12 * GIB, 192
        yield finding | driver.environment()


VARIABLES = {
    "OLLAMA_CONTEXT_LENGTH": "65536",
    "OLLAMA_NUM_PARALLEL": "4",
    "OLLAMA_KV_CACHE_TYPE": "q8_0",
    "CUDA_VISIBLE_DEVICES": "1",
}


@pytest.mark.parametrize("told_by", ["environment", "log"])
async def test_a_model_is_fitted_as_its_running_server_would_load_it(
    told_by: str, two_cards: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    ollama, log, settings = FakeOllama(), tmp_path / "ollama.log", tmp_path / "settings.toml"
    variables = {"OLLAMA_HOST": "127.0.0.1:PORT"} | (VARIABLES if told_by == "environment" else {})
    machine.run(ollama, "ollama", "serve", **variables)
    said = " ".join(f"{name}:{value}" for name, value in VARIABLES.items())
    log.write_text(f'{STAMP} level=INFO source=routes.go:1801 msg="server config" env="map[{said}]"\n')
    settings.write_text(f'log_files = ["{log}"]\n' if told_by == "log" else "")
    two_cards |= {"GPUMON_CONFIG": str(settings)}
    async with ollama:
        ollama.catalog.install(FakeModel("llama3.1:8b", 5 * GIB))
        code, words, _ = await run(two_cards, "fit", "llama3.1:8b", "--url", ollama.url)
    assert code == 1, words
    assert words.startswith(
        "llama3.1:8b  (context 65536, 4 slots, cache q8_0)\ndoes not fit: needs 22.33 GiB"
    )
    assert "of RTX 3060" in words


STAMP = "time=2026-11-30T08:45:20.001+02:00"


@pytest.mark.skipif(not can_be_made(), reason="nothing can be mounted")
async def test_without_proc_that_is_said_and_nothing_is_counted(finding: dict[str, str]) -> None:
    hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    plain = [*hidden, sys.executable, "-m", "gpumon.app"]
    _, report, _ = await run(finding, "doctor", command=plain)
    assert "processes" in report
    assert "/proc is not mounted" in report
    assert "mount -t proc proc /proc" in report
    for wrong in ("0 servers", "psi=1"):
        assert wrong not in report
