"""The source: one sample a poll, off the event loop, and words for what is wrong."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NoReturn

import pytest
from tests.fakes.processes.tree import BLOB, FakeProc, llama_server

from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.processes.source import IDLE_SECONDS, ProcessSource
from gpumon.collectors.samples import BlobNames, HolderProcess, ProcessSample


class SteppedClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def now(self) -> float:
        return self.time


class Polling:
    """A source on a tree."""

    def __init__(self, proc: Path) -> None:
        self.clock = SteppedClock()
        self.gpu_pids: frozenset[int] = frozenset()
        self.source = ProcessSource(self.clock, lambda: self.gpu_pids, proc)
        self.names: list[BlobNames] = []

    async def poll(self, after: float = 1.0) -> ProcessSample:
        self.clock.time += after
        first, *rest = await self.source.poll()
        assert isinstance(first, ProcessSample)
        self.names = [sample for sample in rest if isinstance(sample, BlobNames)]
        return first


@pytest.fixture
async def polling(tree: FakeProc) -> AsyncIterator[Polling]:
    polling = Polling(tree.root)
    yield polling
    await polling.source.close()


def ollama_with_models(tree: FakeProc, models: Path) -> None:
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": BLOB.replace("-", ":")}
    manifest = models / "manifests/first.ollama.ai/library/qwen3/8b"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"layers": [layer]}))
    tree.add(100, ("ollama", "serve"))
    tree.write(100, "environ", b"OLLAMA_MODELS=" + bytes(models) + b"\0")


async def test_a_sample_holds_servers_runners_and_holders(tree: FakeProc, polling: Polling) -> None:
    tree.add(100, ("ollama", "serve"))
    tree.add(200, llama_server(), parent=100)
    tree.add(50, ("Xorg",))
    polling.gpu_pids = frozenset({50, 200, 99_999})
    sample = await polling.poll()
    assert (sample.source, sample.time, sample.health.state) == ("processes", polling.clock.time, "serving")
    assert [server.pid for server in sample.servers or ()] == [100]
    assert [(runner.pid, runner.server_pid) for runner in sample.runners or ()] == [(200, 100)]
    assert [(holder.pid, holder.group) for holder in sample.holders or ()] == [
        (50, "desktop"),
        (99_999, "container"),
    ]


async def test_with_nothing_to_report_it_is_idle(polling: Polling) -> None:
    sample = await polling.poll()
    assert (sample.health.state, sample.holders) == ("idle", ())


async def test_without_proc_it_says_so(tmp_path: Path) -> None:
    polling = Polling(tmp_path / "none")
    health = (await polling.poll()).health
    assert (health.state, health.detail) == ("absent", "no /proc here")
    await polling.source.close()


async def test_an_empty_proc_is_none(tmp_path: Path) -> None:
    polling = Polling(tmp_path)
    sample = await polling.poll()
    assert (sample.health.state, sample.health.detail) == ("absent", "/proc is not mounted")
    assert (sample.servers, sample.runners) == (None, None), "not: none"
    await polling.source.close()


async def test_a_proc_without_boot_time_is_said_in_words(tree: FakeProc, polling: Polling) -> None:
    (tree.root / "stat").write_text("cpu 1\n")
    tree.add(200, llama_server())
    health = (await polling.poll()).health
    assert (health.state, health.detail) == ("failing", "/proc: no btime in stat")


async def test_it_is_asked_less_often_where_no_server_could_start_a_load(
    tree: FakeProc, polling: Polling
) -> None:
    await polling.poll()
    assert polling.source.delay(1.0) == IDLE_SECONDS
    assert polling.source.delay(30.0) == 30.0


async def test_an_idle_server_is_watched_every_interval_so_that_a_load_is_seen_at_its_start(
    tree: FakeProc, polling: Polling
) -> None:
    tree.add(100, ("ollama", "serve"))
    await polling.poll()
    assert polling.source.delay(1.0) == 1.0


async def test_a_process_on_a_gpu_keeps_it_asked(polling: Polling) -> None:
    await polling.poll()
    polling.gpu_pids = frozenset({50})
    assert polling.source.delay(1.0) == 1.0
    assert (await polling.poll()).holders == (HolderProcess(pid=50, group="container"),)


async def test_names_of_blobs_come_with_the_poll_after_they_were_read(
    tree: FakeProc, polling: Polling, tmp_path: Path
) -> None:
    ollama_with_models(tree, tmp_path / "models")
    await polling.poll()
    assert polling.names == []
    await polling.source._names.settle()
    await polling.poll()
    (names,) = polling.names
    assert names.names == {BLOB: ("qwen3:8b",)}
    assert names.source == f"models {tmp_path / 'models'}"


async def test_manifests_are_looked_at_once_a_minute(
    tree: FakeProc, polling: Polling, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    ollama_with_models(tree, models)
    for after in (1.0, 1.0):
        await polling.poll(after)
        await polling.source._names.settle()
    (models / "manifests/first.ollama.ai/library/qwen3/8b").rename(
        models / "manifests/first.ollama.ai/library/qwen3/again"
    )
    said = []
    for after in (1.0, 30.0, 30.0, 1.0):
        await polling.poll(after)
        said.append(bool(polling.names))
        await polling.source._names.settle()
    assert said == [False, False, False, True]


async def test_a_disk_that_hangs_holds_up_no_poll(
    tree: FakeProc, polling: Polling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama_with_models(tree, tmp_path / "models")
    spun_up = threading.Event()
    monkeypatch.setattr(polling.source._names, "_read", lambda _asked: spun_up.wait() and [])
    for _ in range(3):
        assert len((await polling.poll(after=100.0)).servers or ()) == 1
    spun_up.set()
    await polling.source._names.settle()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("reader", ["stat", "command_line", "children", "pids"])
async def test_a_look_that_is_refused_is_a_failure_and_no_empty_machine(
    tree: FakeProc, polling: Polling, monkeypatch: pytest.MonkeyPatch, number: int, reader: str
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    tree.add(100, ("ollama", "serve"))
    tree.add(200, llama_server(), parent=100)
    tree.add(300, ("new",), parent=100)
    before = await polling.poll()
    with monkeypatch.context() as patch:
        patch.setattr(Proc, reader, refuse)
        failed = await polling.poll(after=60.0)
    assert failed.health.state == "failing"
    assert failed.health.detail == f"/proc: {os.strerror(number).lower()}"
    assert (failed.servers, failed.runners, failed.holders) == (None, None, None)
    after = await polling.poll()
    assert after.health.state == "serving"
    assert [one.pid for one in after.runners or ()] == [one.pid for one in before.runners or ()] == [200]
    assert polling.source.delay(1.0) == 1.0, "there are servers as before"
