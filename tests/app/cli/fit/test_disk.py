"""``gpumon fit`` where no server runs: what Ollama's own directory says is enough."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gguf.mixture import dense, mixture
from tests.fakes.ollama.disk import put_on_disk

from gpumon.app.cli.fit import disk
from gpumon.app.cli.main import main
from gpumon.collectors.http.endpoint import parse_endpoint

NOBODY = "http://127.0.0.1:9"
CARD = ("--gpu", "rtx 4090")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of models that the environment names."""
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("GPUMON_CONFIG", str(settings))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(disk, "SERVICE_HOMES", ())
    return tmp_path / "models"


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["fit", "--url", NOBODY, "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_a_model_on_disk_is_reckoned_with(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_on_disk(models, "llama3.1:8b", dense(), {"num_ctx": 8192})
    code, found = document(capsys, "8b", *CARD)
    assert (code, found["model"], found["fits"]) == (0, "llama3.1:8b", True)
    assert found["kv_cache_bytes"] == 2**30  # 8192 tokens of 32 layers with 8 heads of 128, two bytes each


def test_all_models_on_disk_are_listed(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_on_disk(models, "llama3.1:8b", dense())
    put_on_disk(models, "qwen3:30b", mixture(), place="registry.ollama.ai/maker")
    code, found = document(capsys, *CARD)
    assert code == 0
    assert [(one["name"], one["here"]) for one in found["models"]] == [
        ("maker/qwen3:30b", "fits"),
        ("llama3.1:8b", "fits"),
    ]


def test_a_projector_on_disk_counts(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_on_disk(models, "plain:8b", dense())
    put_on_disk(models, "eyes:8b", dense(), projector=b"x" * 5_000_000)
    plain, seeing = (document(capsys, name, *CARD)[1]["weights_bytes"] for name in ("plain", "eyes"))
    assert 4_000_000 < seeing - plain < 6_000_000


def test_what_is_not_on_disk_either_is_asked_of_the_server(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_on_disk(models, "llama3.1:8b", dense())
    assert main(["fit", "--url", NOBODY, "absent:8b", *CARD]) == 2
    err = capsys.readouterr().err
    assert "connection refused" in err
    assert err.count("\n") == 1


async def test_of_a_server_elsewhere_this_disk_says_nothing(models: Path) -> None:
    put_on_disk(models, "llama3.1:8b", dense())
    assert await disk.on_disk([parse_endpoint("http://far:11434")]) is None


def test_directories_are_looked_for_where_ollama_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert disk.model_paths({}) == [
        "/home/me/.ollama/models",
        "/usr/share/ollama/.ollama/models",
    ]
    assert disk.model_paths({"OLLAMA_MODELS": "/mnt/models"})[0] == "/mnt/models"
