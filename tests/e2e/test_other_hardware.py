"""Machines without a GPU of NVIDIA's: one that has none, and one that has another maker's."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane
from tests.fakes.nvml.bus import AMD, DISPLAY, NETWORK, VIRTIO, Bus
from tests.fakes.nvml.driver import MIB
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.secluded import HARDWARE

from gpumon.app.snapshot.schema import Snapshot

SIZES = [(120, 40), (80, 24), (40, 12)]
"""Columns and rows."""
NO_GPU = "no GPU here"
ADVICE = "NVIDIA driver"
"""Of which one is to be installed."""


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    return Bus(tmp_path / "hardware")


@pytest.fixture
def environment(bare_environment: dict[str, str], bus: Bus, ollama: FakeOllama) -> dict[str, str]:
    """What the bus shows, no driver, and an Ollama with a model in RAM."""
    ollama.catalog.load("gemma3:270m", size_bytes=272 * MIB, size_vram_bytes=0)
    return bare_environment | {HARDWARE: str(bus.folder), "OLLAMA_HOST": ollama.url}


class Said(NamedTuple):
    """What the commands print."""

    snapshot: Snapshot
    doctor: str
    why: str

    @property
    def words(self) -> str:
        return f"{msgspec.json.encode(self.snapshot).decode()}\n{self.doctor}\n{self.why}"


async def said(environment: dict[str, str]) -> Said:
    async def words(command: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run, gpumon(command), env=environment, capture_output=True, text=True, timeout=60
        )
        return str(done.stdout)

    snapshot = msgspec.json.decode(await words("snapshot"), type=Snapshot)
    return Said(snapshot, await words("doctor"), await words("why"))


@pytest.mark.parametrize(("columns", "rows"), SIZES)
async def test_a_machine_without_a_gpu_has_it_in_its_headline_and_lacks_no_driver(
    columns: int, rows: int, environment: dict[str, str], bus: Bus
) -> None:
    bus.add(VIRTIO, NETWORK)
    with Pane(gpumon(), environment, columns, rows) as pane:
        screen = await pane.wait_for("gemma3:270m", NO_GPU)
    assert NO_GPU in screen.splitlines()[0]
    assert "driver" not in screen.lower()


async def test_nor_do_the_commands_miss_anything_there(environment: dict[str, str], bus: Bus) -> None:
    bus.add(VIRTIO, NETWORK)
    found = await said(environment)
    assert (found.snapshot.level, found.snapshot.sentence) == ("ok", f"1 model in RAM, {NO_GPU}")
    states = {source.name: (source.state, source.hint) for source in found.snapshot.sources}
    assert states["nvml"] == ("idle", None)
    [line] = [line for line in found.doctor.splitlines() if "no GPU in this machine" in line]
    assert "not used" in line
    assert ADVICE not in found.words


@pytest.mark.parametrize(("columns", "rows"), SIZES)
async def test_on_a_machine_with_a_radeon_nobody_says_that_there_is_no_gpu(
    columns: int, rows: int, environment: dict[str, str], bus: Bus
) -> None:
    bus.add(AMD, DISPLAY)
    with Pane(gpumon(), environment, columns, rows) as pane:
        screen = await pane.wait_for("gemma3:270m", "no NVIDIA GPU")
    assert NO_GPU not in screen
    assert "install" not in screen


async def test_nor_do_the_commands_have_a_driver_installed_for_it(
    environment: dict[str, str], bus: Bus
) -> None:
    bus.add(AMD, DISPLAY)
    found = await said(environment)
    [driver] = [source for source in found.snapshot.sources if source.name == "nvml"]
    assert driver.detail == "no NVIDIA GPU; what AMD made is not read"
    for wrong in (NO_GPU, "no GPU in this machine", ADVICE, "--gpus"):
        assert wrong not in found.words
