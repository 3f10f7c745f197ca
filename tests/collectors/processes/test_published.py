"""Where what runs in a container is reached: joined by what is proven, or not at all."""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.fakes.processes.tree import FakeProc

from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.processes.published import WALK_SECONDS, Publications, Reached

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROUTES = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
ROOT, USER_1000 = "0 0 4294967295\n", "0 1000 1\n1 100000 65536\n"
CONTAINED = 500
PROXY = ("/usr/bin/docker-proxy", "-proto", "tcp")
NETNS = "/run/user/1000/netns/netns-1"


def as_kernel(host: str) -> str:
    raw = ipaddress.ip_address(host).packed
    words = [raw[at : at + 4] for at in range(0, len(raw), 4)]
    return "".join((word[::-1] if sys.byteorder == "little" else word).hex().upper() for word in words)


class Machine:
    """A /proc with namespaces in it."""

    def __init__(self, tree: FakeProc, folder: Path) -> None:
        self.tree = tree
        self.folder = folder
        self.publications = Publications(Proc(tree.root), folder)
        self._inode = 1000
        self.space("self", listens=())

    def space(
        self,
        pid: int | str,
        listens: Iterable[tuple[str, int]],
        addresses: Iterable[str] = (),
        routes: Iterable[tuple[str, str, str, str]] = (),
        users: str = ROOT,
    ) -> list[int]:
        """Write what the network namespace of a process holds; return the numbers of its sockets."""
        folder = self.tree.root / str(pid)
        (folder / "net").mkdir(parents=True, exist_ok=True)
        lines: dict[str, list[str]] = {"tcp": [HEADER], "tcp6": [HEADER]}
        inodes = []
        for host, port in listens:
            self._inode += 1
            inodes.append(self._inode)
            rest = f"0:0 0A 00000000:00000000 00:00000000 00000000 0 0 {self._inode} 1"
            lines["tcp6" if ":" in host else "tcp"].append(f" 0: {as_kernel(host)}:{port:04X} {rest}\n")
        for family, text in lines.items():
            (folder / "net" / family).write_text("".join(text))
        own = [one for one in addresses if ":" not in one]
        trie = "".join(f"     |-- {one}\n        /32 host LOCAL\n" for one in ["127.0.0.1", *own])
        (folder / "net" / "fib_trie").write_text(f"Main:\n  +-- 0.0.0.0/0 3 0 5\n{trie}Local:\n{trie}")
        inet6 = [
            ipaddress.ip_address(one).packed.hex() for one in ["::1", "fe80::1", *addresses] if ":" in one
        ]
        (folder / "net" / "if_inet6").write_text("".join(f"{one} 02 40 00 80     eth0\n" for one in inet6))
        told = (
            f"{name}\t{as_kernel(net)}\t{as_kernel(way)}\t1\t0\t0\t0\t{as_kernel(mask)}\t0\t0\t0\n"
            for name, net, way, mask in routes
        )
        (folder / "net" / "route").write_text(ROUTES + "".join(told))
        (folder / "uid_map").write_text(users)
        return inodes

    def contain(
        self,
        pid: int = CONTAINED,
        address: str = "172.17.0.2",
        port: int = 8000,
        *,
        host: str = "0.0.0.0",
        users: str = ROOT,
        parent: int = 1,
        gateway: str = "172.17.0.1",
        inner: Iterable[int] = (1,),
    ) -> list[int]:
        """Run a server in a container."""
        self.tree.add(pid, ("server",), parent, namespace_pids=inner)
        routes = [("eth0", "0.0.0.0", gateway, "0.0.0.0")]
        docker_dns = ("127.0.0.11", 41234)
        return self.space(pid, [(host, port), docker_dns], [address], routes, users)

    def publish(
        self,
        pid: int,
        port: int,
        inner: int,
        to: str = "172.17.0.2",
        *,
        host: str = "0.0.0.0",
        users: str = ROOT,
    ) -> None:
        """Run a docker-proxy."""
        told = ("-host-ip", host, "-host-port", str(port), "-container-ip", to, "-container-port", str(inner))
        self.tree.add(pid, (*PROXY, *told))
        self.tree.write(pid, "uid_map", users.encode())

    def hold(self, pid: int, inodes: Iterable[int]) -> None:
        """Have a process of our own namespace hold these of our sockets."""
        for inode in inodes:
            self.tree.link(pid, f"fd/{inode}", f"socket:[{inode}]")
        for family in ("tcp", "tcp6"):
            self.tree.write(pid, f"net/{family}", (self.tree.root / f"self/net/{family}").read_bytes())

    def bridge(self, name: str = "docker0", address: str = "172.17.0.1", *, real: bool = True) -> None:
        """Have a bridge of our own, or another interface in its place."""
        net = str(ipaddress.ip_network(f"{address}/16", strict=False).network_address)
        self.space("self", [], [address, "192.0.2.2"], [(name, net, "0.0.0.0", "255.255.0.0")])
        (self.folder / "class" / "net" / name / ("bridge" if real else "queues")).mkdir(parents=True)

    def urls(self, pid: int = CONTAINED, *told: int, now: float = 0.0) -> tuple[str, ...]:
        return self.publications.find(pid, told or (8000,), now).urls


