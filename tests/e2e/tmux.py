"""A program in a real tmux pane: keys go in, the screen comes out."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

DEADLINE_SECONDS = 20.0
LOOK_SECONDS = 0.1


def has_line(screen: str, *texts: str) -> bool:
    """Return whether one line of the screen holds every text, in this order."""
    pattern = ".*".join(map(re.escape, texts))
    return any(re.search(pattern, line) for line in screen.splitlines())


class Pane:
    """Runs ``command`` in a private tmux server; the pane stays after the command has ended."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], columns: int = 120, rows: int = 40
    ) -> None:
        self._server = f"gpumon-test-{uuid.uuid4().hex[:12]}"
        self._command = command
        self._environment = environment
        self._size = (columns, rows)
        self._folder = tempfile.TemporaryDirectory()
        self._exit_file = Path(self._folder.name, "exit")

    def __enter__(self) -> Self:
        columns, rows = self._size
        variables = [word for name, value in self._environment.items() for word in ("-e", f"{name}={value}")]
        shell_line = f"{shlex.join(self._command)}; code=$?; echo $code > {self._exit_file}"
        shell_line += '; echo "exit code $code"; exec sleep 1000'
        self._tmux(
            "new-session", "-d", "-x", str(columns), "-y", str(rows), *variables, "sh", "-c", shell_line
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tmux("kill-server")
        self._folder.cleanup()

    def pipe_to(self, file: Path) -> None:
        """Write what the program sends to its terminal to ``file`` too, from now on."""
        self._tmux("pipe-pane", "-o", f"exec cat > {shlex.quote(str(file))}")

    def press(self, *keys: str) -> None:
        """Send keys by tmux's names: ``Enter``, ``Down``, ``q``."""
        self._tmux("send-keys", *("\\;" if key == ";" else key for key in keys))  # else a command begins

    def send(self, data: bytes) -> None:
        """Send bytes as a terminal would, whatever they mean."""
        self._tmux("send-keys", "-H", *(f"{byte:02x}" for byte in data))

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p").stdout

    def all_lines(self) -> str:
        """Return what has scrolled off as well, lines joined that were broken at the edge of the pane."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-").stdout

    def painted(self) -> str:
        """Return the screen with its colours, as the sequences that would draw it."""
        return self._tmux("capture-pane", "-p", "-e", "-N").stdout

    def pane_format(self, name: str) -> str:
        """Return a tmux variable of the pane: ``alternate_on``, ``cursor_flag``, ``mouse_any_flag``."""
        return self._tmux("display-message", "-p", f"#{{{name}}}").stdout.strip()

    def program_pid(self) -> int:
        """Return the PID of the command, which is the shell's child."""
        shell = self.pane_format("pane_pid")
        found = subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, check=True)
        return int(found.stdout.split()[0])

    def exit_code(self) -> int | None:
        """Return how the command has ended, whatever stands on the screen; ``None`` before it has."""
        written = self._exit_file.read_text() if self._exit_file.exists() else ""
        return int(written) if written.endswith("\n") else None

    async def wait_for(self, *texts: str, deadline: float = DEADLINE_SECONDS) -> str:
        """Return the screen once it holds every text.

        Raises:
            AssertionError: it did not by the deadline; shows the screen.
        """
        return await self.wait_until(
            lambda screen: all(text in screen for text in texts), f"{texts}", deadline
        )

    async def wait_for_line(self, *texts: str, deadline: float = DEADLINE_SECONDS) -> str:
        """Return the screen once one of its lines holds every text, in this order."""
        return await self.wait_until(lambda screen: has_line(screen, *texts), f"{texts} in a line", deadline)

    async def wait_gone(self, text: str, deadline: float = DEADLINE_SECONDS) -> str:
        return await self.wait_until(lambda screen: text not in screen, f"{text!r} gone", deadline)

    async def wait_until(
        self, holds: Callable[[str], bool], what: str, deadline: float = DEADLINE_SECONDS
    ) -> str:
        end = time.monotonic() + deadline
        while not holds(screen := self.screen()):
            assert time.monotonic() < end, f"not on the screen within {deadline:g} s: {what}\n{screen}"
            await asyncio.sleep(LOOK_SECONDS)
        return screen

    def _tmux(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name not in {"TMUX", "NO_COLOR"}}
        return subprocess.run(
            ["tmux", "-L", self._server, "-f", "/dev/null", *words],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
