"""``gpumon exporter`` before it runs: what is missing, what cannot be, and the files that it prints."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from gpumon.app.cli.exporter import _announce, _Listening
from gpumon.app.cli.main import EXIT_USAGE, main
from gpumon.app.listening import Address, bind
from gpumon.app.outlets.exporter.page import TextFile


def without_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)


def test_without_the_client_library_one_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_client(monkeypatch)
    assert main(["exporter"]) == EXIT_USAGE
    said = capsys.readouterr().err
    assert said.startswith("gpumon: the exporter needs prometheus-client; install it with: ")
    assert said.endswith("install prometheus-client\n")
    assert said.count("\n") == 1


def test_the_dashboard_is_printed_as_it_can_be_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_client(monkeypatch)
    assert main(["exporter", "--print-dashboard"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "gpumon: models and GPUs"


def test_the_rules_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    without_client(monkeypatch)
    assert main(["exporter", "--print-rules"]) == 0
    assert "alert: GpumonModelSpilled\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--listen", "box"], "--listen: 'box' is not HOST:PORT, such as 127.0.0.1:9836"),
        (
            ["--textfile", "gpumon.txt"],
            "node_exporter reads files that end in .prom, and gpumon.txt does not",
        ),
        (["--textfile", "/nonexistent/gpumon.prom"], "cannot write /nonexistent/gpumon.prom: no such file"),
        (["--every", "0"], "--every: expected seconds from 1 to 3600, such as 15"),
        (["--every", "nan"], "--every: expected seconds from 1 to 3600, such as 15"),
    ],
)
def test_what_cannot_be_is_said_in_words(
    flags: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["exporter", *flags]) == EXIT_USAGE
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("host", "warns"), [("127.0.0.1", False), ("0.0.0.0", True)])
def test_that_other_machines_reach_it_is_said(
    host: str, warns: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with bind(Address("127.0.0.1", 0)) as bound:
        _announce(_Listening(bound, Address(host, 9836)), None, Namespace(quiet=False, every=15.0))
    said = capsys.readouterr()
    assert said.out == f"gpumon exporter at http://{host}:9836/metrics\n"
    assert bool(said.err) is warns
    assert "without any password" in said.err or not warns


def test_a_file_is_announced_with_how_often_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gpumon.prom"
    _announce(None, TextFile(path), Namespace(quiet=False, every=30.0))
    assert capsys.readouterr().out == f"gpumon exporter in {path}, every 30 s\n"