@pytest.fixture
def machine(tree: FakeProc, tmp_path: Path) -> Machine:
    return Machine(tree, tmp_path / "sys")


ANY = "0.0.0.0"


def test_a_port_that_docker_publishes_under_another_number(machine: Machine) -> None:
    machine.space("self", [(ANY, 8010), ("::", 8010)])
    machine.contain()
    machine.publish(20, 8010, 8000)
    machine.publish(21, 8010, 8000, host="::")
    assert machine.publications.find(CONTAINED, (8000,), 0.0) == Reached(
        ("http://127.0.0.1:8010", "http://[::1]:8010")
    )


def test_three_containers_of_one_image_each_have_their_own(machine: Machine) -> None:
    machine.space("self", [(ANY, 8010), (ANY, 8020), (ANY, 8030)])
    for number, port in enumerate((8010, 8020, 8030)):
        machine.contain(500 + number, f"172.17.0.{2 + number}")
        machine.publish(20 + number, port, 8000, f"172.17.0.{2 + number}")
    assert [machine.urls(pid) for pid in (500, 501, 502)] == [
        (f"http://127.0.0.1:{port}",) for port in (8010, 8020, 8030)
    ]


def test_an_address_of_ipv6_alone(machine: Machine) -> None:
    machine.space("self", [("::", 11500)])
    machine.contain(address="fd00:dead::2", port=11434, host="::")
    machine.publish(20, 11500, 11434, "fd00:dead::2", host="::")
    assert machine.urls(CONTAINED, 11434) == ("http://[::1]:11500",)


def test_a_port_on_one_address_is_asked_there(machine: Machine) -> None:
    machine.space("self", [("192.168.1.5", 8010)])
    machine.contain()
    machine.publish(20, 8010, 8000, host="192.168.1.5")
    assert machine.urls() == ("http://192.168.1.5:8010",)


def test_a_port_that_is_not_open_here_is_not_ours(machine: Machine) -> None:
    """The program is of another namespace: gpumon runs in a container itself."""
    machine.contain()
    machine.publish(20, 8010, 8000)
    assert machine.urls() == ()


def test_another_program_at_the_same_number_of_another_address_is_none(machine: Machine) -> None:
    machine.space("self", [("192.168.1.5", 8010)])
    machine.contain()
    machine.publish(20, 8010, 8000, host="127.0.0.1")
    assert machine.urls() == ()


def test_a_proxy_inside_a_container_publishes_nothing_here(machine: Machine) -> None:
    machine.space("self", [(ANY, 8010)])
    machine.contain()
    machine.publish(20, 8010, 8000)
    machine.tree.end(20)
    words = (*PROXY, "-host-port", "8010", "-container-ip", "172.17.0.2", "-container-port", "8000")
    machine.tree.add(20, words, namespace_pids=[7])
    assert machine.urls() == ()


def test_a_port_that_is_open_inside_only_is_not_reached(machine: Machine) -> None:
    machine.space("self", [(ANY, 8010)])
    machine.contain(host="127.0.0.1")
    machine.publish(20, 8010, 8000)
    assert machine.urls() == ()


def test_where_it_listens_is_seen_if_that_is_elsewhere_than_it_was_told(machine: Machine) -> None:
    """A plain user does not read the variable that says so."""
    machine.space("self", [(ANY, 8010)])
    machine.contain(port=9000)
    machine.publish(20, 8010, 9000)
    assert machine.urls(CONTAINED, 8000) == ("http://127.0.0.1:8010",)


