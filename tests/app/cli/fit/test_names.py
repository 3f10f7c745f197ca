"""By which names ``gpumon fit`` finds an installed model, and which it offers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.ollama.catalog import GIB, FakeModel
from tests.fakes.ollama.server import FakeOllama

from gpumon.app.cli.main import main

SMALL, LARGE, CLOUD = "small:8b", "large:70b", "cloud:latest"


@pytest.fixture(autouse=True)
def no_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("GPUMON_CONFIG", str(settings))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "no-models"))
    monkeypatch.setattr("gpumon.app.cli.fit.disk.SERVICE_HOMES", ())


@pytest.fixture
async def ollama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        server.catalog.install(FakeModel(SMALL, 5 * GIB))
        server.catalog.install(FakeModel(LARGE, 40 * GIB))
        server.catalog.install(FakeModel(CLOUD, remote_host="https://elsewhere"))
        yield server


async def fit(server: FakeOllama, *arguments: str) -> int:
    """Run the command in a thread, as the server answers in this one."""
    return await asyncio.to_thread(main, ["fit", "--url", server.url, *arguments])


async def document(
    server: FakeOllama, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, dict[str, Any]]:
    code = await fit(server, "--json", *arguments)
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "name",
    [
        "small:8b",
        "SMALL:8B",
        "library/small:8b",
        "registry.ollama.ai/library/small:8b",
        "https://registry.ollama.ai/library/small:8b",
        "small",
        "library/small",
    ],
)
async def test_a_model_is_found_by_every_name_that_ollama_takes(ollama: FakeOllama, name: str) -> None:
    assert await fit(ollama, name, "--gpu", "4090") == 0


@pytest.mark.parametrize(
    "name", ["other/small:8b", "hf.co/library/small:8b", "small:latest", "small:1b", "library/other/small:8b"]
)
async def test_a_model_of_another_name_is_not_taken_for_it(ollama: FakeOllama, name: str) -> None:
    assert await fit(ollama, name, "--gpu", "4090") == 2


async def test_a_name_without_a_tag_does_not_choose_between_two(ollama: FakeOllama) -> None:
    ollama.catalog.install(FakeModel("small:1b", GIB))
    assert await fit(ollama, "small", "--gpu", "4090") == 2
    ollama.catalog.install(FakeModel("small:latest", GIB))
    assert await fit(ollama, "small", "--gpu", "4090") == 0


@pytest.mark.parametrize(("name", "model"), [("8b", SMALL), ("SMAL", SMALL), ("70b", LARGE), ("arg", LARGE)])
async def test_a_part_of_one_name_alone_is_enough(
    ollama: FakeOllama, name: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = await document(ollama, capsys, name, "--gpu", "4090")
    assert found["model"] == model


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("70b", "; did you mean large:70b or other:70b?"),
        ("lrge:70b", "; did you mean large:70b?"),
        ("small:1b", "; did you mean small:8b?"),
        ("absent", "; try: ollama pull absent"),
        ("absent:13b", "; try: ollama pull absent:13b"),
    ],
)
async def test_names_that_may_be_meant_are_offered(
    ollama: FakeOllama, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ollama.catalog.install(FakeModel("other:70b", 40 * GIB))
    assert await fit(ollama, name, "--gpu", "4090") == 2
    authority = ollama.url.removeprefix("http://")
    assert capsys.readouterr().err == f"gpumon: no model {name} is installed at {authority}{words}\n"


async def test_a_cloud_model_is_not_offered(ollama: FakeOllama, capsys: pytest.CaptureFixture[str]) -> None:
    assert await fit(ollama, "clou", "--gpu", "4090") == 2
    assert "did you mean" not in capsys.readouterr().err


async def test_a_name_of_a_host_is_compared_with_all_its_parts(ollama: FakeOllama) -> None:
    ollama.catalog.install(FakeModel("hf.co/maker/small-GGUF:Q4_K_M", GIB))
    assert await fit(ollama, "hf.co/Maker/small-gguf:q4_k_m", "--gpu", "4090") == 0
    assert await fit(ollama, "maker/small-GGUF:Q4_K_M", "--gpu", "4090") == 2
