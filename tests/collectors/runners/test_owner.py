"""Who listens on a port, told from real sockets."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.collectors.ollama.support import free_port

from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.runners.source import PortOwner
from gpumon.collectors.runners.target import RunnerTarget
from gpumon.collectors.worker import Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    one = Worker("test")
    yield one
    one.close()


@pytest.fixture
def other_pid() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as idle:
        yield idle.pid
        idle.kill()


@contextmanager
def listener() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port: int = taken.getsockname()[1]
        yield port


def target(pid: int, port: int) -> RunnerTarget:
    return RunnerTarget(pid, 1.0, "llama_server", None, port)


async def test_a_port_of_the_process_itself(worker: Worker) -> None:
    with listener() as port:
        assert await PortOwner(worker)(target(os.getpid(), port)) == "own"


async def test_a_port_of_another_process(worker: Worker, other_pid: int) -> None:
    with listener() as port:
        assert await PortOwner(worker)(target(other_pid, port)) == "other"


async def test_a_port_that_nobody_has_opened(worker: Worker) -> None:
    assert await PortOwner(worker)(target(os.getpid(), free_port())) == "closed"


async def test_a_process_that_may_not_be_seen(worker: Worker, tmp_path: Path) -> None:
    assert await PortOwner(worker, Proc(tmp_path))(target(7, free_port())) == "unknown"
