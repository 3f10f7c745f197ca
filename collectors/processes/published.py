"""Where what runs in a container is reached from here: by a port that is published, else at its own address.

What is joined is proven: the program that publishes a port names the container's address and port
(``forwards.py``), a container's own sockets and addresses are in ``/proc/PID/net``, which all may read, and
our own sockets show that the port is open here. What cannot be proven is left out: no server is guessed.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gpumon.collectors.processes.finder import OUT_OF_RESOURCES
from gpumon.collectors.processes.forwards import (
    ROOTLESS_PORT_CHILDREN,
    Forward,
    bundle_of,
    forwards_of,
)
from gpumon.collectors.processes.owners import entrance, has_inner_pid
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.processes.sockets import (
    Listener,
    addresses,
    gateways,
    listeners,
    own_listeners,
    subnets,
)
from gpumon.collectors.servers.command_line import program_name

WALK_SECONDS = 30.0
"""Between looks for programs that publish ports, while a container is there whose port is not known."""
_DEPTH_LIMIT = 8
_HERE_AND_INSIDE = 2
"""The PIDs of a process in a container that was started here."""
_BUNDLE_BYTES = 1024 * 1024
SYSFS = Path("/sys")
ANY_6 = "::"
ANY = frozenset({"0.0.0.0", ANY_6})  # noqa: S104 - nothing is bound
_HOLDER = re.compile(r"/proc/(\d{1,10})/ns/net\Z", re.ASCII)


class Publisher(NamedTuple):
    """A process that publishes a port."""

    pid: int
    users: str
    """The map of its user namespace: containers without root have another one than those of root."""
    forward: Forward


class Reached(NamedTuple):
    """Where one in a container is reached from here."""

    urls: tuple[str, ...] = ()
    at_own_address: bool = False
    """Whether that is its own address, and no port that is published."""


class Space(NamedTuple):
    """A network namespace, as anybody sees it of a process there."""

    listeners: tuple[Listener, ...]
    addresses: frozenset[str]

    def open_ports(self, *, by_loopback: bool) -> list[int]:
        """Return the ports that are open to what comes in: at its loopback only where that is led there."""
        is_open = (one.port for one in self.listeners if by_loopback or self._lets_in(one))
        return list(dict.fromkeys(is_open))

    def keeps_in(self, port: int) -> bool:
        """Whether a port is open to the container itself alone."""
        return port in self.open_ports(by_loopback=True) and port not in self.open_ports(by_loopback=False)

    def _lets_in(self, listener: Listener) -> bool:
        host = ipaddress.ip_address(listener.host)
        return host.is_unspecified or (not host.is_loopback and listener.host in self.addresses)


class Publications:
    """Remembers who publishes what; looks again for a container that is new, and seldom otherwise."""

    def __init__(self, proc: Proc, sysfs: Path = SYSFS) -> None:
        self._proc = proc
        self._sysfs = sysfs
        self._publishers: list[Publisher] = []
        self._helpers: dict[int, int] = {}
        """Processes in a container's namespace that help to publish its ports, by the PID of who listens."""
        self._walked_at = float("-inf")
        self._asked: dict[int, frozenset[int]] = {}
        """Processes that were asked about, with the ports on which they are said to listen."""

    def find(self, pid: int, told: Sequence[int], now: float) -> Reached:
        """Return where the process of a container is reached from here, the best first; nothing if unknown.

        ``told`` are the ports inside on which it is said to listen.
        """
        is_new = pid not in self._asked
        self._asked[pid] = frozenset(told)
        if is_new or now - self._walked_at >= WALK_SECONDS:
            self._walk(now)
        try:
            space, ours = self._space(pid), list(listeners(self._proc, "self"))
        except OSError:
            return Reached()
        inside = _inner_ports(space, told)
        found = [url for port in inside for url in self._published(pid, port, space, ours)]
        found.sort(key=lambda url: "[" in url)
        if found:
            return Reached(tuple(dict.fromkeys(found)))
        direct = tuple(self._direct(pid, inside, space))
        return Reached(direct, at_own_address=bool(direct))

    def _walk(self, now: float) -> None:
        """Look at all processes for those that publish ports into our own namespaces."""
        self._walked_at, self._publishers, self._helpers = now, [], {}
        everybody = self._proc.pids()
        self._asked = {pid: self._asked[pid] for pid in self._asked.keys() & set(everybody)}
        for other in everybody:
            try:
                argv = self._proc.command_line(other)
                if program_name(argv) in ROOTLESS_PORT_CHILDREN:
                    self._helpers[self._proc.stat(other).parent_pid] = other
                if (told := forwards_of(argv)) and not has_inner_pid(self._proc.table(other, "status")):
                    users = self._users(other)
                    self._publishers += [Publisher(other, users, forward) for forward in told]
            except ValueError:
                continue
            except OSError as error:
                if error.errno in OUT_OF_RESOURCES:
                    raise

    def _published(self, pid: int, port: int, space: Space, ours: Sequence[Listener]) -> Iterator[str]:
        """Yield the URLs at which a port of a container is published here."""
        joined = [] if space.keeps_in(port) else self._by_address(pid, port, space)
        if joined:
            for one in joined:
                yield from self._open_here(one, ours)
            return
        by_name = self._by_namespace(pid, space)
        for one in by_name:
            if one.forward.inner_port == port:
                yield from self._open_here(one, ours)
        if not space.keeps_in(port):
            holders = [one.pid for one in by_name if one.forward.port is None]
            yield from self._by_sockets([*holders, *self._conmon(pid)], port, space)

    def _by_address(self, pid: int, port: int, space: Space) -> list[Publisher]:
        """Return who leads to an address of the container; where two users' containers share one, its own.

        Where no address can be read, the only one that leads to this port of the only one that has it.
        """
        told = (one for one in self._publishers if one.forward.inner_host is not None)
        leading = [one for one in told if one.forward.inner_port == port]
        if not space.addresses:
            is_only = sum(port in ports for ports in self._asked.values()) == 1
            hosts = {one.forward.inner_host for one in leading}
            return leading if is_only and len(hosts) == 1 else []
        found = [one for one in leading if one.forward.inner_host in space.addresses]
        users = self._users(pid)
        own = [one for one in found if one.users == users]
        return own or (found if len({one.users for one in found}) == 1 else [])

    def _by_namespace(self, pid: int, space: Space) -> list[Publisher]:
        """Return who leads into the namespace of the container, which Podman names by a path."""
        path = self._namespace_path(pid)
        inodes = {one.inode for one in space.listeners}
        return [
            one
            for one in self._publishers
            if (path is not None and one.forward.netns == path) or self._helps(one.pid, inodes)
        ]

    def _helps(self, pid: int, inodes: set[str]) -> bool:
        """Whether the helper of a publisher lives where these sockets are: no two have one number."""
        helper = self._helpers.get(pid)
        if helper is None:
            return False
        with contextlib.suppress(OSError):
            return not inodes.isdisjoint(one.inode for one in listeners(self._proc, helper))
        return False

    def _by_sockets(self, holders: Iterable[int], port: int, space: Space) -> Iterator[str]:
        """Yield the port of a program that has one for this container alone, or has the same port open."""
        for holder in holders:
            try:
                held = own_listeners(self._proc, holder)
            except OSError:
                continue
            numbers = {one.port for one in held}
            is_only = len(numbers) == 1 and len(space.open_ports(by_loopback=False)) <= 1
            wanted = numbers if is_only else numbers & {port}
            yield from (one.url for one in held if one.port in wanted)

    def _open_here(self, publisher: Publisher, ours: Iterable[Listener]) -> Iterator[str]:
        """Yield where the port of a publisher is open in our own namespace.

        Without root its own address is one behind RootlessKit, which opens the same port here.
        """
        told, is_elsewhere = publisher.forward, publisher.users != self._users("self")
        for one in ours:
            if one.port != told.port:
                continue
            if one.host == told.host == ANY_6:
                yield f"http://[::1]:{one.port}"
            elif is_elsewhere or one.host == told.host or (told.host is None and one.host in ANY):
                yield one.url

    def _direct(self, pid: int, ports: Iterable[int], space: Space) -> Iterator[str]:
        """Yield a container's own address: where a bridge of ours leads there, or we may go inside.

        One that has our address, as ``pasta`` gives it, cannot be told from ourselves.
        """
        ours = addresses(self._proc, "self")
        own = sorted(space.addresses - ours, key=lambda host: (":" in host, host))
        if entrance(pid, self._proc.root) is None:
            own = [host for host in own if self._is_on_our_bridge(pid, host, ours)]
        is_open = space.open_ports(by_loopback=False)
        for port in (port for port in ports if port in is_open):
            yield from (f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}" for host in own)

    def _is_on_our_bridge(self, pid: int, host: str, ours: set[str]) -> bool:
        """Whether an address of root's container is in the network of a bridge of ours that is its gateway.

        What lies deeper (a container in a container, or without root) may have the address of another one.
        """
        try:
            inner = len(self._proc.table(pid, "status").get("NSpid", "").split())
            ways = ours.intersection(gateways(self._proc, pid))
            nets = [net for name, net in subnets(self._proc, "self") if self._is_bridge(name)]
        except OSError:
            return False
        if inner > _HERE_AND_INSIDE or self._users(pid) != self._users("self"):
            return False
        return any(_is_in(host, net) and _is_in(way, net) for net in nets for way in ways)

    def _is_bridge(self, interface: str) -> bool:
        return "/" not in interface and (self._sysfs / "class" / "net" / interface / "bridge").is_dir()

    def _conmon(self, pid: int) -> Iterator[int]:
        """Yield the process of Podman that keeps the container of another one."""
        for above in self._above(pid):
            with contextlib.suppress(OSError):
                if bundle_of(self._proc.command_line(above)) is not None:
                    yield above

    def _namespace_path(self, pid: int) -> str | None:
        """Return the path that Podman has given to a container's network namespace (OCI: linux.namespaces).

        Of a pod it is given to the container that holds it together, and the others name that one's process.
        """
        for _ in range(2):
            path: str | None = None
            for conmon in self._conmon(pid):
                with contextlib.suppress(OSError, ValueError):
                    bundle = bundle_of(self._proc.command_line(conmon)) or ""
                    path = path or _network_of(Path(bundle) / "config.json")
            holder = _HOLDER.match(path or "")
            if holder is None:
                return path
            pid = int(holder[1])
        return None

    def _above(self, pid: int) -> Iterator[int]:
        for _ in range(_DEPTH_LIMIT):
            try:
                pid = self._proc.stat(pid).parent_pid
            except (OSError, ValueError):
                return
            if pid <= 1:
                return
            yield pid

    def _space(self, pid: int) -> Space:
        return Space(tuple(listeners(self._proc, pid)), frozenset(addresses(self._proc, pid)))

    def _users(self, pid: int | str) -> str:
        try:
            return self._proc.words(pid, "uid_map")
        except OSError:
            return ""


def _inner_ports(space: Space, told: Sequence[int]) -> list[int]:
    """Return the ports of a process inside: those told that are open, else the only one that is.

    Where nothing listens yet it will where it was told to.
    """
    there = space.open_ports(by_loopback=True)
    if is_open := [port for port in told if port in there]:
        return is_open
    to_all = space.open_ports(by_loopback=False)
    return to_all if len(to_all) == 1 else list(told) if not to_all else []


def _is_in(host: str, net: ipaddress.IPv4Network) -> bool:
    address = ipaddress.ip_address(host)
    return address.version == net.version and address in net


def _network_of(path: Path) -> str | None:
    for one in _listed(_object(_object(_json(path)).get("linux")).get("namespaces")):
        known = _object(one)
        if known.get("type") == "network" and isinstance(found := known.get("path"), str):
            return found
    return None


def _json(path: Path) -> object:
    """Return what a file holds; a pipe of somebody who wants us to wait is none."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return json.loads(file.read(_BUNDLE_BYTES)) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
