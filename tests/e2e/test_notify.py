"""What of a notification comes out of a real tmux, as the terminal around it would get it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import shlex
import struct
import subprocess
import termios
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest
from tests.app.alerts.test_ntfy import FakeNtfy
from tests.e2e.conftest import gpumon

WAIT_SECONDS = 60.0


class Outside:
    """A terminal of which the test holds the other end, with a tmux in it that runs one command."""

    def __init__(self, environment: dict[str, str], command: list[str], *options: str) -> None:
        self._name = f"gpumon-outside-{uuid.uuid4().hex[:12]}"
        self._environment = environment | {"TERM": "xterm-256color"}
        self._command, self._options = command, options
        self.written = b""

    def run(self, until: Path) -> bytes:
        """Return all that was written to the terminal until a file was there."""
        near, far = pty.openpty()
        fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        line = f"{shlex.join(self._command)}; touch {shlex.quote(str(until))}; exec sleep 1000"
        chosen = [word for option in self._options for word in ("set", "-g", *option.split(), ";")]
        process = subprocess.Popen(
            ["tmux", "-L", self._name, "-f", "/dev/null", *chosen, "new-session", "sh", "-c", line],
            stdin=far,
            stdout=far,
            stderr=far,
            env=self._environment,
            start_new_session=True,
        )
        os.set_blocking(near, False)
        end = time.monotonic() + WAIT_SECONDS
        try:
            while not until.exists() and time.monotonic() < end:
                self._read(near)
                time.sleep(0.05)
            assert until.exists(), self.written
            subprocess.run(["tmux", "-L", self._name, "refresh-client"], check=False, capture_output=True)
            subprocess.run(["tmux", "-L", self._name, "kill-server"], check=False, capture_output=True)
            while process.poll() is None and time.monotonic() < end:
                self._read(near)
                time.sleep(0.05)
            self._read(near)
        finally:
            process.kill()
            process.wait()
            os.close(near)
            os.close(far)
        return self.written

    def _read(self, descriptor: int) -> None:
        with suppress(BlockingIOError, OSError):
            while data := os.read(descriptor, 65536):
                self.written += data


@pytest.mark.parametrize(("option", "is_through"), [("on", True), ("off", False)])
def test_tmux_hands_it_to_the_terminal_where_it_is_told_to(
    bare_environment: dict[str, str], tmp_path: Path, option: str, is_through: bool
) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text('[notify]\nterminal = "osc9"\n', encoding="utf-8")
    outside = Outside(
        bare_environment | {"GPUMON_CONFIG": str(settings)},
        gpumon("notify", "--test"),
        f"allow-passthrough {option}",
    )
    written = outside.run(tmp_path / "done")
    assert (b"this is a test: alerts arrive here\x1b\\" in written) is is_through
    assert (b"\x1b]9;gpumon on " in written) is is_through
    said = b"sent as OSC 9 through tmux" if is_through else b"tmux lets nothing through to the terminal"
    assert said in written
    assert b"Ptmux" not in written


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [(200, 0, "ntfy: sent\n"), (403, 1, "ntfy: 127.0.0.1 has refused it (HTTP 403)\n")],
)
async def test_a_try_by_ntfy_says_what_became_of_it_and_no_secret(
    bare_environment: dict[str, str], status: int, code: int, words: str
) -> None:
    async with FakeNtfy(status) as server:
        secrets = {"GPUMON_NTFY": server.topic, "GPUMON_NTFY_TOKEN": "tk_s3cret"}
        process = await asyncio.create_subprocess_exec(
            *gpumon("notify", "--test"),
            env=bare_environment | secrets,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
    assert (process.returncode, out.decode()) == (code, words)
    (request,) = server.got
    assert (request.path, request.headers["authorization"]) == ("/my-topic", "Bearer tk_s3cret")
    assert request.body == b"this is a test: alerts arrive here"
