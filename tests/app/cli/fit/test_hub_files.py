"""``gpumon fit`` for a name of the hub whose file another program has fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gguf.mixture import dense

from gpumon.app.cli.fit import disk
from gpumon.app.cli.main import main

NAME = "bartowski/Some-8B-GGUF"
FILE = "Some-8B-Q4_K_M.gguf"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("GPUMON_CONFIG", str(settings))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "no-models"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "LLAMA_CACHE", "HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(disk, "SERVICE_HOMES", ())
    return tmp_path


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    dense().write(path)
    return path


def source(capsys: pytest.CaptureFixture[str], name: str) -> str | None:
    code = main(["fit", "--url", "http://127.0.0.1:9", "--json", "--gpu", "4090", name])
    captured = capsys.readouterr()
    if code == 2:
        return None
    found: dict[str, Any] = json.loads(captured.out)
    assert isinstance(found["source"], str)
    return found["source"]


@pytest.mark.parametrize(
    "place",
    [
        f".cache/llama.cpp/bartowski_Some-8B-GGUF_{FILE}",
        f".cache/huggingface/hub/models--bartowski--Some-8B-GGUF/snapshots/abc/{FILE}",
        f".cache/huggingface/hub/models--bartowski--Some-8B-GGUF/snapshots/abc/Q4_K_M/{FILE}",
        f".lmstudio/models/bartowski/Some-8B-GGUF/{FILE}",
    ],
)
@pytest.mark.parametrize("name", [NAME, f"{NAME}:Q4_K_M", f"hf.co/{NAME}:q4_k_m"])
def test_a_file_that_was_fetched_is_read(
    home: Path, place: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(home / place)
    assert source(capsys, name) == "file"


def test_another_quantisation_is_not_taken_for_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(home / ".lmstudio/models" / NAME / FILE)
    assert source(capsys, f"{NAME}:Q8_0") is None


def test_of_several_without_a_tag_the_usual_one_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / ".lmstudio/models" / NAME
    put(folder / "Some-8B-Q2_K.gguf")
    usual = put(folder / FILE)
    assert disk._fetched("bartowski", "Some-8B-GGUF", "") == usual


def test_a_projector_and_later_parts_are_no_model(home: Path) -> None:
    folder = home / ".lmstudio/models" / NAME
    put(folder / "mmproj-Q4_K_M.gguf")
    first = put(folder / "Some-8B-Q4_K_M-00001-of-00002.gguf")
    put(folder / "Some-8B-Q4_K_M-00002-of-00002.gguf")
    assert disk._fetched("bartowski", "Some-8B-GGUF", "q4_k_m") == first


def test_without_a_home_directory_nothing_was_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert disk._fetched("a", "b", "") is None
