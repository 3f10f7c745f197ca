"""``--host``: which machines are meant, and what is run there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.ssh import FakeSsh, ssh

from gpumon.app.cli.hosts import handed_on, host_specs
from gpumon.app.cli.main import main
from gpumon.app.cli.parser import build_parser
from gpumon.app.config.settings import HostSettings, Settings
from gpumon.app.errors import GpumonError
from gpumon.app.fleet.ssh import HostSpec

__all__ = ["ssh"]

SETTINGS = Settings(hosts=("local", HostSettings(name="me@box", command="~/.local/bin/gpumon")))


def specs(*arguments: str) -> list[HostSpec]:
    return host_specs(SETTINGS, build_parser().parse_args(arguments))


def test_hosts_stand_in_the_order_in_which_they_were_named() -> None:
    assert specs("--host", "b", "--host", "a") == [HostSpec("b"), HostSpec("a")]


def test_a_host_of_the_settings_file_brings_its_command_along() -> None:
    assert specs("--host", "me@box") == [HostSpec("me@box", "~/.local/bin/gpumon")]


def test_a_command_for_all_is_that_of_those_that_have_none_of_their_own() -> None:
    assert specs("--host", "a", "--host", "me@box", "--host-command", "x/gpumon") == [
        HostSpec("a", "x/gpumon"),
        HostSpec("me@box", "~/.local/bin/gpumon"),
    ]


def test_the_hosts_of_the_settings_file() -> None:
    assert specs("--hosts") == [HostSpec("local"), HostSpec("me@box", "~/.local/bin/gpumon")]


def test_a_settings_file_without_hosts_is_told_what_to_write() -> None:
    with pytest.raises(GpumonError, match=r"write: hosts = "):
        host_specs(Settings(), build_parser().parse_args(["--hosts"]))


def test_a_flag_in_place_of_a_host_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host=-oProxyCommand=reboot"]) == 2
    assert "is no name of a host" in capsys.readouterr().err


def test_hosts_may_be_tables_in_the_settings_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.toml"
    file.write_text('hosts = ["a", { name = "b", command = "~/gpumon" }]\n')
    assert main(["config", "show", "--config", str(file)]) == 0
    assert 'hosts = ["a", { name = "b", command = "~/gpumon" }]' in capsys.readouterr().out


@pytest.mark.parametrize("hosts", ['["-x"]', "[3]", '[{ name = "a b" }]', '[{ nme = "a" }]', '"a"'])
def test_wrong_hosts_in_the_settings_file_are_told_in_one_line(
    hosts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"hosts = {hosts}\n")
    assert main(["config", "show", "--config", str(file)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "config.toml:1: hosts" in said


def test_what_concerns_this_machine_is_not_handed_on() -> None:
    given = ["--config", "c", "--debug", "snapshot", "--host", "box", "--host-command=x", "--watch"]
    assert [*handed_on(given)] == ["snapshot", "--watch"]


def test_a_command_is_run_there_and_its_exit_code_is_ours(
    ssh: FakeSsh, capfd: pytest.CaptureFixture[str]
) -> None:
    ssh.host("box", "echo Welcome to box")
    program = ssh.program("gpumon", 'echo "{\\"ran\\": \\"$*\\"}"; echo "gpumon: waiting" >&2; exit 1')
    assert main(["snapshot", "--host", "box", "--host-command", str(program)]) == 1
    out, err = capfd.readouterr()
    assert out == '{"ran": "snapshot"}\n'
    assert err == "box: gpumon: waiting\n"


def test_why_a_command_cannot_be_run_there_is_one_line(
    ssh: FakeSsh, capfd: pytest.CaptureFixture[str]
) -> None:
    ssh.refuses("box", "Host key verification failed.")
    assert main(["why", "--host", "box"]) == 2
    assert capfd.readouterr().err == "gpumon: box: its host key is not known here; once by hand: ssh box\n"


def test_a_command_that_is_not_run_elsewhere_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--host", "box", "demo", "--list"]) == 2
    assert "--host goes with" in capsys.readouterr().err


def test_prometheus_and_hosts_are_not_shown_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prometheus", "http://p:9090", "--host", "box"]) == 2
    assert "not both" in capsys.readouterr().err


def test_a_prometheus_that_cannot_be_asked_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prometheus", "ftp://p"]) == 2
    assert "--prometheus: ftp://" in capsys.readouterr().err
