"""``gpumon fit`` without a name: a line for each installed model, the most useful first."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.ollama.catalog import GIB, FakeModel
from tests.fakes.ollama.server import FakeOllama

from gpumon.app.cli.main import main

SMALL, LARGE, STRANGE, CLOUD = "small:8b", "large:70b", "strange:1b", "cloud:latest"


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
        server.catalog.install(FakeModel(LARGE, 40 * GIB))
        server.catalog.install(FakeModel(SMALL, 5 * GIB))
        server.catalog.install(FakeModel(STRANGE, GIB, model_info={"general.architecture": "rwkv99"}))
        server.catalog.install(FakeModel(CLOUD, remote_host="https://elsewhere"))
        yield server


async def listed(server: FakeOllama, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    code = await asyncio.to_thread(main, ["fit", "--url", server.url, *more])
    return code, capsys.readouterr().out


async def models(
    server: FakeOllama, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[int, list[dict[str, Any]]]:
    code, out = await listed(server, capsys, "--json", *more)
    return code, json.loads(out)["models"]


async def test_each_model_has_its_answer_and_the_most_useful_is_first(
    ollama: FakeOllama, fake_driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fake_driver[0].total_bytes < 40 * GIB
    code, out = await listed(ollama, capsys)
    heading, *rows = out.splitlines()
    assert code == 0
    assert heading.split() == ["NAME", "FILE", "NEEDS", "HERE", "TOK/S,", "ESTIMATE", "LARGEST", "CONTEXT"]
    assert [row.split()[0] for row in rows[:3]] == [SMALL, LARGE, STRANGE]
    assert re.search(r"small:8b +5.0 GiB +\d+\.\d GiB  fits +~\d+ \(\d+-\d+\) +\d+k", out)
    assert re.search(
        r"large:70b +40.0 GiB +\d+\.\d GiB  (spills \d+%|does not run: needs \d+ GiB of RAM)", out
    )
    assert re.search(r"3 installed: 1 fit, 1 (spill|do not run), 1 not known\n", out)
    assert "strange:1b: architecture rwkv99 is not known to gpumon" in out
    assert "cloud" not in out


async def test_a_reason_that_many_share_is_told_once(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpumon.app.cli.fit.installed.read_nvml", unknown)
    code, out = await listed(ollama, capsys)
    assert code == 2
    assert "2 models: the GPUs of its server's machine are not known" in out


async def unknown() -> None:
    return None


async def test_what_is_unloaded_for_it_is_named(
    ollama: FakeOllama, fake_driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_driver[0].used_bytes += 20 * GIB
    ollama.catalog.load("other:32b", size_bytes=20 * GIB)
    code, found = await models(ollama, capsys)
    assert code == 0
    by_name = {one["name"]: one for one in found}
    assert by_name["other:32b"]["here"] == "loaded"
    assert by_name[SMALL]["here"] == "after_unloading"
    assert by_name[SMALL]["fit"]["after_unloading"]["unloaded"][0]["name"] == "other:32b"
    assert (by_name[STRANGE]["fit"], by_name[STRANGE]["here"]) == (None, "unknown")
    assert "after unloading other:32b" in (await listed(ollama, capsys))[1]


async def test_flags_hold_for_all_and_cards_may_be_others(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    _, plain = await models(ollama, capsys, "--gpu", "rtx 3060", "--num-ctx", "8192")
    _, longer = await models(ollama, capsys, "--gpu", "rtx 3060", "--num-ctx", "16384")
    assert plain[0]["fit"]["kv_cache_bytes"] * 2 == longer[0]["fit"]["kv_cache_bytes"]
    code, large = await models(ollama, capsys, "--gpu", "h200")
    assert code == 0
    assert {one["name"]: one["here"] for one in large}[LARGE] == "fits"


async def test_where_a_model_should_be_holds_for_all(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = await listed(ollama, capsys, "--vram", "6GiB", "--num-gpu", "4")
    assert code == 0
    assert re.search(r"small:8b +5.0 GiB +\d+\.\d GiB  fits as asked ", out)
    cards = ("--gpu", "rtx 4090", "--gpu", "h200")
    _, slow = await models(ollama, capsys, *cards, "--device", "CUDA1")
    _, fast = await models(ollama, capsys, *cards, "--device", "CUDA0", "-ctk", "q8_0", "-ctv", "q8_0")
    by_name = [{one["name"]: one for one in found} for found in (slow, fast)]
    assert [found[LARGE]["here"] for found in by_name] == ["spills", "fits"]
    assert [list(found[SMALL]["fit"]["max_context"]) for found in by_name] == [["f16"], ["q8_0"]]


async def test_a_card_that_is_not_there_is_one_line(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["fit", "--url", ollama.url, "--vram", "6GiB", "--device", "CUDA3"]
    assert await asyncio.to_thread(main, line) == 2
    assert capsys.readouterr().err == "gpumon: --device: there is no CUDA3: 1 GPU is known\n"


async def test_where_nothing_fits_it_ends_with_1(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (await listed(ollama, capsys, "--vram", "2GiB"))[0] == 1


async def test_where_nothing_is_installed_the_catalogue_is_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with FakeOllama() as empty:
        code, out = await listed(empty, capsys, "--gpu", "3060")
    assert code == 0
    assert "no model is installed\n" in out
    assert "of the catalogue: " in out


async def test_a_server_that_is_not_there_is_told_below_the_catalogue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with FakeOllama() as gone:
        url = gone.url
    assert await asyncio.to_thread(main, ["fit", "--url", url, "--gpu", "3060"]) == 0
    assert "\nconnection refused at " in capsys.readouterr().out


async def test_the_list_of_one_server_is_shown_though_another_is_gone(
    ollama: FakeOllama, fake_driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fake_driver[0].total_bytes
    async with FakeOllama() as gone:
        url = gone.url
    code, out = await listed(ollama, capsys, "--url", url)
    assert code == 0
    assert SMALL in out


async def test_nothing_is_loaded_for_it(
    ollama: FakeOllama, fake_driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fake_driver[0].total_bytes
    await listed(ollama, capsys)
    assert {request.path for request in ollama.requests} <= {"/api/tags", "/api/ps", "/api/show"}
