"""Servers that only their processes tell of, from /proc and the driver to row, page, snapshot and doctor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.collectors.ollama.support import FakeClock
from tests.fakes import samples as fakes
from tests.fakes.gguf.mixture import dense
from tests.fakes.processes.tree import FakeProc
from tests.fakes.samples import GIB

from gpumon.app.alerts.limits import Limits
from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.doctor.sources import source_checks
from gpumon.app.monitor import Monitor
from gpumon.app.session.whom import files_wanted, runner_targets
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.state.holders.others import holders_by_group
from gpumon.app.state.machine import gpu_pids
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import model_rows
from gpumon.collectors.processes.source import ProcessSource
from gpumon.collectors.runners.source import RunnersSource
from gpumon.collectors.samples import GpuProcess, NvmlSample
from gpumon.widgets.views import ModelRow

WEBUI, LAUNCHER, SHARDS, PYTHON, TRAINING = 1100, 1200, (1201, 1202), 1300, 1400
USER = 1000


class Watched:
    """A machine whose /proc is a folder, watched as a session does."""

    def __init__(self, tree: FakeProc) -> None:
        self.tree, self.clock = tree, FakeClock()
        self.monitor = Monitor(Limits())
        self.vram: dict[int, int] = {}
        self.utilization = 0
        state = self.monitor.state
        self.processes = ProcessSource(
            self.clock, lambda: gpu_pids(state), tree.root, lambda: files_wanted(state)
        )
        self.ports = RunnersSource(self.clock, lambda: runner_targets(state))

    async def look(self, seconds: int = 1) -> None:
        """Have every source speak once a second for so long."""
        for _ in range(seconds):
            self.clock.seconds += 1.0
            self.monitor.feed(self._driver())
            for source in (self.processes, self.ports):
                for sample in await source.poll():
                    self.monitor.feed(sample)
            await self.processes._files.settle()

    def rows(self) -> dict[str, ModelRow]:
        return {row.name: row for row in model_rows(self.monitor.pictures)}

    def facts(self, name: str) -> dict[str, str]:
        [row] = [one for one in self.rows().values() if one.name == name]
        return {one.label: one.value for one in model_page(row.key, self.monitor.pictures, 60.0).facts}

    def words(self, name: str) -> str:
        [row] = [one for one in self.rows().values() if one.name == name]
        return repr(model_page(row.key, self.monitor.pictures, 60.0))

    def others(self) -> set[int]:
        groups = holders_by_group(self.monitor.state)["GPU-0"]
        return {one.pid for group in groups for one in group.processes}

    def _driver(self) -> NvmlSample:
        used = sum(self.vram.values())
        listed = tuple(GpuProcess(pid=pid, vram_bytes=size) for pid, size in self.vram.items())
        reading = fakes.gpu(used_gib=used / GIB, total_gib=24.0, utilization=self.utilization)
        reading = replace(reading, processes=listed)
        return replace(fakes.nvml(0.0, reading), time=self.clock.seconds)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    watched = Watched(FakeProc(tmp_path / "proc"))
    yield watched
    await watched.processes.close()
    await watched.ports.close()


def start_all(watched: Watched, model: Path) -> None:
    """Start three servers and a training script on one card."""
    tree = watched.tree
    webui = ("python", "/w/text-generation-webui/server.py", "--model", "Qwen3-8B-exl2")
    tree.add(WEBUI, webui, user_id=USER)
    tree.add(LAUNCHER, ("text-generation-launcher", "--json-output"), user_id=0)
    for pid in SHARDS:
        shard = ("python3", "/opt/text-generation-server", "serve", "google/gemma-2b", f"--rank={pid}")
        tree.add(pid, shard, parent=LAUNCHER, user_id=0)
    llama = ("python3", "-m", "llama_cpp.server", "--model", str(model), "--n_gpu_layers", "-1")
    tree.add(PYTHON, llama, user_id=USER)
    tree.add(TRAINING, ("python", "train.py", "--model", "/m/base"), user_id=USER)
    watched.vram = {WEBUI: 6 * GIB, PYTHON: 5 * GIB, TRAINING: 4 * GIB}
    watched.vram |= {SHARDS[0]: 2 * GIB, SHARDS[1]: 3 * GIB}


def open_to_us(tree: FakeProc) -> None:
    """Let us see what root sees of each process."""
    for pid in (WEBUI, LAUNCHER, *SHARDS, PYTHON, TRAINING):
        tree.write(pid, "environ", b"HF_TOKEN=hf_secret\0MODEL_ID=google/gemma-2b\0")
        tree.write(pid, "maps", b"7f00-7fff r--s 0 08:01 1 /m/base/model.safetensors\n")
        tree.link(pid, "fd/3", f"socket:[{pid}]")
        row = f"0: 0100007F:{pid:04X} 0:0 0A 0:0 0:0 0 1000 0 {pid} 1 0\n"
        tree.write(pid, "net/tcp", b"title\n" + row.encode())


@pytest.mark.parametrize("is_root", [True, False], ids=["root", "plain user"])
async def test_each_is_a_row_with_its_memory_and_the_training_script_is_none(
    watched: Watched, tmp_path: Path, is_root: bool
) -> None:
    start_all(watched, dense().write(tmp_path / "llama-7b.Q4_K_M.gguf"))
    if is_root:
        open_to_us(watched.tree)
    await watched.look(3)
    found = {name: (row.runtime, row.gpu_bytes) for name, row in watched.rows().items()}
    assert found == {
        "Qwen3-8B-exl2": ("text-generation-webui", 6 * GIB),
        "google/gemma-2b": ("TGI", 5 * GIB),
        "llama-7b.Q4_K_M.gguf": ("llama-cpp-python", 5 * GIB),
    }
    assert watched.others() == {TRAINING}, "what is a row is no other program"
    assert "hf_secret" not in repr(watched.monitor.state.runners)


async def test_a_page_says_who_holds_it_and_why_there_is_no_rate(watched: Watched, tmp_path: Path) -> None:
    start_all(watched, tmp_path / "absent.gguf")
    await watched.look(3)
    facts = watched.facts("google/gemma-2b")
    assert facts["process"] == f"tgi {LAUNCHER} of root"
    assert facts["  with its workers"] == "1201, 1202"
    assert "KV cache type" not in facts, "no default of another program is told"
    assert "no rates: known by its process alone" in watched.words("google/gemma-2b")


async def test_one_is_at_work_by_the_cpu_of_its_workers_and_idle_without(
    watched: Watched, tmp_path: Path
) -> None:
    start_all(watched, tmp_path / "absent.gguf")
    await watched.look(2)
    assert watched.rows()["google/gemma-2b"].state == "idle"
    argv_name, busy_ticks = "python3", 80
    watched.tree.stat(SHARDS[0], argv_name, LAUNCHER, start_ticks=SHARDS[0] * 100, cpu_ticks=busy_ticks)
    watched.utilization = 70
    await watched.look()
    rows = watched.rows()
    assert rows["google/gemma-2b"].state == "busy"
    assert rows["google/gemma-2b"].notes == ("no rate: TGI does not tell it",)
    assert rows["Qwen3-8B-exl2"].state == "idle", "the card is another's"


async def test_a_process_that_spins_while_its_card_rests_is_idle(watched: Watched, tmp_path: Path) -> None:
    start_all(watched, tmp_path / "absent.gguf")
    await watched.look(2)
    watched.tree.stat(SHARDS[0], "python3", LAUNCHER, start_ticks=SHARDS[0] * 100, cpu_ticks=100)
    await watched.look()
    assert watched.rows()["google/gemma-2b"].state == "idle"


async def test_the_file_of_one_is_read_for_what_it_needs(watched: Watched, tmp_path: Path) -> None:
    start_all(watched, dense().write(tmp_path / "llama-7b.gguf"))
    await watched.look(5)
    [record] = [one for one in watched.monitor.state.models.values() if one.claim.name == "llama-7b.gguf"]
    assert record.facts is not None
    assert record.facts.architecture == "llama"
    assert record.claim.context_length == 2048, "its own default"
    assert watched.facts("llama-7b.gguf")["GPU layers asked for"] == "all"


async def test_snapshot_and_doctor_list_it_in_its_words(watched: Watched, tmp_path: Path) -> None:
    start_all(watched, tmp_path / "absent.gguf")
    await watched.look(3)
    snapshot = build_snapshot(watched.monitor.pictures)
    [model] = [one for one in snapshot.models if one.name == "google/gemma-2b"]
    assert (model.runtime, model.measured_vram_bytes) == ("tgi", 5 * GIB)
    assert model.decode_tokens_per_second is None
    checks = source_checks(watched.monitor.pictures, in_container=False)
    said = [check.found for check in checks if check.kind == "port"]
    assert "google/gemma-2b: found; TGI does not tell its rate" in said


async def test_it_leaves_with_its_process(watched: Watched, tmp_path: Path) -> None:
    start_all(watched, tmp_path / "absent.gguf")
    await watched.look(3)
    for pid in (*SHARDS, LAUNCHER):
        watched.tree.end(pid)
        watched.vram.pop(pid, None)
    await watched.look(2)
    assert watched.rows()["google/gemma-2b"].state == "left"


async def test_one_that_puts_no_layers_on_the_gpu_unless_told_is_found_out(
    watched: Watched, tmp_path: Path
) -> None:
    model = dense().write(tmp_path / "llama-7b.gguf")
    watched.tree.add(PYTHON, ("python3", "-m", "llama_cpp.server", "--model", str(model)), user_id=USER)
    watched.vram = {PYTHON: GIB // 2}
    await watched.look(5)
    [record] = watched.monitor.state.models.values()
    found = diagnose(record, watched.monitor.state)
    assert found.verdict.kind == "spilled"
    assert found.cause is not None
    assert found.cause.sentence == "llama-cpp-python puts no layers on the GPU without --n_gpu_layers"
    lines = [one.command for one in found.remedies]
    assert lines[0] == "--n_gpu_layers 33"
