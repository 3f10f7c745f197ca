"""How a host is reached: by the user's own ssh, keys and settings; and why that did not work."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from gpumon.text.safe import visible

LOCAL = "local"
"""Stands for this machine: it is watched directly."""
COMMAND = "gpumon"
"""How gpumon is called there, where nothing else is said."""
PREFIXES = ("ssh:", "Warning:", "**", "Pseudo-terminal", "debug1:")
OPTIONS = (
    "-T",  # a terminal would mix errors and lines, and end them with a carriage return
    "-o",
    "BatchMode=yes",  # never ask: nobody could answer
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=5",  # else a host that sleeps is found out after a quarter of an hour
    "-o",
    "ServerAliveCountMax=3",
    "-o",
    "ControlMaster=no",  # use a connection that is there; when gpumon ends, nobody else's session does
    "-o",
    "ClearAllForwardings=yes",  # a forwarded port is for the user's own session
    "-o",
    "RemoteCommand=none",
)
"""What has to be as it is here. All else is left to ``~/.ssh/config``."""
SHELL_NOT_FOUND, SHELL_NOT_EXECUTABLE, SSH_FAILED = 127, 126, 255
INSTALL = "there, in a checkout of gpumon: pipx install . (or name its place with --host-command)"


class HostSpec(NamedTuple):
    """A host as the user names it."""

    name: str
    """As ssh takes it: ``box``, ``me@box``, ``ssh://me@box:2222``; or ``local``."""
    command: str = COMMAND
    """How gpumon is called there: a part of a shell line."""

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return self.name == LOCAL


class Cause(NamedTuple):
    """Why nothing comes from a host, and what to do about it."""

    words: str
    hint: str = ""
    needs_user: bool = False
    """Whether waiting alone does not help."""


def is_host(name: str) -> bool:
    """Whether ssh can be handed a name: it is no flag, and holds neither blanks nor what is not printed."""
    return bool(name) and not name.startswith("-") and name.isprintable() and " " not in name


def ssh_command(spec: HostSpec, arguments: Sequence[str], begin: str = "") -> list[str]:
    """Return the ssh that runs gpumon there with ``arguments``, whatever these hold.

    With ``begin`` a line of it comes first, behind whatever the shell there may print.
    """
    line = f"{spec.command} {shlex.join(arguments)}"
    return ["ssh", *OPTIONS, "--", spec.name, f"printf '\\n%s\\n' {begin}; {line}" if begin else line]


def ssh_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of an ssh that asks nobody anything, in a window neither."""
    return {**(os.environ if environ is None else environ), "SSH_ASKPASS_REQUIRE": "never"}


def explain(spec: HostSpec, code: int, errors: Sequence[str], *, was_up: bool = False) -> Cause:
    """Return why an ssh has ended, by its exit code and the last lines of its standard error."""
    text = "\n".join(errors)
    if code == SSH_FAILED:
        return next(_of_ssh(spec, text), None) or Cause(_last(errors) or "ssh has failed without a word")
    if code == SHELL_NOT_FOUND:
        return Cause(f"{visible(spec.command)} is not found there", INSTALL, needs_user=True)
    if code == SHELL_NOT_EXECUTABLE:
        return Cause(f"{visible(spec.command)} cannot be executed there", INSTALL, needs_user=True)
    if "there is no command" in text or "there is no flag" in text or "cannot record to /dev/stdout" in text:
        return Cause("the gpumon there is too old for this", "update it there", needs_user=True)
    if code < 0:
        return Cause("ssh was ended from outside")
    said = _last(errors)
    return Cause(f"gpumon there: {said}" if said else _ended(code), needs_user=not was_up)


def _ended(code: int) -> str:
    return "gpumon there has ended" if code == 0 else f"gpumon there has ended with status {code}"


def _of_ssh(spec: HostSpec, text: str) -> Iterator[Cause]:
    """Yield what ssh's own words mean; the first one counts."""
    for pattern, words, hint, needs_user in _MEANINGS:
        if re.search(pattern, text, re.IGNORECASE):
            yield Cause(words, hint.format(host=visible(shlex.quote(spec.name))), needs_user)


_MEANINGS = (
    (
        r"could not resolve hostname|name or service not known",
        "no host of that name is known",
        "see ~/.ssh/config",
        True,
    ),
    (
        r"host identification has changed|host key for .* has changed",
        "its host key is another than before",
        "if that is as it should be: ssh-keygen -R {host}, then once by hand: ssh {host}",
        True,
    ),
    (
        r"no .* host key is known|host key verification failed",
        "its host key is not known here",
        "once by hand: ssh {host}",
        True,
    ),
    (
        r"permission denied|too many authentication failures|no supported authentication",
        "it takes none of the keys that are offered",
        "ssh-copy-id {host}; for a key with a passphrase: ssh-add",
        True,
    ),
    (r"connection refused", "no ssh answers there", "is it up, and is the port right", False),
    (
        r"timed out|no route to host|network is unreachable|host is down",
        "it does not answer",
        "it sleeps, or the network is down",
        False,
    ),
    (
        r"not responding|connection (closed|reset)|broken pipe|kex_exchange|closed by remote",
        "the connection broke",
        "",
        False,
    ),
    (r"bad configuration option|terminating, \d+ bad", "ssh does not understand its settings", "", True),
)


def _last(errors: Sequence[str]) -> str:
    """Return the last line that is worth reading, as a sentence of ours would have it."""
    lines = [line.strip() for line in errors]
    told = [line for line in lines if line and not line.startswith(PREFIXES[1:])]
    return visible(told[-1].removeprefix("ssh:").removeprefix("gpumon:").strip(), 300) if told else ""
