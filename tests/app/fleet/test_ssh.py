"""How ssh is called, and what its failures mean. Their words are those of OpenSSH 9.2."""

from __future__ import annotations

import shlex

import pytest

from gpumon.app.fleet.ssh import HostSpec, explain, is_host, ssh_command, ssh_environment

BOX = HostSpec("me@box")


def test_ssh_asks_nothing_and_is_left_the_users_settings() -> None:
    command = ssh_command(BOX, ["record", "--headless", "/dev/stdout"])
    assert command[0] == "ssh"
    assert "BatchMode=yes" in command
    assert not {"-i", "-F", "-l", "-p", "-A"} & set(command)
    assert not [one for one in command if "HostKey" in one or "Identity" in one or "KnownHosts" in one]
    assert command[-3:] == ["--", "me@box", "gpumon record --headless /dev/stdout"]


def test_no_other_session_ends_with_ours_and_no_port_is_forwarded() -> None:
    command = ssh_command(BOX, [])
    assert {"ControlMaster=no", "ClearAllForwardings=yes", "RemoteCommand=none"} <= set(command)


def test_an_askpass_program_is_not_started() -> None:
    assert ssh_environment({"A": "b"}) == {"A": "b", "SSH_ASKPASS_REQUIRE": "never"}


def test_where_gpumon_lies_there_is_a_part_of_a_shell_line() -> None:
    command = ssh_command(HostSpec("box", "~/.local/bin/gpumon"), ["why", "a b; reboot"])
    assert command[-1] == "~/.local/bin/gpumon why 'a b; reboot'"
    assert shlex.split(command[-1])[1:] == ["why", "a b; reboot"]


@pytest.mark.parametrize("name", ["box", "me@box", "ssh://me@box:2222", "::1", "local"])
def test_what_ssh_can_be_handed_is_a_host(name: str) -> None:
    assert is_host(name)


@pytest.mark.parametrize("name", ["", "-oProxyCommand=reboot", "a b", "a\nb", "a\x1b[2J"])
def test_a_flag_in_place_of_a_host_is_none(name: str) -> None:
    assert not is_host(name)


@pytest.mark.parametrize(
    ("said", "words", "hint"),
    [
        (
            "ssh: Could not resolve hostname box: Name or service not known",
            "no host of that name is known",
            "see ~/.ssh/config",
        ),
        (
            "me@box: Permission denied (publickey).",
            "it takes none of the keys that are offered",
            "ssh-copy-id me@box; for a key with a passphrase: ssh-add",
        ),
        (
            "No ED25519 host key is known for box and you have requested strict checking.\n"
            "Host key verification failed.",
            "its host key is not known here",
            "once by hand: ssh me@box",
        ),
        (
            "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\nHost key verification failed.",
            "its host key is another than before",
            "if that is as it should be: ssh-keygen -R me@box, then once by hand: ssh me@box",
        ),
        ("ssh: connect to host box port 22: Connection refused", "no ssh answers there", "is it up"),
        ("ssh: connect to host box port 22: Connection timed out", "it does not answer", "it sleeps"),
        ("ssh: connect to host box port 22: No route to host", "it does not answer", "it sleeps"),
        ("Timeout, server box not responding.", "the connection broke", ""),
        ("client_loop: send disconnect: Broken pipe", "the connection broke", ""),
        ("something of tomorrow", "something of tomorrow", ""),
        ("", "ssh has failed without a word", ""),
    ],
)
def test_each_cause_of_ssh_is_told_in_one_line(said: str, words: str, hint: str) -> None:
    cause = explain(BOX, 255, said.splitlines())
    assert cause.words == words
    assert cause.hint.startswith(hint)


def test_a_program_that_is_not_there_comes_with_the_line_that_installs_it() -> None:
    cause = explain(BOX, 127, ["bash: line 1: gpumon: command not found"])
    assert cause.words == "gpumon is not found there"
    assert "pipx install ." in cause.hint
    assert cause.needs_user


def test_an_older_gpumon_is_told_as_one() -> None:
    cause = explain(BOX, 2, ["gpumon: cannot record to /dev/stdout: no such device or address"])
    assert (cause.words, cause.hint) == ("the gpumon there is too old for this", "update it there")


def test_what_gpumon_there_says_last_is_passed_on_without_what_a_terminal_would_obey() -> None:
    cause = explain(
        BOX, 2, ["Warning: Permanently added 'box'", "gpumon: config.toml:3: \x1b[31munknown key"]
    )
    assert "\x1b" not in cause.words
    assert cause.words.startswith("gpumon there: config.toml:3: ")


def test_a_gpumon_that_has_ended_says_so() -> None:
    assert explain(BOX, 0, []).words == "gpumon there has ended"
    assert explain(BOX, 9, []).words == "gpumon there has ended with status 9"
    assert explain(BOX, -9, []).words == "ssh was ended from outside"
