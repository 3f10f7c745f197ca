"""``gpumon why`` on recordings: words, JSON, exit codes, wrong names."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.app.diagnosis.scenes import NAME, Scene, decoding
from tests.app.state.holders.leaky import OTHER, THIRD, WORDS, Leaky, killed, leaked
from tests.fakes.samples import START, nvml, ollama_down
from tests.scene import Model

from gpumon.app.cli.main import main
from gpumon.app.recording.lines import new_header
from gpumon.app.recording.writer import Recorder
from gpumon.collectors.samples import AnySample

SPILLED = Scene(context=65536)
WHOLE = Scene(in_ram_gib=0.0)


@pytest.fixture(autouse=True)
def no_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("GPUMON_CONFIG", str(settings))


def recorded(path: Path, samples: Iterable[AnySample]) -> str:
    recorder = Recorder(path, new_header(START))
    for sample in samples:
        recorder.write(sample)
    recorder.close()
    return str(path)


def why(
    path: Path, samples: Iterable[AnySample], *arguments: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Run the command on a recording of ``samples``."""
    name = recorded(path / "x.jsonl", samples)
    code = main(["why", "--recording", name, *arguments])
    return code, capsys.readouterr().out


def test_a_spill_is_told_with_cause_cost_and_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = [*SPILLED.samples(0), *SPILLED.samples(1), *decoding(5.0)]
    code, said = why(tmp_path, samples, capsys=capsys)
    assert code == 1
    lines = said.splitlines()
    assert lines[0] == "llama3.1:8b spills 2.0 GiB (25%) to RAM"
    assert any(line.startswith("  cause    its context is too large") for line in lines)
    assert any(line.startswith("  cost     5.0 tok/s now, about ") for line in lines)
    assert any("/set parameter num_ctx " in line for line in lines)


def test_a_healthy_model_exits_with_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = why(tmp_path, [*WHOLE.samples(0), *WHOLE.samples(1)], capsys=capsys)
    assert code == 0
    assert "llama3.1:8b is well: 6.0 GiB on GPU" in said


def test_json_has_verdicts_cause_and_remedies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [*SPILLED.samples(0), *SPILLED.samples(1)]
    code, said = why(tmp_path, samples, "--json", capsys=capsys)
    [model] = json.loads(said)["models"]
    assert code == 1
    assert (model["name"], model["verdicts"][0]["kind"]) == (NAME, "spilled")
    assert model["cause"]["kind"] == "context_request"
    assert {"action", "command", "frees_bytes", "expected_tokens_per_second"} <= model["remedies"][0].keys()


def test_a_card_is_printed_in_72_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [*SPILLED.samples(0), *SPILLED.samples(1), *decoding(5.0)]
    code, said = why(tmp_path, samples, NAME, "--card", capsys=capsys)
    lines = said.splitlines()
    assert (code, max(map(len, lines))) == (1, 72)
    assert lines[1] == "SPILLED: llama3.1:8b spills 2.0 GiB (25%) to RAM"
    assert lines[-1].endswith("gpumon why --card, private names replaced")


def test_the_card_as_markdown_has_the_verdict_in_bold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, said = why(tmp_path, [*SPILLED.samples(0)], "--markdown", "--names", capsys=capsys)
    assert said.startswith(r"**SPILLED: llama3.1:8b spills 2.0 GiB \(25%\) to RAM**")
    assert "names as they are" in said


def test_a_card_is_no_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "--card", "--json"]) == 2
    assert "not allowed with" in capsys.readouterr().err


def test_runners_that_no_server_lists_are_told_with_what_frees_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Leaky(leaked(301, OTHER), leaked(302, THIRD))
    machine.ollama().load(Model("qwen3:8b", gpu_gib=5))
    machine.run(50)
    code, said = why(tmp_path, machine.sent, capsys=capsys)
    assert (code, said.splitlines()[0]) == (1, WORDS)
    assert "qwen3:8b is well: 5.0 GiB on GPU" in said


def test_a_model_whose_process_was_killed_exits_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = killed(how="signal: killed")
    code, said = why(tmp_path, machine.sent, "--json", capsys=capsys)
    [model] = json.loads(said)["models"]
    assert code == 1
    assert (model["level"], model["verdicts"][0]["kind"]) == ("bad", "process_ended")
    assert "its process 100 has ended (signal: killed)" in model["sentence"]


def test_only_the_model_that_is_named_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = why(tmp_path, [*SPILLED.samples(0)], NAME, "--json", capsys=capsys)
    assert code == 1
    assert [model["name"] for model in json.loads(said)["models"]] == [NAME]


def test_a_model_that_is_not_loaded_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = recorded(tmp_path / "x.jsonl", WHOLE.samples(0))
    assert main(["why", "qwen3:8b", "--recording", name]) == 2
    assert capsys.readouterr().err == "gpumon: qwen3:8b is not loaded\n"


def test_where_nothing_could_be_read_it_exits_with_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples: list[AnySample] = [nvml(0, state="absent"), ollama_down(0, "not_running")]
    code, said = why(tmp_path, samples, capsys=capsys)
    assert (code, said) == (2, "no GPU driver here, no Ollama at 127.0.0.1:11434\n")


def test_a_recording_that_is_none_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text("hello\n", encoding="utf-8")
    assert main(["why", "--recording", str(path)]) == 2
    assert "not a gpumon recording" in capsys.readouterr().err
