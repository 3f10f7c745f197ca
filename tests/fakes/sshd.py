"""A real sshd on loopback, with keys and settings of its own; and the ssh that finds it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

DEADLINE_SECONDS = 20.0
SEPARATION = Path("/run/sshd")
"""Where sshd wants an empty directory, if it is started by root."""


def why_not() -> str | None:
    """Return why no sshd can be started here."""
    if _sshd() is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        return "no OpenSSH with its server is installed"
    if os.geteuid() == 0 and not SEPARATION.exists():
        try:
            SEPARATION.mkdir(mode=0o755)
        except OSError:
            return f"{SEPARATION} cannot be made"
    return None


def _sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class Sshd:
    """Lets in the key ``good``, of the current user. Every host of ``names`` is this one."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        reason = why_not()
        if reason is not None:
            pytest.skip(reason)
        self.folder, self.port = folder, free_port()
        folder.mkdir()
        for key in ("host", "good", "other"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
        host_key = (folder / "host.pub").read_text().split()[:2]
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {' '.join(host_key)}\n")
        (folder / "allowed").write_text((folder / "good.pub").read_text())
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/allowed\nStrictModes no\nUsePAM no\nPidFile none\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        )
        self._write_client(names)

    def _write_client(self, names: tuple[str, ...]) -> None:
        """Write the settings of a user, and an ssh that reads them in place of those of whoever tests."""
        common = f"  HostName 127.0.0.1\n  Port {self.port}\n  IdentitiesOnly yes\n"
        known, strict = f"  UserKnownHostsFile {self.folder}/known\n", "  StrictHostKeyChecking yes\n"
        blocks = [
            f"Host {name}\n{common}{known}{strict}  IdentityFile {self.folder}/good\n" for name in names
        ]
        blocks.append(f"Host denied\n{common}{known}{strict}  IdentityFile {self.folder}/other\n")
        blocks.append(
            f"Host strange\n{common}{strict}  UserKnownHostsFile /dev/null\n"
            f"  IdentityFile {self.folder}/good\n"
        )
        (self.folder / "ssh_config").write_text("".join(blocks))
        program = self.folder / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.folder}/ssh_config "$@"\n')
        program.chmod(0o755)

    @property
    def path(self) -> str:
        """Where that ssh is found first."""
        return f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}"

    def __enter__(self) -> Self:
        log = (self.folder / "log").open("wb")
        self._process = subprocess.Popen(
            [_sshd() or "sshd", "-D", "-e", "-f", str(self.folder / "sshd_config")], stderr=log
        )
        log.close()
        end = time.monotonic() + DEADLINE_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end, "sshd does not listen"
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(DEADLINE_SECONDS)
