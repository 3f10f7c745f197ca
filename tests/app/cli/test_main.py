"""Exit codes, and one line for what the user can put right."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

import pytest

from gpumon.app.cli import dashboard
from gpumon.app.cli import parser as parsing
from gpumon.app.cli.main import main
from gpumon.app.crash import EXIT_CRASHED
from gpumon.app.errors import GpumonError
from gpumon.app.log import state_folder


def outcome_of(monkeypatch: pytest.MonkeyPatch, result: int | BaseException) -> int:
    """Return the exit code of a command that ends like this."""

    def execute(_options: Namespace) -> int:
        if isinstance(result, BaseException):
            raise result
        return result

    parser = ArgumentParser()
    parser.add_argument("--anything", action="store_true")
    parser.set_defaults(execute=execute)
    monkeypatch.setattr(parsing, "build_parser", lambda: parser)
    return main(["--anything"])


def test_the_code_of_the_command_is_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome_of(monkeypatch, 7) == 7


def test_without_a_word_the_dashboard_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashboard, "execute", lambda options: 7 if vars(options) == {} else 1)
    assert main([]) == 7


def test_an_error_of_ours_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome_of(monkeypatch, GpumonError("no such thing")) == 2
    assert capsys.readouterr() == ("", "gpumon: no such thing\n")


def test_an_escape_in_an_error_is_shown_and_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome_of(monkeypatch, GpumonError("\x1b[2J"))
    assert "\x1b" not in capsys.readouterr().err


def test_an_interruption_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome_of(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("fault", [ZeroDivisionError(), OSError(5, "text of the error")])
def test_a_fault_of_ours_is_one_line_a_report_and_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: Exception
) -> None:
    assert outcome_of(monkeypatch, fault) == EXIT_CRASHED
    report = state_folder() / "crash.txt"
    name = type(fault).__name__
    assert capsys.readouterr().err == f"gpumon: internal error ({name}); please report it with {report}\n"
    assert report.read_text().rstrip().endswith(f"builtins.{name}")
    assert "text of the error" not in report.read_text()


@pytest.mark.parametrize(
    "arguments", [["--version"], ["-V"], ["-v"], ["-v", "--ascii"], ["--ascii", "--version"]], ids=str
)
def test_the_version_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("gpumon ")


def test_an_unknown_flag_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--nonsense"]) == 2
    assert "--nonsense" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    script = (
        "import sys; from gpumon.app.cli.main import main\n"
        "sys.stdin.read(); sys.exit(main(['config', 'path']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, said = process.communicate()
    assert (process.returncode, said) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["--version"], ["config", "show"], ["demo", "--list"]])
def test_a_full_disk_behind_the_output_is_one_line(arguments: list[str]) -> None:
    script = f"import sys; from gpumon.app.cli.main import main; sys.exit(main({arguments!r}))"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.stderr == "gpumon: cannot write to standard output: no space left on device\n"
    assert done.returncode == 2
