"""Unloading from the keyboard, to the VRAM that comes back."""

from __future__ import annotations

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")


async def test_a_model_is_unloaded_after_a_yes_and_its_vram_is_counted_back(
    environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama, serve: Actor
) -> None:
    ollama.catalog.load("qwen3:8b", size_bytes=6 * GIB)
    blob = f"/usr/share/ollama/.ollama/models/blobs/{ollama.catalog.installed['qwen3:8b'].blob}"
    pid = serve.start(["llama-server", "--model", blob, "-c", "8192", "-np", "2"])
    fake_driver.run(0, pid, vram_bytes=6 * GIB)
    with Pane(gpumon(), environment, 80, 24) as pane:
        await pane.wait_for("█ qwen3:8b 6.0", "6.0/24.0")
        pane.press("/")  # this machine may have models of its own
        await pane.wait_for("model name contains")
        pane.press(*"qwen3", "Enter")
        await pane.wait_for("filter: qwen3")
        pane.press("End", "u")
        await pane.wait_for("Unload this model?", "6.0 GiB of VRAM")
        pane.press("y")
        await pane.wait_for("to unload qwen3:8b")
        serve.stop()
        fake_driver.end(0, pid)
        await pane.wait_for("qwen3:8b is unloaded: 6.0 GiB of VRAM came back in")
    assert ollama.counts()["/api/generate"] == 1
