"""An ``ssh`` for the path of a test: it runs the command here, or fails as the real one does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

SCRIPT = """#!/bin/sh
# OpenSSH's command line as gpumon writes it: options, --, the host, the command.
echo "$@" >> "{folder}/called"
while [ "$1" != -- ]; do shift; done
host=$2 command=$3
if [ ! -e "{folder}/$host" ]; then
    echo "ssh: Could not resolve hostname $host: Name or service not known" >&2
    exit 255
fi
. "{folder}/$host"
exec sh -c "$command"
"""


class FakeSsh:
    """Hosts as files of shell lines: they stand for what the login shell there does first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        program = folder / "ssh"
        program.write_text(SCRIPT.format(folder=folder), encoding="utf-8")
        program.chmod(0o755)

    def host(self, name: str, shell: str = ":") -> None:
        """Let there be a host whose shell does this before the command."""
        (self.folder / name).write_text(f"{shell}\n", encoding="utf-8")

    def refuses(self, name: str, words: str) -> None:
        """Let ssh say why it cannot reach a host."""
        self.host(name, f"echo '{words}' >&2; exit 255")

    def program(self, name: str, shell: str) -> Path:
        """Return a program that hosts can run."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{shell}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def calls(self) -> list[str]:
        """Return the command lines with which it was called."""
        called = self.folder / "called"
        return called.read_text().splitlines() if called.exists() else []

    def environment(self) -> Mapping[str, str]:
        """Return what has it found."""
        return {"PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    made = FakeSsh(tmp_path / "ssh")
    monkeypatch.setenv("PATH", made.environment()["PATH"])
    return made
