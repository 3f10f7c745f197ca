"""Claim, driver and process joined: real processes with the command lines of Ollama and its runners."""

from __future__ import annotations

import asyncio
import json
import subprocess

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane, has_line
from tests.fakes.nvml.driver import GIB, MIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")


def start_runner(serve: Actor, ollama: FakeOllama, name: str, *more: str) -> int:
    """Start what holds the model ``name``, which is installed by then, and return its PID.

    Without ``--port`` its own word cannot be had, and the driver's is all there is.
    """
    blob = f"/usr/share/ollama/.ollama/models/blobs/{ollama.catalog.installed[name].blob}"
    return serve.start(["llama-server", "--model", blob, "-c", "8192", "-np", "2", *more])


async def test_the_gpu_bar_names_the_model_and_its_page_has_claim_and_measurement_side_by_side(
    environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama, serve: Actor
) -> None:
    ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
    pid = start_runner(serve, ollama, "qwen3:8b")
    fake_driver.run(0, pid, vram_bytes=6 * GIB + 150 * MIB)
    with Pane(gpumon(), environment, 140, 40) as pane:
        await pane.wait_for_line("RTX 4090", "qwen3:8b", "6.1", "6.1/24.0")
        screen = await pane.wait_for_line("● qwen3:8b", "▆", "6.0")
        assert "driver sees" not in screen, "the two agree"
        pane.press("Enter")
        screen = await pane.wait_for_line("driver measures", "6.1", "agrees (0.1 apart)")
        assert has_line(screen, "on GPU ", "6.0")


@pytest.mark.parametrize(("columns", "rows"), [(140, 40), (80, 24), (40, 12)])
async def test_a_measurement_that_differs_from_the_claim_is_in_the_row_and_on_the_page(
    columns: int,
    rows: int,
    environment: dict[str, str],
    fake_driver: FakeDriver,
    ollama: FakeOllama,
    serve: Actor,
) -> None:
    ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
    pid = start_runner(serve, ollama, "qwen3:8b")
    fake_driver.run(0, pid, vram_bytes=8 * GIB)
    with Pane(gpumon(), environment, columns, rows) as pane:
        screen = await pane.wait_for("driver sees 2.0 GiB more than claimed")
        assert has_line(screen, "8.0/24.0")
        pane.press("Enter")
        await pane.wait_for("MEMORY")
        if rows < 24:
            pane.press("PageDown")
        screen = await pane.wait_for_line("driver measures", "8.0", "sees more")
        assert has_line(screen, "on GPU ", "6.0")


async def test_the_snapshot_names_the_runner_and_joins_it_to_its_model(
    environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama, serve: Actor
) -> None:
    ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
    pid = start_runner(serve, ollama, "qwen3:8b")
    fake_driver.run(0, pid, vram_bytes=6 * GIB)
    document = json.loads(await run(gpumon("snapshot"), environment))
    # This machine may have llama-servers of its own.
    (model,) = (one for one in document["models"] if one["runtime"] == "ollama")
    assert model["measured_vram_bytes"] == 6 * GIB
    assert model["runner"]["pid"] == pid
    assert model["runner"]["context_length"] == 4096
    assert [process["model"] for process in document["gpus"][0]["processes"]] == ["qwen3:8b"]


async def run(command: list[str], environment: dict[str, str]) -> str:
    """Run a command off the event loop, on which the fake server answers."""
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout


async def test_a_load_is_on_the_screen_before_the_server_names_the_model(
    environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama, serve: Actor
) -> None:
    ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
    ollama.catalog.unload("qwen3:8b")
    with Pane(gpumon(), environment, 140, 40) as pane:
        await pane.wait_for("no model loaded", "RTX 4090")
        pid = start_runner(serve, ollama, "qwen3:8b", "--port", "39999")
        fake_driver.run(0, pid, vram_bytes=2 * GIB)
        await pane.wait_for("● qwen3:8b is loading", "weights for", "of 6.0 GiB")
        await pane.wait_for_line("RTX 4090", "┄", "2.0/24.0")
        ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
        await pane.wait_for("1 model on GPU", "driver sees 4.0 GiB less than claimed")
        screen = await pane.wait_for_line("● qwen3:8b", "▆", "loading")
        assert "from now" not in screen, "when it leaves is no time left of a load"
        fake_driver.end(0, pid)
        fake_driver.run(0, pid, vram_bytes=6 * GIB)
        await pane.wait_for_line("RTX 4090", "qwen3:8b", "6.0/24.0")
        await pane.wait_gone("driver sees")


async def test_a_claim_on_gpu_of_which_the_driver_sees_little_is_a_silent_fallback(
    environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama, serve: Actor
) -> None:
    ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
    pid = start_runner(serve, ollama, "qwen3:8b")
    fake_driver.run(0, pid, vram_bytes=300 * MIB)
    with Pane(gpumon(), environment, 140, 40) as pane:
        screen = await pane.wait_for("silent fallback", "0.3")
        assert "■" in screen.splitlines()[0], "it is the verdict"
