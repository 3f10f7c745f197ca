"""What commands print is harmless and always printed, whatever names hold and whatever stdout can encode."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.app.cli.test_why import SPILLED, recorded
from tests.app.diagnosis.scenes import Scene

from gpumon.app.cli.main import main
from gpumon.app.cli.output import print_json, print_text
from gpumon.collectors.samples import AnySample, ModelFacts, ServerSample

HIDDEN = "\x9b31m\u202e\u2066\x7f"
"""CSI in one character, two that turn the direction of text round, DEL."""


@pytest.fixture(autouse=True)
def no_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("GPUMON_CONFIG", str(settings))


def printed(monkeypatch: pytest.MonkeyPatch, encoding: str, text: str) -> str:
    """Return what is written to an output of ``encoding``."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    print_text(text, "report")
    return raw.getvalue().decode(encoding)


def test_control_characters_are_shown_and_lines_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, "utf-8", "a\x1b[2J\nb\x9b\n") == "a␛[2J\nb\\u{9b}\n"


def test_what_the_output_cannot_encode_has_a_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, "latin-1", "é ␛ 千\n") == "é ? ?\n"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_json_says_the_same_and_shows_no_hidden_character(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    name = f"é千{HIDDEN}\U000e0041"
    print_json({"name": name}, "report")
    text = raw.getvalue().decode(encoding)
    assert json.loads(text) == {"name": name}
    assert not [one for one in HIDDEN.replace("31m", "") if one in text]


def test_half_a_character_in_json_is_a_replacement_mark(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Обработ\udcd1", "others": ("a", None, 1)}, "snapshot")
    assert json.loads(capsys.readouterr().out) == {"name": "Обработ\ufffd", "others": ["a", None, 1]}


def named(samples: list[AnySample], name: str, architecture: str) -> list[AnySample]:
    """Return ``samples`` with another name of the model and another architecture of its file."""
    return [
        replace(one, models=tuple(replace(claim, name=name) for claim in one.models or ()))
        if isinstance(one, ServerSample)
        else replace(one, name=name, architecture=architecture, geometry={}, weights=None)
        if isinstance(one, ModelFacts)
        else one
        for one in samples
    ]


def test_why_never_sends_what_names_and_files_hold_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = named(SPILLED.samples(0), f"evil{HIDDEN}", "evil\x1b]0;pwned\x07")
    file = recorded(tmp_path / "x.jsonl", samples)
    assert main(["why", "--recording", file]) == 1
    words = capsys.readouterr().out
    assert all(line.isprintable() for line in words.splitlines())
    assert "pwned" in words
    assert main(["why", "--recording", file, "--json"]) == 1
    document = capsys.readouterr().out
    assert all(one.isprintable() or one == "\n" for one in document)
    [model] = json.loads(document)["models"]
    assert model["name"] == f"evil{HIDDEN}"
    assert "\x1b" not in model["cause"]["sentence"]


def test_why_in_an_encoding_without_the_stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = recorded(tmp_path / "x.jsonl", named(Scene().samples(0), "a\x1bb", "llama"))
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1", write_through=True))
    assert main(["why", "--recording", file]) == 1
    assert b"a?b spills" in raw.getvalue()
