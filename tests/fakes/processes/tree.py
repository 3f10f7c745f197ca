"""A /proc of our own making: processes as files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from gpumon.collectors.processes.proc import Proc, Stat

BOOT_TIME = 1_700_000_000
BLOB = "sha256-" + "4c27e0f5" * 8
OTHER_BLOB = "sha256-" + "0a1b2c3d" * 8
MODELS = "/usr/share/ollama/.ollama/models"
OLLAMA_SERVE = ("/usr/local/bin/ollama", "serve")
OLLAMA_USER_ID = 998


def llama_server(blob: str = BLOB, port: int = 36183, *more: str) -> tuple[str, ...]:
    """Return the command line of Ollama's child for a model."""
    model = f"{MODELS}/blobs/{blob}"
    return ("/usr/lib/ollama/llama-server", "--model", model, "--port", str(port), *more)


class FakeProc:
    """Writes the files that the collector reads; a file that is missing is one that may not be read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "stat").write_text(f"cpu  1 2 3\nbtime {BOOT_TIME}\n")
        self.add(1, ("/sbin/init",), parent=0)
        self.link("self", "ns/net", "net:[1]")
        self.link("self", "ns/pid", "pid:[1]")

    def add(
        self,
        pid: int,
        argv: Sequence[str | bytes],
        parent: int = 1,
        *,
        name: str | None = None,
        start_ticks: int | None = None,
        user_id: int = OLLAMA_USER_ID,
        namespace_pids: Iterable[int] = (),
        children_listed: bool = True,
    ) -> None:
        """Start a process."""
        raw = b"".join((word if isinstance(word, bytes) else word.encode()) + b"\0" for word in argv)
        self.write(pid, "cmdline", raw)
        comm = name or Path(os.fsdecode(raw.split(b"\0")[0])).name[:15]
        self.stat(pid, comm, parent, start_ticks=pid * 100 if start_ticks is None else start_ticks)
        inner = "\t".join(str(number) for number in (pid, *namespace_pids))
        status = f"Uid:\t{user_id}\t{user_id}\t{user_id}\t{user_id}\nNSpid:\t{inner}\n"
        self.write(pid, "status", f"{status}VmRSS:\t    2048 kB\nRssFile:\t    1024 kB\n".encode())
        if children_listed:
            self.write(pid, f"task/{pid}/children", b"")
            if (self.root / f"{parent}/task/{parent}/children").exists():
                self.adopt(parent, pid)

    def stat(
        self, pid: int, comm: str, parent: int, *, start_ticks: int, cpu_ticks: int = 0, state: str = "S"
    ) -> None:
        """Write ``stat``."""
        rest = f"{state} {parent} 1 1 0 -1 0 0 0 0 0 {cpu_ticks} 0 0 0 20 0 7 0 {start_ticks} 0 0"
        self.write(pid, "stat", f"{pid} ({comm}) {rest}\n".encode())

    def adopt(self, parent: int, pid: int, thread: int | None = None) -> None:
        """List ``pid`` as a child that a thread of ``parent`` has started."""
        path = self.root / f"{parent}/task/{thread or parent}/children"
        path.parent.mkdir(parents=True, exist_ok=True)
        known = path.read_text() if path.exists() else ""
        path.write_text(f"{known}{pid} ")

    def write(self, pid: int | str, name: str, raw: bytes) -> None:
        """Write one file of a process."""
        path = self.root / str(pid) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)

    def link(self, pid: int | str, name: str, target: str) -> None:
        """Make one link of a process."""
        path = self.root / str(pid) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def end(self, pid: int) -> None:
        """End a process."""
        shutil.rmtree(self.root / str(pid))


class CountingProc(Proc):
    """Remembers which processes were looked at."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.looked_at: list[int] = []
        self.walks = 0

    def pids(self) -> list[int]:
        """List every process, and count that as a walk."""
        self.walks += 1
        return super().pids()

    def stat(self, pid: int) -> Stat:
        """Read ``stat``."""
        self.looked_at.append(pid)
        return super().stat(pid)

    def command_line(self, pid: int) -> tuple[str, ...]:
        """Return the arguments."""
        self.looked_at.append(pid)
        return super().command_line(pid)

    def children(self, pid: int) -> list[int]:
        """Return the children."""
        self.looked_at.append(pid)
        return super().children(pid)
