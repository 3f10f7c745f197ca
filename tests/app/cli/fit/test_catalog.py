"""``gpumon fit`` for models that are not here: from the catalogue, or by a size."""

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

NOBODY = "http://127.0.0.1:9"
CARD = ("--gpu", "rtx 3060")


@pytest.fixture(autouse=True)
def no_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("GPUMON_CONFIG", str(settings))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "no-models"))
    monkeypatch.setattr("gpumon.app.cli.fit.disk.SERVICE_HOMES", ())


def fit(*arguments: str) -> int:
    return main(["fit", "--url", NOBODY, *arguments])


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = fit("--json", *arguments)
    return code, json.loads(capsys.readouterr().out)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line of an error."""
    assert fit(*arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    return captured.err.removeprefix("gpumon: ").strip()


class TestWithoutServerAndFile:
    def test_a_known_model_is_answered(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert fit("qwen3", *CARD) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("qwen3:8b  (context 4096")
        assert lines[1].startswith("fits: needs 5.")
        words = "from the catalogue, no server: Q4_K_M, 4.9 GiB, published 2025-04"
        assert lines[2] == words

    def test_every_line_is_at_most_80_columns(self, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("gpt-oss:120b", "unsloth/Kimi-K2-Instruct-GGUF:UD-Q4_K_XL", "1t-a32b"):
            fit(name, *CARD, "--num-ctx", "1m")
            assert max(map(len, capsys.readouterr().out.splitlines())) <= 80

    def test_json_says_where_it_is_from(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, found = document(capsys, "llama3.1:70b", *CARD)
        told = {key: found[key] for key in ("model", "source", "quant", "trained_context")}
        assert code == 1
        assert told == {
            "model": "llama3.1:70b",
            "source": "catalog",
            "quant": "Q4_K_M",
            "trained_context": 131_072,
        }

    def test_another_quantisation_can_be_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        asked = document(capsys, "llama3.1:8b", "--quant", "q8_0", *CARD)[1]
        named = document(capsys, "llama3.1:8b-instruct-q8_0", *CARD)[1]
        assert (asked["quant"], asked["weights_bytes"]) == ("Q8_0", named["weights_bytes"])

    def test_experts_can_be_kept_in_ram(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, found = document(capsys, "qwen3-coder:30b", "--n-cpu-moe", "40", *CARD)
        assert code == 0
        assert found["kept_in_ram_bytes"] > 12 * GIB

    def test_a_context_beyond_the_trained_one_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        fit("qwen3", "--num-ctx", "64k", *CARD)
        assert "\nbeyond the 40960 tokens of context that it was trained for\n" in capsys.readouterr().out

    def test_a_size_stands_for_any_model_of_it(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert fit("70b", *CARD) == 1
        out = capsys.readouterr().out
        assert "\nwhat models of this size have, an estimate: Q4_K_M, 39." in out
        assert "(by the parameters: an estimate)" in out

    def test_a_size_may_be_a_flag(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, found = document(capsys, "--params", "13b", "--quant", "q5_k_m", *CARD)
        assert (code, found["model"], found["source"], found["quant"]) == (0, "13b", "size", "Q5_K_M")

    def test_a_size_is_less_sure_than_a_model(self, capsys: pytest.CaptureFixture[str]) -> None:
        def band(name: str) -> float:
            fit(name, *CARD)
            line = next(line for line in capsys.readouterr().out.splitlines() if "together" in line)
            low, high = (float(word.strip("()")) for word in line.split()[3:6:2])
            return high / low

        assert band("8b") > band("llama3.1:8b")

    def test_an_unknown_name_is_answered_with_near_ones(self, capsys: pytest.CaptureFixture[str]) -> None:
        words = said(capsys, "qwen3-codr", *CARD)
        assert words.startswith("no model qwen3-codr is in the catalogue; did you mean qwen3-coder:30b or ")

    def test_a_name_like_no_other_says_what_else_went_wrong(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "is in the catalogue, and connection refused at" in said(capsys, "zzzzzz", *CARD)

    def test_an_unknown_name_with_a_quantisation_offers_a_size(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert said(capsys, "zzzzzz", "--quant", "q4_0", *CARD).endswith(
            "--params 13b stands for any of a size"
        )

    def test_a_file_is_as_it_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        words = said(capsys, "./model.gguf", "--quant", "q4_0")
        assert words == "--quant means nothing here: ./model.gguf is a file, which is as it is"


class TestTheList:
    def test_is_a_screenful(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert fit(*CARD) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) <= 25
        assert lines[0].split()[:3] == ["NAME", "FILE", "NEEDS"]
        assert any("spills" in line for line in lines)

    def test_all_of_it_can_be_had(self, capsys: pytest.CaptureFixture[str]) -> None:
        few = len(document(capsys, *CARD)[1]["models"])
        every = document(capsys, "--all", *CARD)[1]["models"]
        assert few < len(every)
        assert {one["fit"]["source"] for one in every} == {"catalog"}


class TestBesideAServer:
    @pytest.fixture
    async def ollama(self) -> AsyncIterator[FakeOllama]:
        async with FakeOllama() as server:
            server.catalog.install(FakeModel("llama3.1:8b", 6 * GIB))
            yield server

    async def answered(
        self, server: FakeOllama, capsys: pytest.CaptureFixture[str], *arguments: str
    ) -> dict[str, Any]:
        await asyncio.to_thread(main, ["fit", "--url", server.url, "--json", *CARD, *arguments])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    async def test_what_is_installed_comes_first(
        self, ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert (await self.answered(ollama, capsys, "llama3.1"))["source"] == "installed"

    async def test_what_is_not_comes_from_the_catalogue(
        self, ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
    ) -> None:
        await asyncio.to_thread(main, ["fit", "--url", ollama.url, "qwen3:14b", *CARD])
        assert "from the catalogue, not installed: Q4_K_M, 8.6 GiB" in capsys.readouterr().out

    async def test_a_quantisation_that_is_asked_for_is_not_the_installed_one(
        self, ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = await self.answered(ollama, capsys, "llama3.1:8b", "--quant", "q3_k_m")
        assert (found["source"], found["quant"]) == ("catalog", "Q3_K_M")

    async def test_a_size_by_which_models_are_installed_is_no_estimate(
        self, ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert (await self.answered(ollama, capsys, "8b"))["model"] == "llama3.1:8b"
        ollama.catalog.install(FakeModel("other:8b", 6 * GIB))
        assert await asyncio.to_thread(main, ["fit", "--url", ollama.url, "8b", *CARD]) == 2
        assert "did you mean" in capsys.readouterr().err

    async def test_near_names_of_both_are_offered_once(
        self, ollama: FakeOllama, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert await asyncio.to_thread(main, ["fit", "--url", ollama.url, "qwen3-codr", *CARD]) == 2
        assert capsys.readouterr().err.count("did you mean") == 1