def test_one_that_starts_is_where_it_will_listen(machine: Machine) -> None:
    machine.space("self", [(ANY, 8010)])
    machine.contain()
    machine.space(CONTAINED, [], ["172.17.0.2"])
    machine.publish(20, 8010, 8000)
    assert machine.urls() == ("http://127.0.0.1:8010",)


def test_two_dockers_may_give_one_address_twice(machine: Machine) -> None:
    machine.space("self", [(ANY, 8010), (ANY, 8020)])
    machine.contain(500)
    machine.contain(600, users=USER_1000)
    machine.publish(20, 8010, 8000)
    machine.publish(21, 8020, 8000, host="127.0.0.1", users=USER_1000)
    assert machine.urls(500) == ("http://127.0.0.1:8010",)
    assert machine.urls(600) == ("http://127.0.0.1:8020",), "RootlessKit opens it, the proxy is behind it"


def test_of_two_that_cannot_be_told_apart_none_is_named(machine: Machine) -> None:
    machine.space("self", [(ANY, 8010), (ANY, 8020)])
    machine.contain(users="0 231072 65536\n")
    machine.publish(20, 8010, 8000)
    machine.publish(21, 8020, 8000, users=USER_1000)
    assert machine.urls() == ()


def test_without_addresses_the_only_one_that_leads_to_its_port(machine: Machine) -> None:
    machine.space("self", [(ANY, 8010)])
    machine.contain()
    (machine.tree.root / f"{CONTAINED}/net/fib_trie").unlink()
    machine.publish(20, 8010, 8000)
    assert machine.urls() == ("http://127.0.0.1:8010",)
    machine.publish(21, 8020, 8000, "172.17.0.3")
    assert machine.urls(now=WALK_SECONDS) == ()


def test_pasta_is_joined_by_the_namespace_that_podman_names(machine: Machine) -> None:
    machine.space("self", [(ANY, 8010), (ANY, 8020)], ["192.168.1.5"])
    for number, port in ((1, 8010), (2, 8020)):
        bundle, netns = machine.folder / f"bundle{number}", f"/run/user/1000/netns/netns-{number}"
        bundle.mkdir(parents=True)
        namespaces = [{"type": "pid"}, {"type": "network", "path": netns}]
        (bundle / "config.json").write_text(json.dumps({"linux": {"namespaces": namespaces}}))
        machine.tree.add(30 + number, ("/usr/bin/conmon", "-c", "dd", "-b", str(bundle)))
        machine.tree.add(40 + number, ("/usr/bin/pasta", "-t", f"{port}-{port}:8000-8000", "--netns", netns))
        machine.contain(500 + number, "192.168.1.5", users=USER_1000, parent=30 + number)
    assert [machine.urls(501), machine.urls(502)] == [("http://127.0.0.1:8010",), ("http://127.0.0.1:8020",)]


def test_in_a_pod_the_first_container_has_the_namespace(machine: Machine) -> None:
    machine.space("self", [(ANY, 8010)])
    for number, path in ((1, NETNS), (2, "/proc/501/ns/net")):
        bundle = machine.folder / f"bundle{number}"
        bundle.mkdir(parents=True)
        (bundle / "config.json").write_text(
            json.dumps({"linux": {"namespaces": [{"type": "network", "path": path}]}})
        )
        machine.tree.add(30 + number, ("/usr/bin/conmon", "-b", str(bundle)))
    machine.tree.add(40, ("/usr/bin/pasta", "-t", "8010-8010:8000-8000", "--netns", NETNS))
    machine.tree.add(501, ("/catatonit", "-P"), 31)
    machine.contain(502, "192.168.1.5", parent=32)
    assert machine.urls(502) == ("http://127.0.0.1:8010",)


@pytest.mark.parametrize("kept", ["", "[]", '{"linux": {"namespaces": 3}}', "pipe"])
def test_what_podman_keeps_may_be_anything(machine: Machine, kept: str) -> None:

    bundle = machine.folder / "bundle"
    bundle.mkdir(parents=True)
    if kept == "pipe":
        os.mkfifo(bundle / "config.json")
    else:
        (bundle / "config.json").write_text(kept)
    machine.tree.add(31, ("conmon", "-b", str(bundle)))
    machine.contain(parent=31)
    assert machine.urls() == ()


