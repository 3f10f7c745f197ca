"""Real processes under the real /proc: found, followed, gone."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.fakes.processes.actor import Actor, build, compiler
from tests.fakes.processes.namespace import can_be_made, run_inside
from tests.fakes.processes.tree import BLOB, OLLAMA_SERVE, OTHER_BLOB, llama_server

from gpumon.collectors.processes.source import ProcessSource
from gpumon.collectors.samples import ProcessSample, RunnerProcess
from gpumon.collectors.source import SystemClock

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.skipif(compiler() is None, reason="needs a C compiler"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("actor"))


@pytest.fixture
def ollama(program: Path) -> Iterator[Actor]:
    with Actor(program, OLLAMA_SERVE) as actor:
        yield actor


@pytest.fixture
async def source() -> AsyncIterator[ProcessSource]:
    source = ProcessSource(SystemClock(), frozenset)
    yield source
    await source.close()


async def poll(source: ProcessSource) -> ProcessSample:
    sample = (await source.poll())[0]
    assert isinstance(sample, ProcessSample)
    return sample


async def runners_when(
    source: ProcessSource, server: int, wanted: Callable[[list[RunnerProcess]], bool]
) -> list[RunnerProcess]:
    """Poll until the server's runners are as wanted: a child executes its program when it gets to it."""
    for _ in range(10_000):
        sample = await poll(source)
        runners = [runner for runner in sample.runners or () if runner.server_pid == server]
        if wanted(runners):
            return runners
    raise AssertionError("never as wanted")


async def test_a_runner_is_found_followed_and_gone(ollama: Actor, source: ProcessSource) -> None:
    assert ollama.pid in [server.pid for server in (await poll(source)).servers or ()]
    pid = ollama.start(llama_server(BLOB, 36183, "-c", "8192", "-np", "2"))
    (runner,) = await runners_when(source, ollama.pid, lambda runners: len(runners) == 1)
    assert (runner.pid, runner.parent_pid, runner.kind) == (pid, ollama.pid, "llama_server")
    assert (runner.settings.blob, runner.settings.port) == (BLOB, 36183)
    assert runner.settings.context_length == 4096
    ollama.stop()
    assert not any(runner.pid == pid for runner in (await poll(source)).runners or ())


async def test_the_next_model_is_another_runner(ollama: Actor, source: ProcessSource) -> None:
    ollama.start(llama_server(BLOB))
    await runners_when(source, ollama.pid, lambda runners: len(runners) == 1)
    ollama.stop()
    second = ollama.start(llama_server(OTHER_BLOB))
    (runner,) = await runners_when(source, ollama.pid, lambda runners: [r.pid for r in runners] == [second])
    assert runner.settings.blob == OTHER_BLOB


async def test_the_details_are_the_systems(ollama: Actor, source: ProcessSource) -> None:
    await poll(source)
    pid = ollama.start(llama_server())
    (runner,) = await runners_when(source, ollama.pid, lambda runners: len(runners) == 1)
    truth = psutil.Process(pid)
    assert runner.started == pytest.approx(truth.create_time(), abs=1.0)
    assert runner.user == truth.username()
    assert runner.thread_count == 1
    assert runner.rss_bytes
    assert runner.pss_bytes
    assert runner.file_bytes is not None
    assert runner.read_bytes is not None
    assert not runner.other_namespace
    assert runner.unreadable == ()


async def test_the_look_for_gpus_of_a_real_child_is_no_runner(ollama: Actor, source: ProcessSource) -> None:
    await poll(source)
    looking = ollama.start(["llama-server", "--port", "41000", "--no-webui", "--offline", "--verbose"])
    ollama.start(llama_server())
    await runners_when(source, ollama.pid, lambda runners: len(runners) == 1)
    sample = await poll(source)
    assert looking not in {server.pid for server in sample.servers or ()}


async def test_a_server_says_who_and_where_it_is(
    program: Path, source: ProcessSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        monkeypatch.setenv("OLLAMA_HOST", "elsewhere:1")
        with Actor(program, OLLAMA_SERVE, [listener.fileno()]) as ollama:
            (server,) = (server for server in (await poll(source)).servers or () if server.pid == ollama.pid)
    assert (server.kind, server.user) == ("ollama", psutil.Process().username())
    assert server.urls == (url,), "its socket counts more than what it was told"
    home = os.environ.get("HOME")
    assert home is None or server.models_path == str(Path(home) / ".ollama/models")


EVERYWHERE = "0.0.0.0"
DOCKER_PROXY = ("/usr/bin/docker-proxy", "-proto", "tcp")
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all")
QUESTION = """
import sys
from gpumon.collectors.processes.owners import is_unreachable
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.processes.published import Publications
pid, port = map(int, sys.argv[1:])
proc = Proc()
print(is_unreachable(proc, pid, proc.table(pid, "status")), *Publications(proc).find(pid, (port,), 0.0).urls)
"""


@pytest.mark.skipif(not can_be_made(), reason="no network namespace can be made")
def test_a_plain_user_sees_where_a_container_of_root_is_published(program: Path) -> None:
    with contextlib.ExitStack() as stack:
        outside = stack.enter_context(socket.create_server((EVERYWHERE, 0)))
        port = outside.getsockname()[1]

        def start() -> tuple[int, int]:
            inside = stack.enter_context(socket.create_server((EVERYWHERE, 0)))
            actor = stack.enter_context(Actor(program, ["ollama", "serve"], [inside.fileno()]))
            return actor.pid, inside.getsockname()[1]

        pid, inner = run_inside(start, "172.31.254.2")
        told = ("-host-ip", EVERYWHERE, "-host-port", str(port), "-container-ip", "172.31.254.2")
        proxy = (*DOCKER_PROXY, *told, "-container-port", str(inner))
        stack.enter_context(Actor(program, proxy, [outside.fileno()]))
        line = [*AS_NOBODY, sys.executable, "-c", QUESTION, str(pid), str(inner)]
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]}
        done = subprocess.run(line, env=environment, cwd="/", capture_output=True, text=True, check=False)
    if "ModuleNotFoundError" in done.stderr or "Permission" in done.stderr:
        pytest.skip("nobody may not read this folder")
    assert done.stdout.split() == ["True", f"http://127.0.0.1:{port}"], done.stderr
