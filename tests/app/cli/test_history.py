"""``gpumon history``: tables for people, rows for programs, one line for what cannot be."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path

import pytest
from tests.app.history.rows import GPU as CARD
from tests.app.history.rows import LLAMA, machine_minute, model_minute, request, run, written

from gpumon.app.cli.main import main
from gpumon.app.history.file import NewRow
from gpumon.app.history.reader import history_path

SPILL = {
    "number": 90,
    "minute": 1_800_000_000,
    "monotonic_seconds": 1.0,
    "started": 1_800_000_000.0,
    "until": 1_800_000_090.0,
    "kind": "spilled",
    "level": "bad",
    "sentence": "llama3:8b spills 2.0 GiB to RAM: 7.0 tok/s, about 47 if it fitted",
    "cause": "its context is too large",
    "cure": "shrink the context to 6400 tokens",
    "command": "/set parameter num_ctx 6400",
    "busy_seconds": 60.0,
}
EVENT = {
    "number": 91,
    "minute": 1_800_000_000,
    "monotonic_seconds": 1.0,
    "time": 1_800_000_000.0,
    "until": 1_800_000_090.0,
    "kind": "spill",
    "about": "model",
    "subject_id": f"http://127.0.0.1:11434 {LLAMA.digest}",
    "subject": "llama3:8b",
    "level": "bad",
    "words": "llama3:8b spilled",
}
LOAD = {
    "number": 92,
    "name": "llama3:8b",
    "pid": 7,
    "minute": 1_800_000_000,
    "monotonic_seconds": 1.0,
    "started": 1_800_000_000.0,
    "ended": 1_800_000_008.0,
    "outcome": "loaded",
    "seconds": 8.0,
    "phases": "{}",
    "evicted": '["qwen3:8b"]',
    "changes": "[]",
    "context_length": 8192,
}
GPU = {
    "minute": 1_800_000_000,
    "number": 93,
    "monotonic_seconds": 1.0,
    "watched_seconds": 60.0,
    "power_watts": 120.0,
    "energy_joules": 7200.0,
    "throttled_seconds": 0.0,
    "level": "ok",
}


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        machine_minute(),
        model_minute(0),
        model_minute(1, number=2),
        request(),
        NewRow("trouble_rows", SPILL, LLAMA),
        NewRow("event_rows", EVENT),
        NewRow("load_rows", LOAD, LLAMA),
        NewRow("gpu_minute_rows", GPU, gpu=CARD),
    ]
    written(history_path(), rows)
    monkeypatch.setattr(time, "time", lambda: 1_800_000_600.0)


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[str]:
    """Run the command and return its lines, those of errors where it fails."""
    assert main(["history", *arguments]) == code
    captured = capsys.readouterr()
    return (captured.err if code else captured.out).splitlines()


def test_models_by_the_hour(capsys: pytest.CaptureFixture[str]) -> None:
    head, row = said(capsys)
    assert head.endswith("energy  worst")
    assert row.endswith("2     200     25    30  8.0 GiB       -       -  ok")


def test_a_week_goes_by_the_day(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--since", "7d")[0].startswith("day ")


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--requests", "llama3:8b"),
        ("--loads", "qwen3:8b left for it"),
        ("--events", "llama3:8b spilled"),
        ("--troubles", "its context is too large; cure: shrink the context to 6400 tokens (/set parameter"),
        ("--gpus", "0 RTX 4070"),
    ],
)
def test_every_kind_of_row_has_its_table(capsys: pytest.CaptureFixture[str], flag: str, words: str) -> None:
    [_, row] = said(capsys, flag)
    assert words in row


def test_csv_is_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*csv.DictReader(io.StringIO("\n".join(said(capsys, "--csv"))))]
    assert [row["decoded_tokens"] for row in rows] == ["100", "100"]
    assert rows[0]["prefill_tokens_per_second"] == "", "unknown is empty"


def test_json_is_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads("\n".join(said(capsys, "--requests", "--json")))
    assert [(row["name"], row["task_id"], row["energy_joules"]) for row in rows] == [("llama3:8b", 7, None)]


def test_json_of_nothing_is_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads("\n".join(said(capsys, "--json", "--until", "2d"))) == []


def test_redacted_no_name_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("--troubles", "--loads", "--events"):
        text = "\n".join(said(capsys, kind, "--json", "--redact"))
        assert "llama3" not in text
        assert "desk" not in text
        assert LLAMA.digest is not None
        assert LLAMA.digest not in text
    [row] = json.loads("\n".join(said(capsys, "--troubles", "--json", "--redact")))
    assert "7.0 tok/s, about 47" in row["sentence"], "what only looks like a path stays"
    assert row["command"] == "/set parameter num_ctx 6400"


def test_a_span_without_rows_says_since_when_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    [line] = said(capsys, "--until", "2d")
    assert line.startswith("nothing from ")
    assert "the first that is kept is of 2027-01-15" in line


def test_a_model_that_was_never_seen_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--model", "llama3:9b", code=2) == [
        'gpumon: the history knows no model llama3:9b; did you mean "llama3:8b"?'
    ]


def test_a_span_that_ends_before_it_begins_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--since", "1d", "--until", "2d", code=2) == [
        "gpumon: --until must be later than --since"
    ]


def test_what_is_no_time_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--since", "soon", code=2)[0].startswith(
        "gpumon history: argument --since: expected 7d, 24h or 90m ago"
    )


def test_another_file_is_read_where_it_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    written(tmp_path / "other.db", [model_minute(model=LLAMA._replace(name="other"))], run("other"))
    assert "other" in said(capsys, "--file", str(tmp_path / "other.db"))[1]
    assert said(capsys, "--file", str(tmp_path / "no.db"), code=2)[0].startswith(
        "gpumon: there is no history"
    )


def test_a_damaged_file_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"no database" * 100)
    [line] = said(capsys, "--file", str(tmp_path / "bad.db"), code=2)
    assert line == f"gpumon: cannot read {tmp_path / 'bad.db'}: file is not a database"


def test_compacting_says_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    [line] = said(capsys, "--compact")
    assert line.startswith(f"{history_path()}: ")
    assert line.endswith(" now")
