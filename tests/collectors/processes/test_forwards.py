"""Command lines of the programs that publish ports of containers, as they stand in public reports."""

from __future__ import annotations

import shlex

import pytest

from gpumon.collectors.processes.forwards import Forward, bundle_of, forwards_of

NETNS = "/run/user/3020/netns/netns-d7f8afef-0696-79aa-4978-3cf0805ee193"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param(
            "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 8010"
            " -container-ip 172.17.0.2 -container-port 8000",
            [Forward(8010, None, 8000, "172.17.0.2")],
            id="docker",
        ),
        pytest.param(
            "/usr/bin/docker-proxy -proto tcp -host-ip 127.0.0.1 -host-port 8010"
            " -container-ip 172.17.0.2 -container-port 8000 -use-listen-fd",
            [Forward(8010, "127.0.0.1", 8000, "172.17.0.2")],
            id="docker 28, on loopback",
        ),
        pytest.param(
            "/usr/libexec/docker/docker-proxy -proto tcp -host-ip :: -host-port 11500"
            " -container-ip fd00:dead::2 -container-port 11434",
            [Forward(11500, "::", 11434, "fd00:dead::2")],
            id="docker, IPv6",
        ),
        pytest.param(
            "docker-proxy -container-ip 192.168.208.2 -container-port 8443 -host-ip 127.0.0.1"
            " -host-port 8443 -proto tcp",
            [Forward(8443, "127.0.0.1", 8443, "192.168.208.2")],
            id="docker without root, in another order",
        ),
        pytest.param(
            "/nix/store/qj4c-rootlesskit-2.0.2/bin/rootlesskit-docker-proxy -proto tcp -host-ip 0.0.0.0"
            " -host-port 5055 -container-ip 192.168.64.2 -container-port 8080",
            [Forward(5055, None, 8080, "192.168.64.2")],
            id="rootlesskit",
        ),
        pytest.param(
            "/snap/docker/2904/bin/docker-proxy --proto=tcp --host-ip=192.168.1.5 --host-port=8010"
            " --container-ip=172.18.0.3 --container-port=8000",
            [Forward(8010, "192.168.1.5", 8000, "172.18.0.3")],
            id="either way of flags",
        ),
        pytest.param(
            "/usr/bin/docker-proxy -proto udp -host-ip 0.0.0.0 -host-port 53"
            " -container-ip 172.17.0.2 -container-port 53",
            [],
            id="no TCP",
        ),
        pytest.param("docker-proxy -proto tcp -host-ip -host-port 8000", [], id="cut short"),
        pytest.param(
            "docker-proxy -proto tcp -host-port 99999 -container-ip x -container-port 1", [], id="no port"
        ),
        pytest.param(
            "/usr/bin/pasta --config-net -t 11053-11053:53-53 -t 11443-11443:443-443 -u 11053-11053:53-53"
            f" --dns-forward 169.254.1.1 -T none -U none --no-map-gw --quiet --netns {NETNS}",
            [Forward(11053, None, 53, netns=NETNS), Forward(11443, None, 443, netns=NETNS)],
            id="pasta",
        ),
        pytest.param(
            f"/usr/bin/pasta.avx2 --config-net -t 127.0.0.1/8010-8011:8000-8001 -u none --netns={NETNS}",
            [
                Forward(8010, "127.0.0.1", 8000, netns=NETNS),
                Forward(8011, "127.0.0.1", 8001, netns=NETNS),
            ],
            id="pasta, a range on one address",
        ),
        pytest.param(
            "pasta --tcp-ports=::1/8010:8000,8020 4711",
            [Forward(8010, "::1", 8000), Forward(8020, "::1", 8020)],
            id="pasta by hand",
        ),
        pytest.param("pasta --stderr --tcp-ports=auto --udp-ports=auto 4711", [], id="pasta of rootlesskit"),
        pytest.param("pasta -t ~8010 -t all -t none", [], id="pasta without numbers"),
        pytest.param("pasta --config-net -t", [], id="pasta cut short"),
        pytest.param(
            f"/usr/bin/pasta --config-net -t 8010-8010:8000-8000 -u none --no-map-gw {NETNS}",
            [Forward(8010, None, 8000, netns=NETNS)],
            id="pasta of podman 4",
        ),
        pytest.param(
            "/usr/bin/slirp4netns --disable-host-loopback --mtu=65520 --enable-sandbox --enable-seccomp"
            f" --enable-ipv6 -c -r 3 --netns-type=path {NETNS} tap0",
            [Forward(netns=NETNS)],
            id="slirp4netns",
        ),
        pytest.param("slirp4netns --mtu 1500 -r 3 --disable-host-loopback 2123 tap0", [], id="by a PID"),
        pytest.param("rootlessport", [Forward()], id="podman 4"),
        pytest.param("containers-rootlessport", [Forward()], id="podman 2"),
        pytest.param("rootlessport-child", [], id="its helper"),
        pytest.param("vim docker-proxy -host-port 8010", [], id="another program"),
        pytest.param("", [], id="a kernel thread"),
    ],
)
def test_what_a_process_publishes(line: str, told: list[Forward]) -> None:
    assert list(forwards_of(shlex.split(line))) == told


def test_a_range_without_end_is_cut() -> None:
    assert len(forwards_of(("pasta", "-t", "1-65535:1-65535"))) == 256


def test_where_podman_keeps_a_container() -> None:
    line = "/usr/bin/conmon --api-version 1 -c dd92 -u dd92 -r /usr/bin/crun -b /home/p/dd92/userdata -p x"
    assert bundle_of(line.split()) == "/home/p/dd92/userdata"
    assert bundle_of(["/usr/bin/conmon", "--bundle=/b"]) == "/b"
    assert bundle_of(["bash", "-b", "/b"]) is None
    assert bundle_of(["conmon", "-b"]) is None