def test_rootlessport_is_joined_by_the_sockets_that_its_helper_sees(machine: Machine) -> None:
    ours = machine.space("self", [(ANY, 8010), (ANY, 8020)])
    for number in (0, 1):
        machine.contain(500 + number, "10.0.2.100", users=USER_1000)
        machine.tree.add(20 + number, ("rootlessport",))
        machine.hold(20 + number, [ours[number]])
        machine.tree.add(30 + number, ("rootlessport-child",), 20 + number)
        for family in ("tcp", "tcp6"):
            seen = (machine.tree.root / f"{500 + number}/net/{family}").read_bytes()
            machine.tree.write(30 + number, f"net/{family}", seen)
    assert [machine.urls(500), machine.urls(501)] == [("http://127.0.0.1:8010",), ("http://127.0.0.1:8020",)]


def test_slirp_has_the_ports_of_one_container(machine: Machine) -> None:
    bundle = machine.folder / "bundle"
    bundle.mkdir(parents=True)
    namespaces = [{"type": "network", "path": NETNS}]
    (bundle / "config.json").write_text(json.dumps({"linux": {"namespaces": namespaces}}))
    ours = machine.space("self", [(ANY, 8010)])
    machine.tree.add(20, ("/usr/bin/slirp4netns", "-c", "--netns-type=path", NETNS, "tap0"))
    machine.hold(20, ours)
    machine.tree.add(31, ("conmon", "-b", str(bundle)))
    machine.contain(parent=31, address="10.0.2.100")
    assert machine.urls() == ("http://127.0.0.1:8010",)


def test_conmon_holds_the_ports_that_root_publishes(machine: Machine) -> None:
    ours = machine.space("self", [(ANY, 8010), (ANY, 9000)])
    machine.tree.add(31, ("/usr/bin/conmon", "-b", "/nowhere"))
    machine.hold(31, ours[:1])
    machine.contain(parent=31, address="10.88.0.2")
    assert machine.urls() == ("http://127.0.0.1:8010",)
    machine.space(CONTAINED, [(ANY, 8000), (ANY, 9999)], ["10.88.0.2"])
    assert machine.urls() == (), "it may be that of the other port"


def test_without_a_proxy_a_bridge_of_ours_leads_to_its_own_address(machine: Machine) -> None:
    machine.bridge()
    machine.contain()
    assert machine.publications.find(CONTAINED, (8000,), 0.0) == Reached(
        ("http://172.17.0.2:8000",), at_own_address=True
    )


@pytest.mark.parametrize("why", ["no bridge", "gateway", "without root", "deeper", "loopback"])
def test_an_address_that_may_be_another_ones_is_not_asked(machine: Machine, why: str) -> None:
    machine.bridge(real=why != "no bridge")
    machine.contain(
        gateway="172.17.0.9" if why == "gateway" else "172.17.0.1",
        users=USER_1000 if why == "without root" else ROOT,
        inner=(7, 1) if why == "deeper" else (1,),
        host="127.0.0.1" if why == "loopback" else ANY,
    )
    assert machine.urls() == ()


def test_who_may_go_inside_asks_it_at_any_address_but_ours(machine: Machine) -> None:
    machine.space("self", [], ["192.168.1.5"])
    machine.tree.write("self", "status", b"CapEff:\t000001ffffffffff\n")
    machine.contain(address="10.4.0.2", users=USER_1000)
    machine.tree.link(CONTAINED, "ns/net", "net:[9]")
    machine.contain(600, address="192.168.1.5")
    machine.tree.link(600, "ns/net", "net:[10]")
    assert machine.urls() == ("http://10.4.0.2:8000",)
    assert machine.urls(600) == (), "pasta gives it our address"


def test_who_publishes_is_looked_for_when_a_container_is_new_and_seldom_else(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[Proc] = []
    pids = Proc.pids

    def walk(proc: Proc) -> list[int]:
        walks.append(proc)
        return pids(proc)

    monkeypatch.setattr(Proc, "pids", walk)
    machine.contain()
    for now in (0.0, 1.0, 2.0, WALK_SECONDS - 1):
        machine.urls(now=now)
    assert len(walks) == 1
    machine.contain(600, "172.17.0.3")
    machine.urls(600, now=3.0)
    assert len(walks) == 2
    machine.urls(now=3.0 + WALK_SECONDS)
    assert len(walks) == 3


def test_one_that_has_ended_is_nowhere(machine: Machine) -> None:
    assert machine.urls(4711) == ()
