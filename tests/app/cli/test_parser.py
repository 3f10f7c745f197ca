"""What can be asked, and how it is written."""

from __future__ import annotations

import subprocess
from argparse import ArgumentTypeError
from collections.abc import Callable

import pytest

from gpumon.app.cli import configuration, dashboard, machine, parser, recordings
from gpumon.app.cli.main import main
from gpumon.app.cli.parser import SHELLS, build_parser
from gpumon.app.cli.recordings import SPEEDS, offset_seconds, speed
from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.feeds.player import SPEED_MAXIMUM, SPEED_MINIMUM


@pytest.mark.parametrize(
    ("line", "execute"),
    [
        ("", dashboard.execute),
        ("snapshot", machine.execute_snapshot),
        ("record x.jsonl", recordings.execute_record),
        ("replay x.jsonl", recordings.execute_replay),
        ("demo", dashboard.execute_demo),
        ("config show", configuration.execute_show),
        ("config path", configuration.execute_path),
        ("config init", configuration.execute_init),
        ("completion zsh", parser.execute_completion),
    ],
)
def test_a_command_line_reaches_its_command(line: str, execute: Callable[..., int]) -> None:
    assert build_parser().parse_args(line.split()).execute is execute


@pytest.mark.parametrize(
    "line", ["config", "record", "replay", "completion", "completion fish", "--ascii --unicode"]
)
def test_an_incomplete_or_contradictory_command_line_is_refused(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        build_parser().parse_args(line.split())
    assert leaving.value.code == 2
    words, more = capsys.readouterr().err.splitlines()
    assert words.startswith("gpumon")
    assert more.startswith("more: gpumon help")


def test_a_flag_may_not_be_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["snapshot", "--inter", "2"])
    assert "--inter" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("snapsot", 'there is no command "snapsot"; did you mean "snapshot"?'),
        ("config shw", 'there is no command "shw"; did you mean "show"?'),
        ("zzz", 'there is no command "zzz"; there are snapshot, why, status, doctor, fit,'),
        ("70b", 'gpumon: there is no command "70b"; whether a model fits: gpumon fit 70b\n'),
        ("llama3.1:70b", "gpumon fit llama3.1:70b\n"),
        ("--ulr http://x", 'gpumon: there is no flag "--ulr"; did you mean "--url"?\n'),
        ("replay", "gpumon replay: this needs FILE\nmore: gpumon help replay\n"),
        ("--thme nord", 'there is no flag "--thme"; did you mean "--theme"?'),
        ("--thme=nord", 'there is no flag "--thme"; did you mean "--theme"?'),
        (
            "snapshot --intreval 2",
            'gpumon snapshot: there is no flag "--intreval"; did you mean "--interval"?',
        ),
        ("snapshot --theme nord", 'gpumon snapshot: this command takes no "--theme"'),
        ("config show extra", 'gpumon config show: this command takes no "extra"'),
        ("-x", 'gpumon: this command takes no "-x"\nmore: gpumon help\n'),
    ],
)
def test_what_is_not_known_is_named_with_what_was_probably_meant(
    line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        build_parser().parse_args(line.split())
    assert leaving.value.code == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") <= 2
    assert "usage" not in told


def test_what_stands_behind_two_dashes_is_no_flag() -> None:
    assert build_parser().parse_args(["why", "--", "--model"]).model == "--model"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("help", "which model\nholds which GPU memory"),
        ("help fit", "usage: gpumon fit "),
        ("help config show", "usage: gpumon config show "),
    ],
)
def test_help_is_a_command(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 0
    assert words in capsys.readouterr().out


def test_help_for_a_command_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "fitt"]) == 2
    assert capsys.readouterr().err == 'gpumon: there is no command "fitt"; did you mean "fit"?\n'


@pytest.mark.parametrize("line", ["--url a snapshot", "snapshot --url a"])
def test_a_flag_may_stand_before_or_after_the_command(line: str) -> None:
    assert build_parser().parse_args(line.split()).url == ["a"]


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1:30", 90), ("1:02:03", 3723), ("0.5", 0.5)])
def test_a_place_in_a_recording_is_read(text: str, seconds: float) -> None:
    assert offset_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "soon", ":30", "\u0663"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        offset_seconds(text)


@pytest.mark.parametrize("text", ["0", "-1", "65", "nan", "inf", "fast"])
def test_a_speed_that_cannot_be_played_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"0\.25 to 64"):
        speed(text)


def test_the_speeds_are_those_of_the_player() -> None:
    assert SPEEDS == (SPEED_MINIMUM, SPEED_MAXIMUM)
    assert speed("10") == 10.0


def test_the_scenario_that_is_shown_unasked_exists() -> None:
    assert scenario_named(dashboard.DEFAULT_SCENARIO)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_knows_commands_and_flags(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert all(word in script for word in ("snapshot", "interval", "gpumon"))


def test_the_bash_script_is_bash(capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    script = capsys.readouterr().out
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_bash_script_completes_files(capsys: pytest.CaptureFixture[str]) -> None:
    main(["completion", "bash"])
    assert "COMPGEN=_shtab_compgen_files" in capsys.readouterr().out
