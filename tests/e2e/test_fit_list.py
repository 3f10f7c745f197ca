"""The list of installed models in a real pane: the answers come by themselves, and nothing is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane
from tests.fakes.gguf.mixture import dense, mixture
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.catalog import FakeModel
from tests.fakes.ollama.disk import put_on_disk
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")


async def test_what_is_installed_is_answered_without_a_key_more(
    environment: dict[str, str],
    fake_driver: FakeDriver,
    ollama: FakeOllama,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models = tmp_path / "models"
    for number, file in enumerate((dense(), mixture(), dense(64, 28672))):
        name = f"m{number}:8b"
        digest = put_on_disk(models, name, file)
        ollama.catalog.install(FakeModel(name, (number + 2) * 5 * GIB, digest=digest))
    monkeypatch.setenv("OLLAMA_HOST", ollama.url)
    monkeypatch.setenv("OLLAMA_MODELS", str(models))
    fake_driver[0].used_bytes += 6 * GIB
    with Actor(build(tmp_path), ["ollama", "serve"]), Pane(gpumon(), environment, 120, 20) as pane:
        await pane.wait_for("no model is loaded")
        pane.press("f")
        await pane.wait_for("3 installed: 1 fit, 2 spill", "m2:8b", "spills")
        screen = pane.screen()
    assert "NAME" in screen
    assert screen.index("m0:8b") < screen.index("m1:8b") < screen.index("m2:8b")
    assert ollama.counts()["/api/show"] <= 3
    assert "/api/generate" not in ollama.counts()
