"""Where a process listens: TCP sockets from ``/proc/PID/net`` (man 5 proc_pid_net)."""

from __future__ import annotations

import contextlib
import ipaddress
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gpumon.collectors.processes.proc import Proc

_LISTEN = "0A"
PROVEN_SECONDS = 60.0
"""Between looks at sockets once one was seen to listen: the kernel walks all of the machine's for it."""


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
    return [listener for listener in listeners(proc, pid) if listener.inode in sockets]


def listeners_of_user(proc: Proc, pid: int, user_id: int) -> list[Listener]:
    """Return where the programs of a user listen, in the namespace of ``pid``: readable by all."""
    return [listener for listener in listeners(proc, pid) if listener.user_id == user_id]


def listeners(proc: Proc, pid: int | str) -> Iterable[Listener]:
    """Yield where anybody listens in the network namespace of ``pid``: readable by all."""
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


def addresses(proc: Proc, pid: int | str) -> set[str]:
    """Return the addresses in the network namespace of ``pid`` that others have a way to: readable by all."""
    found, before = set[str](), ""
    with contextlib.suppress(OSError, ValueError):
        for line in proc.words(pid, "net/fib_trie").splitlines():
            if "/32 host LOCAL" in line and "|-- " in before:
                found.add(str(ipaddress.ip_address(before.partition("|-- ")[2].strip())))
            before = line
    with contextlib.suppress(OSError, ValueError):
        rows = (line.split() for line in proc.words(pid, "net/if_inet6").splitlines())
        found |= {str(ipaddress.ip_address(bytes.fromhex(row[0]))) for row in rows if row}
    parsed = {one: ipaddress.ip_address(one) for one in found}
    return {one for one, address in parsed.items() if not (address.is_loopback or address.is_link_local)}


def gateways(proc: Proc, pid: int | str) -> list[str]:
    """Return the default gateways in the network namespace of ``pid`` (IPv4)."""
    return [gateway for _, net, gateway in _routes(proc, pid) if gateway and net.prefixlen == 0]


def subnets(proc: Proc, pid: int | str) -> list[tuple[str, ipaddress.IPv4Network]]:
    """Return the networks that are reached without a gateway, each with the interface that leads there."""
    return [(name, net) for name, net, gateway in _routes(proc, pid) if not gateway and net.prefixlen]


def _routes(proc: Proc, pid: int | str) -> Iterator[tuple[str, ipaddress.IPv4Network, str | None]]:
    for line in proc.words(pid, "net/route").splitlines()[1:]:
        fields = line.split()
        with contextlib.suppress(ValueError, IndexError):
            net = ipaddress.IPv4Network((_host(fields[1]), _host(fields[7])))
            yield fields[0], net, _host(fields[2]) if int(fields[2], 16) else None
