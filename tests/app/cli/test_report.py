"""``gpumon report``, out of the history and out of a recording."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.app.history.rows import machine_minute, model_minute, request, written
from tests.fakes.recordings import scenario_samples, write_recording

from gpumon.app.cli.main import main


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A history of two minutes with a request."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = tmp_path / "gpumon" / "history.db"
    path.parent.mkdir()
    written(path, [model_minute(0), model_minute(1, number=2), machine_minute(0), request(number=5)])
    return path


SINCE = ["--since", "2027-01-14", "--until", "2027-01-17"]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "evening.jsonl.gz"
    write_recording(path, scenario_samples("spill", 420))
    return path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["report", *arguments])
    out, error = capsys.readouterr()
    return code, out, error


@pytest.mark.usefixtures("history")
def test_it_reports_what_was_kept(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, *SINCE)
    assert code == 0
    assert "llama3:8b" in out
    assert "200" in out, "tokens of both minutes"
    assert "on desk" in out


def test_a_history_is_known_by_its_content(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = history.rename(history.with_name("old"))
    assert "llama3:8b" in said(capsys, str(other), *SINCE)[1]


def test_of_a_recording_it_tells_what_the_history_would(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = said(capsys, str(recording))
    assert (code, error) == (0, "")
    assert "evening.jsonl.gz, " in out
    assert "qwen2.5-coder:14b SPILLED: 1 time" in out
    assert "its context is too large" in out


def test_of_a_recording_a_span_can_be_told(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, str(recording), "--until", "2023-11-14 22:17")[1]
    assert "SPILLED" not in out


@pytest.mark.usefixtures("history")
def test_two_spans_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, *SINCE, "--compare", "2027-01-14..2027-01-17")[1]
    assert "── Compared " in out
    assert "Before: Thu 14 Jan 00:00 to Sun 17 Jan 00:00 2027. After: " in out


def test_markdown_and_a_page(recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, str(recording), "--markdown")[1].startswith("## gpumon report\n")
    code, out, _ = said(capsys, str(recording), "--html", str(tmp_path / "week.html"))
    assert (code, out) == (0, f"{tmp_path / 'week.html'}: written\n")
    assert (tmp_path / "week.html").read_text().startswith("<!doctype html>")


def test_names_can_be_replaced(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, str(recording), "--redact")[1]
    assert "SPILLED" in out
    assert "qwen2.5-coder" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--since", "2026-01-01", "--until", "2026-01-02"], "nothing from 2026-01-01"),
        (["--since", "2026-01-02", "--until", "2026-01-01"], "--until must be later than --since"),
        (["missing.jsonl"], "cannot read missing.jsonl: no such file or directory"),
        ([*SINCE, "--compare", "2027-01-20"], "--compare must end later than it begins"),
        ([*SINCE, "--html", "/nowhere/at/all.html"], "cannot write /nowhere/at/all.html"),
    ],
)
@pytest.mark.usefixtures("history")
def test_what_cannot_be_is_said_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = said(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in error
    assert error.count("\n") == 1


def test_without_a_history_it_says_what_keeps_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    code, _, error = said(capsys)
    assert code == 2
    assert "there is no history" in error
    assert "it is kept while the dashboard or gpumon record runs" in error


def test_a_damaged_history_is_said_in_one_line(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(history) as connection:
        connection.execute("PRAGMA application_id = 7")
    connection.close()
    code, _, error = said(capsys)
    assert code == 2
    assert error.count("\n") == 1
