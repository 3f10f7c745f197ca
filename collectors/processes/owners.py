"""To whom a process belongs: its user, and the container that it lives in."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Mapping
from pathlib import Path

from gpumon.collectors.processes.proc import Proc


def is_unreachable(proc: Proc, pid: int, status: Mapping[str, str]) -> bool:
    """Whether its loopback ports cannot be reached from here.

    The network namespace decides. Where it may not be read (another user's process), the number of its table
    of sockets tells: each namespace has files of its own in ``/proc/PID/net``. Where that is not told either,
    a PID of its own inside a container is taken as the sign of one.
    """
    differs = _differs(proc, pid, "net")
    differs = _has_other_sockets(proc, pid) if differs is None else differs
    return has_inner_pid(status) if differs is None else differs


def is_contained(proc: Proc, pid: int, status: Mapping[str, str]) -> bool:
    """Whether it is in another PID namespace: its paths are then the container's."""
    return has_inner_pid(status) or bool(_differs(proc, pid, "pid"))


def has_inner_pid(status: Mapping[str, str]) -> bool:
    """Whether ``NSpid`` lists more than the PID that is seen from here. Readable by all."""
    return len(status.get("NSpid", "").split()) > 1


def _differs(proc: Proc, pid: int, kind: str) -> bool | None:
    try:
        return proc.link(pid, f"ns/{kind}") != proc.link("self", f"ns/{kind}")
    except OSError:
        return None


FIRST_OF_PROC = 0xF0000000
"""Numbers of files that the kernel makes for a namespace begin here (fs/proc/generic.c)."""


def _has_other_sockets(proc: Proc, pid: int) -> bool | None:
    """Return whether the table of sockets of a process is another file than ours; readable by all."""
    try:
        numbers = {proc.number_of(whose, "net/tcp") for whose in (pid, "self")}
    except OSError:
        return None
    return len(numbers) > 1 if min(numbers) >= FIRST_OF_PROC else None


_LookUp = Callable[[int], pwd.struct_passwd]


class Users:
    """Looks each user up once: the answer may come over a network."""

    def __init__(self, look_up: _LookUp = pwd.getpwuid) -> None:
        self._look_up = look_up
        self._known: dict[int, pwd.struct_passwd | None] = {}

    def owner(self, status: Mapping[str, str]) -> str | None:
        """Return the name of a process's owner, the number where it has no name."""
        user_id = owner_id(status)
        if user_id is None:
            return None
        entry = self._entry(user_id)
        return entry.pw_name if entry else str(user_id)

    def home(self, user_id: int) -> Path | None:
        """Return the home of a user; ``None`` for one without."""
        entry = self._entry(user_id)
        return Path(entry.pw_dir) if entry and entry.pw_dir else None

    def _entry(self, user_id: int) -> pwd.struct_passwd | None:
        if user_id not in self._known:
            try:
                self._known[user_id] = self._look_up(user_id)
            except (KeyError, OSError, OverflowError):
                self._known[user_id] = None
        return self._known[user_id]


def owner_id(status: Mapping[str, str]) -> int | None:
    """Return the effective user id (``Uid: real effective saved filesystem``)."""
    words = status.get("Uid", "").split()
    return int(words[1]) if len(words) == 4 and words[1].isdecimal() else None


CAP_SYS_ADMIN = 21
"""linux/capability.h"""


def entrance(pid: int, proc: Path = Path("/proc")) -> str | None:
    """Return the network namespace of a process where it is another than ours and we may enter it."""
    own, other = proc / "self" / "ns" / "net", proc / str(pid) / "ns" / "net"
    try:
        lines = (proc / "self" / "status").read_text().splitlines()
        is_other = own.readlink() != other.readlink()
    except OSError:
        return None
    held = next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0")
    return str(other) if is_other and int(held, 16) >> CAP_SYS_ADMIN & 1 else None
