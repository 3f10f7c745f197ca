"""The few files of ``/proc`` that are needed, read and decoded (man 5 proc). Linux only."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

COMMAND_LINE_BYTES = 64 * 1024
"""A longer command line is cut: it is hostile, or its settings come first."""
ENVIRONMENT_BYTES = 256 * 1024
_CHILDREN_BYTES = 256 * 1024
_SOCKETS_BYTES = 4 * 1024 * 1024
_SMALL_FILE_BYTES = 16 * 1024
_MAPS_BYTES = 8 * 1024 * 1024


class Stat(NamedTuple):
    """Fields of ``/proc/PID/stat``; times in clock ticks."""

    name: str
    state: str
    parent_pid: int
    cpu_ticks: int
    """In user and kernel mode."""
    thread_count: int
    start_ticks: int
    """Since boot."""
    major_faults: int = 0
    """Pages that had to be waited for on storage; what is read ahead of them is none."""

    @property
    def is_alive(self) -> bool:
        """Whether it still runs: a zombie holds nothing."""
        return self.state not in ("Z", "X")


class Proc:
    """``/proc`` at ``root``.

    Every reader raises ``OSError``: ``FileNotFoundError`` or ``ProcessLookupError`` when the process is
    gone, ``PermissionError`` when it is someone else's. Bytes that are no UTF-8 are shown as escapes.
    """

    def __init__(self, root: Path = Path("/proc")) -> None:
        self.root = root
        self._root = str(root)
        self.ticks_per_second = os.sysconf("SC_CLK_TCK")

    def pids(self) -> list[int]:
        """List every process."""
        return [int(name) for name in _names_in(self.root) if name.isdecimal() and name.isascii()]

    def stat(self, pid: int) -> Stat:
        """Read ``stat``; raise ``ValueError`` where it is not what the kernel writes."""
        head, _, tail = self._text(pid, "stat", _SMALL_FILE_BYTES).rpartition(")")
        fields = tail.split()
        if len(fields) < 20:
            raise ValueError("stat is cut short")
        return Stat(
            name=head.partition("(")[2],
            state=fields[0],
            parent_pid=int(fields[1]),
            cpu_ticks=int(fields[11]) + int(fields[12]),
            thread_count=int(fields[17]),
            start_ticks=int(fields[19]),
            major_faults=int(fields[9]),
        )

    def is_mounted(self) -> bool:
        """Return whether it is there: each process finds itself in its own, whatever else is hidden."""
        return os.path.lexists(f"{self._root}/self") or os.path.lexists(f"{self._root}/stat")

    def started(self, start_ticks: int) -> float:
        """Return a start as seconds since the epoch; raise ``ValueError`` where the time of boot is not told.

        That is read once for all who ask: the kernel moves it when the wall clock is set, and a process must
        keep its identity, and have the same one in every source.
        """
        return start_ticks / self.ticks_per_second + _boot_time(self.root)

    def command_line(self, pid: int) -> tuple[str, ...]:
        """Return the arguments; empty for a kernel thread or a zombie."""
        raw = self._bytes(pid, "cmdline", COMMAND_LINE_BYTES)
        return tuple(_decoded(part) for part in raw.removesuffix(b"\0").split(b"\0")) if raw else ()

    def environment(self, pid: int, names: Collection[str]) -> dict[str, str]:
        """Return those of its variables that have one of these ``names``, as it was started with them."""
        raw = self._bytes(pid, "environ", ENVIRONMENT_BYTES)
        pairs = (entry.partition(b"=") for entry in raw.split(b"\0"))
        wanted = {name.encode() for name in names}
        return {_decoded(name): _decoded(value) for name, equals, value in pairs if equals and name in wanted}

    def table(self, pid: int, name: str) -> dict[str, str]:
        """Return a file of ``Name: value`` lines: ``status``, ``io``, ``smaps_rollup``."""
        lines = self._text(pid, name, _SMALL_FILE_BYTES).splitlines()
        pairs = (line.partition(":") for line in lines)
        return {key: value.strip() for key, colon, value in pairs if colon}

    def text(self, pid: int, name: str) -> str:
        """Return a small file as it is: ``cgroup``."""
        return self._text(pid, name, _SMALL_FILE_BYTES)

    def children(self, pid: int) -> list[int]:
        """Return the children of all its threads (``task/TID/children``, ``CONFIG_PROC_CHILDREN``).

        Raise ``FileNotFoundError`` also where the kernel was built without.
        """
        found = self._children_of_thread(pid, pid)
        for thread in _names_in(self.root / str(pid) / "task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
                found += self._children_of_thread(pid, thread) if thread != str(pid) else []
        return found

    def link(self, pid: int | str, name: str) -> str:
        """Return where a link of a process points: ``ns/net``, ``cwd``."""
        return _decoded(os.fsencode(os.readlink(f"{self._root}/{pid}/{name}")))  # noqa: PTH115 - see _names_in

    def sees(self, pid: int, path: str) -> bool:
        """Return whether a process would find a path, from its folder or its root; ``False`` if not told."""
        folder = "root" if path.startswith("/") else "cwd/"
        return os.path.exists(f"{self._root}/{pid}/{folder}{path}")  # noqa: PTH110 - see _names_in

    def number_of(self, pid: int | str, name: str) -> int:
        """Return the inode number of a file of a process."""
        return os.stat(f"{self._root}/{pid}/{name}").st_ino  # noqa: PTH116 - see _names_in

    def descriptors(self, pid: int) -> list[str]:
        """Return where its open descriptors point: ``socket:[1234]``."""
        directory = self.root / str(pid) / "fd"
        return [_link_or_nothing(directory / name) for name in _names_in(directory)]

    def mapped(self, pid: int) -> dict[str, int]:
        """Return the files that it has mapped, with how many bytes of each (man 5 proc_pid_maps)."""
        found: dict[str, int] = {}
        for line in self._text(pid, "maps", _MAPS_BYTES).splitlines():
            fields = line.split(maxsplit=5)
            if len(fields) == 6 and fields[5].startswith("/"):
                first, _, end = fields[0].partition("-")
                with contextlib.suppress(ValueError):
                    found[fields[5]] = found.get(fields[5], 0) + int(end, 16) - int(first, 16)
        return found

    def words(self, pid: int | str, name: str) -> str:
        """Return a file of a process as it is; ``self`` is our own."""
        return self._text(pid, name, _SOCKETS_BYTES)

    def sockets(self, pid: int | str, family: str) -> list[str]:
        """Return the lines of ``net/tcp`` or ``net/tcp6`` in its network namespace, less the title."""
        return self._text(pid, f"net/{family}", _SOCKETS_BYTES).splitlines()[1:]

    def _children_of_thread(self, pid: int, thread: int | str) -> list[int]:
        text = self._text(pid, f"task/{thread}/children", _CHILDREN_BYTES)
        return [int(word) for word in text.split() if word.isdecimal()]

    def _text(self, pid: int | str, name: str, limit: int) -> str:
        return _decoded(self._bytes(pid, name, limit))

    def _bytes(self, pid: int | str, name: str, limit: int) -> bytes:
        return _head(f"{self._root}/{pid}/{name}", limit)


@functools.cache
def _boot_time(root: Path) -> float:
    for line in (root / "stat").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise ValueError("no btime in stat")


def _head(path: str, limit: int) -> bytes:
    """Read up to ``limit`` bytes: a file object costs more than the read, several times a second."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: list[bytes] = []
        while limit > 0 and (part := os.read(descriptor, min(limit, _SMALL_FILE_BYTES))):
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def reason(error: OSError) -> str:
    """Return what went wrong in the system's words, in lower case: ``permission denied``."""
    return (error.strerror or type(error).__name__).lower()


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _names_in(directory: Path) -> list[str]:
    return os.listdir(directory)  # noqa: PTH208 - a walk over all processes makes no objects it does not need


def _link_or_nothing(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
