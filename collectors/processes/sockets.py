"""Where a process listens: TCP sockets from ``/proc/PID/net`` (man 5 proc_pid_net)."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterable
from typing import NamedTuple

from gpumon.collectors.processes.proc import Proc

_LISTEN = "0A"


class Listener(NamedTuple):
    """A listening TCP socket."""

    host: str
    port: int
    user_id: int
    inode: str

    @property
    def url(self) -> str:
        """Return the URL that reaches it from the same machine; a wildcard is reached at 127.0.0.1.

        Go and llama.cpp listen on ``::`` for both families.
        """
        host = "127.0.0.1" if ipaddress.ip_address(self.host).is_unspecified else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


def own_listeners(proc: Proc, pid: int) -> list[Listener]:
    """Return where ``pid`` listens; raise ``PermissionError`` where its descriptors may not be seen."""
    sockets = {target[8:-1] for target in proc.descriptors(pid) if target.startswith("socket:[")}
    return [listener for listener in _listeners(proc, pid) if listener.inode in sockets]


def listeners_of_user(proc: Proc, pid: int, user_id: int) -> list[Listener]:
    """Return where the programs of a user listen, in the namespace of ``pid``: readable by all."""
    return [listener for listener in _listeners(proc, pid) if listener.user_id == user_id]


def _listeners(proc: Proc, pid: int) -> Iterable[Listener]:
    for family in ("tcp", "tcp6"):
        try:
            lines = proc.sockets(pid, family)
        except FileNotFoundError:  # a kernel without IPv6
            continue
        yield from (listener for line in lines if (listener := _parsed(line)))


def _parsed(line: str) -> Listener | None:
    fields = line.split()
    if len(fields) < 10 or fields[3] != _LISTEN:
        return None
    address, _, port = fields[1].partition(":")
    try:
        return Listener(_host(address), int(port, 16), int(fields[7]), fields[9])
    except ValueError:
        return None


def _host(address: str) -> str:
    """Return an address that the kernel wrote as 32-bit words in its own byte order."""
    raw = bytes.fromhex(address)
    words = [raw[at : at + 4] for at in range(0, len(raw), 4)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    parsed = ipaddress.ip_address(packed)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
