"""An ssh that is started, read, and started again: with a script in place of ssh."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.fakes.hosts import recording
from tests.fakes.ssh import FakeSsh

from gpumon.app.alerts.limits import Limits
from gpumon.app.fleet import link
from gpumon.app.fleet.link import HostFeed
from gpumon.app.fleet.ssh import HostSpec
from gpumon.app.monitor import Monitor

NOW = 1_790_000_000.0
DEADLINE_SECONDS = 30.0


class Pauses:
    """Waits between attempts for as long as the test wants."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._go = asyncio.Semaphore(0)
        self.waits = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.waits.set()
        await self._go.acquire()
        self.waits.clear()

    def go_on(self) -> None:
        self._go.release()


@asynccontextmanager
async def feeding(feed: HostFeed) -> AsyncIterator[Monitor]:
    monitor = Monitor(Limits())
    task = asyncio.create_task(feed.run(monitor))
    try:
        yield monitor
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not holds():  # noqa: ASYNC110 - nobody else would tell
            await asyncio.sleep(0.01)


async def paused(pauses: Pauses) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        await pauses.waits.wait()


def saved(folder: Path) -> Path:
    """Return a recording to be written by a host."""
    path = folder / "lines"
    path.write_bytes(b"".join(recording("fits", NOW, 10)))
    return path


async def test_what_gpumon_says_there_is_known_here(ssh: FakeSsh, tmp_path: Path) -> None:
    ssh.host("box")
    program = ssh.program("gpumon", f"cat {saved(tmp_path)}; exec sleep 1000")
    feed = HostFeed(HostSpec("box", str(program)))
    async with feeding(feed) as monitor:
        await until(lambda: monitor.state.models)
        assert feed.state == "up"
        assert feed.marks() == ("box",)
    assert ssh.calls()[0].endswith("record --headless /dev/stdout")


async def test_its_ssh_ends_with_it(ssh: FakeSsh, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    ssh.host("box", f"echo $$ > {pid_file}")
    feed = HostFeed(HostSpec("box", "exec sleep 1000;:"))
    async with feeding(feed):
        await until(lambda: pid_file.exists() and pid_file.read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


async def test_a_connection_that_breaks_is_made_again_and_what_was_known_stays_till_then(
    ssh: FakeSsh, tmp_path: Path
) -> None:
    ssh.host("box")
    program = ssh.program("gpumon", f"cat {saved(tmp_path)}; exit 255")
    pauses = Pauses()
    feed = HostFeed(HostSpec("box", str(program)), sleep=pauses.sleep)
    async with feeding(feed) as monitor:
        await paused(pauses)
        assert feed.state == "waiting"
        assert monitor.state.models
        pauses.go_on()
        await until(lambda: len(pauses.asked) == 2)
    assert len(ssh.calls()) == 2


async def test_it_waits_twice_as_long_each_time_up_to_a_minute(ssh: FakeSsh) -> None:
    ssh.refuses("box", "ssh: connect to host box port 22: Connection refused")
    pauses = Pauses()
    async with feeding(HostFeed(HostSpec("box"), sleep=pauses.sleep)):
        for _ in range(8):
            pauses.go_on()
        await until(lambda: len(pauses.asked) == 9)
    assert pauses.asked == [1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        (
            "echo 'me@box: Permission denied (publickey).' >&2; exit 255",
            "it takes none of the keys that are offered",
        ),
        ("exit 127", "gpumon is not found there"),
        ("echo hello; exit 0", "gpumon there has ended"),
    ],
)
async def test_why_nothing_comes_is_known(shell: str, words: str, ssh: FakeSsh) -> None:
    ssh.host("box", shell)
    pauses = Pauses()
    feed = HostFeed(HostSpec("box"), sleep=pauses.sleep)
    async with feeding(feed):
        await paused(pauses)
        assert feed.cause is not None
        assert feed.cause.words == words


async def test_a_host_that_nobody_knows(ssh: FakeSsh) -> None:
    pauses = Pauses()
    feed = HostFeed(HostSpec("nowhere"), sleep=pauses.sleep)
    async with feeding(feed):
        await paused(pauses)
        assert feed.cause is not None
        assert feed.cause.needs_user


async def test_without_an_ssh_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    pauses = Pauses()
    feed = HostFeed(HostSpec("box"), sleep=pauses.sleep)
    async with feeding(feed):
        await paused(pauses)
        assert feed.cause is not None
        assert feed.cause.words == "there is no ssh on this machine"


async def test_a_gpumon_that_says_nothing_is_not_waited_for(
    ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "BEGIN_SECONDS", 0.2)
    ssh.host("box", "echo 'Welcome to box'; exec sleep 1000")
    pauses = Pauses()
    feed = HostFeed(HostSpec("box"), sleep=pauses.sleep)
    async with feeding(feed):
        await paused(pauses)
        assert feed.cause is not None
        assert "Welcome to box" in feed.cause.words


async def test_a_line_longer_than_any_sample_costs_itself_alone(
    ssh: FakeSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "LINE_BYTES_MAXIMUM", 65536)
    ssh.host("box")
    lines = saved(tmp_path)
    long = f"{sys.executable} -c \"print('x' * 300000)\""
    program = ssh.program("gpumon", f"head -1 {lines}; {long}; tail -n +2 {lines}; exec sleep 1000")
    feed = HostFeed(HostSpec("box", str(program)))
    async with feeding(feed) as monitor:
        await until(lambda: monitor.state.models)
        assert feed.stream is not None
        assert feed.stream.damaged
