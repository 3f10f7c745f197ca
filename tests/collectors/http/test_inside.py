"""Requests inside another network namespace, as those outside."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.collectors.ollama.support import PATIENT
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.processes.namespace import can_be_made, run_inside

from gpumon.collectors.http.client import HttpClient, TimeLimits
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.http.here import socket_inside
from gpumon.collectors.processes.owners import entrance

needs_right = pytest.mark.skipif(not can_be_made(), reason="no network namespace can be made")


class Inside:
    """A server in a namespace, which a process of it keeps."""

    def __init__(self, keeper: subprocess.Popen[bytes], server: FakeLlamaServer) -> None:
        self.server = server
        self.namespace = f"/proc/{keeper.pid}/ns/net"
        self.pid = keeper.pid

    def client(self, port: int | None = None) -> HttpClient:
        endpoint = parse_endpoint(f"http://127.0.0.1:{port or self.server.port}")
        return HttpClient(dataclasses.replace(endpoint, namespace=self.namespace), PATIENT)


@pytest.fixture
def inside() -> Iterator[Inside]:
    server = FakeLlamaServer()

    def start() -> subprocess.Popen[bytes]:
        server.bind()
        return subprocess.Popen(["sleep", "60"])

    with run_inside(start) as keeper:
        yield Inside(keeper, server)
        keeper.kill()
    if server._bound is not None:
        server._bound.close()


@needs_right
async def test_what_listens_there_answers_and_its_connection_is_used_again(inside: Inside) -> None:
    client = inside.client()
    async with inside.server:
        for _ in range(3):
            assert (await client.get("/health", 1000)).status == 200
        assert len(inside.server._connections) == 1
        await client.close()


@needs_right
async def test_a_port_that_is_closed_there_refuses(inside: Inside) -> None:
    client = inside.client(port=9)
    with pytest.raises(RequestError, match="refused"):
        await client.get("/health", 1000)
    await client.close()


@needs_right
async def test_a_connection_that_was_closed_meanwhile_is_made_anew(inside: Inside) -> None:
    client = inside.client()
    async with inside.server:
        await client.get("/health", 1000)
        connections = list(inside.server._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await asyncio.sleep(0)  # until it is closed
        assert (await client.get("/health", 1000)).status == 200
        await client.close()


@needs_right
async def test_one_that_hangs_is_given_up(inside: Inside) -> None:
    client = inside.client()
    client.limits = TimeLimits(probe=0.2)
    inside.server.hanging.add("/health")
    async with inside.server:
        with pytest.raises(RequestError, match="timeout"):
            await client.probe("/health")
        await client.close()


@needs_right
def test_no_thread_of_ours_stays_there(inside: Inside) -> None:
    own = Path("/proc/thread-self/ns/net").readlink()
    socket_inside(inside.namespace, socket.AF_INET).close()
    assert Path("/proc/thread-self/ns/net").readlink() == own
    assert "inside a container" not in {thread.name for thread in threading.enumerate()}


def test_a_namespace_that_is_gone_is_an_error() -> None:
    with pytest.raises(OSError, match="No such file"):
        socket_inside("/proc/0/ns/net", socket.AF_INET)


@needs_right
def test_only_another_namespace_is_entered(inside: Inside) -> None:
    assert entrance(os.getpid()) is None
    assert entrance(inside.pid) == inside.namespace
    assert entrance(0) is None


def test_who_may_not_enter_does_not_try(tmp_path: Path) -> None:
    for pid, net in (("self", "net:[1]"), ("7", "net:[2]")):
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns" / "net").symlink_to(net)
    status = tmp_path / "self" / "status"
    status.write_text("Name:\tx\nCapEff:\t0000000000000000\n")
    assert entrance(7, tmp_path) is None
    status.write_text("CapEff:\t0000000000200000\n")
    assert entrance(7, tmp_path) == f"{tmp_path}/7/ns/net"
    status.write_text("")
    assert entrance(7, tmp_path) is None
