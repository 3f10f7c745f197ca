"""Real processes with the command lines of servers and runners."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

SOURCE = Path(__file__).with_name("actor.c")


def compiler() -> str | None:
    """Return the C compiler, ``None`` where there is none."""
    return shutil.which("cc")


def build(folder: Path) -> Path:
    """Compile the program into ``folder``."""
    program = folder / "actor"
    subprocess.run([compiler() or "cc", "-Wall", "-o", str(program), str(SOURCE)], check=True)
    return program


class Actor:
    """A process with any command line, which starts and stops children with theirs."""

    def __init__(
        self, program: Path, argv: Sequence[str], sockets: Collection[int] = (), log: IO[bytes] | None = None
    ) -> None:
        """``sockets`` are descriptors that its children hold too: they listen there.

        ``log`` is its standard error, and that of its children.
        """
        self._process = subprocess.Popen(
            list(argv),
            executable=program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            pass_fds=sockets,
        )
        self._answer()  # just after exec the command line of a process is empty for a moment

    @property
    def pid(self) -> int:
        """Return its PID."""
        return self._process.pid

    def start(self, argv: Sequence[str]) -> int:
        """Start a child and return its PID; it may not have executed its program yet."""
        return self._order("start " + " ".join(argv))

    def run(self, program: Path | str, argv: Sequence[str]) -> int:
        """Start ``program`` as a child with these arguments, the first of which is its name."""
        return self._order(" ".join(["run", str(program), *argv]))

    def stop(self) -> int:
        """End the last child, wait until it is gone, and return its PID."""
        return self._order("stop")

    def __enter__(self) -> Actor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _order(self, line: str) -> int:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        assert self._process.stdout
        return int(self._process.stdout.readline())
