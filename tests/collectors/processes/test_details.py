"""What a runner costs the machine, and what may not be read."""

from __future__ import annotations

from typing import NoReturn

import pytest
from tests.fakes.processes.tree import BOOT_TIME, FakeProc, llama_server

from gpumon.collectors.processes.details import PSS_SECONDS, RunnerReader
from gpumon.collectors.processes.finder import Finder
from gpumon.collectors.processes.owners import Users
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.samples import RunnerProcess

ROLLUP = b"56-7f ---p 00000000 00:00 0  [rollup]\nRss:  4 kB\nPss:  %d kB\n"


class Reading:
    """A finder and a reader of its runners; ``cost_seconds`` is what a read of PSS seems to take."""

    def __init__(self, tree: FakeProc) -> None:
        proc = Proc(tree.root)
        self.cost_seconds = 0.0
        self._elapsed = 0.0
        self._finder = Finder(proc)
        self._reader = RunnerReader(proc, Users(_no_such_user), self._time)

    def read(self, now: float) -> RunnerProcess:
        (runner,) = self._reader.read(self._finder.look(frozenset(), now).runners, now)
        return runner

    def _time(self) -> float:
        self._elapsed += self.cost_seconds
        return self._elapsed


def _no_such_user(user_id: int) -> NoReturn:
    raise KeyError(user_id)


@pytest.fixture
def reading(tree: FakeProc) -> Reading:
    tree.add(200, llama_server())
    return Reading(tree)


def test_memory_threads_and_identity_are_read(tree: FakeProc, reading: Reading) -> None:
    runner = reading.read(0.0)
    assert (runner.rss_bytes, runner.file_bytes, runner.thread_count) == (2048 * 1024, 1024 * 1024, 7)
    assert (runner.pid, runner.started, runner.parent_pid) == (200, BOOT_TIME + 200.0, 1)


def test_what_may_not_be_read_is_unknown_and_says_why(tree: FakeProc, reading: Reading) -> None:
    tree.link(200, "io", "io")
    runner = reading.read(0.0)
    assert (runner.read_bytes, runner.pss_bytes) == (None, None)
    assert [what.partition(":")[0] for what in runner.unreadable] == ["io", "smaps_rollup"]
    assert runner.unreadable[1] == "smaps_rollup: no such file or directory"


def test_permission_denied_is_said_in_words(
    tree: FakeProc, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(_proc: Proc, _pid: int, _name: str) -> dict[str, str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Proc, "table", deny)
    runner = reading.read(0.0)
    assert runner.rss_bytes is None
    assert "io: permission denied" in runner.unreadable


def test_reads_from_storage_are_read(tree: FakeProc, reading: Reading) -> None:
    tree.write(200, "io", b"rchar: 9\nread_bytes: 4096\n")
    assert reading.read(0.0).read_bytes == 4096


def test_cpu_is_unknown_at_first_and_then_the_share_since_the_last_look(
    tree: FakeProc, reading: Reading
) -> None:
    ticks_per_second = Proc(tree.root).ticks_per_second
    assert reading.read(10.0).cpu_percent is None
    tree.stat(200, "llama-server", 1, start_ticks=20_000, cpu_ticks=3 * ticks_per_second)
    assert reading.read(12.0).cpu_percent == 150.0


def test_cpu_without_time_between_looks_is_unknown(reading: Reading) -> None:
    reading.read(10.0)
    assert reading.read(10.0).cpu_percent is None


def test_pss_is_read_seldom(tree: FakeProc, reading: Reading) -> None:
    tree.write(200, "smaps_rollup", ROLLUP % 1)
    reading.read(0.0)
    tree.write(200, "smaps_rollup", ROLLUP % 2)
    assert reading.read(PSS_SECONDS - 1).pss_bytes == 1024
    assert reading.read(PSS_SECONDS).pss_bytes == 2048


def test_pss_that_takes_long_to_read_is_read_yet_more_seldom(tree: FakeProc, reading: Reading) -> None:
    tree.write(200, "smaps_rollup", ROLLUP % 1)
    reading.cost_seconds = 0.5
    reading.read(0.0)
    tree.write(200, "smaps_rollup", ROLLUP % 2)
    assert reading.read(49.0).pss_bytes == 1024
    assert reading.read(50.0).pss_bytes == 2048


def test_an_owner_without_name_is_shown_by_number(reading: Reading) -> None:
    assert reading.read(0.0).user == "998"


def test_a_pid_of_its_own_inside_marks_another_namespace(tree: FakeProc) -> None:
    tree.add(200, llama_server(), namespace_pids=[7])
    assert Reading(tree).read(0.0).other_namespace


@pytest.mark.parametrize(("net", "elsewhere"), [("net:[1]", False), ("net:[2]", True)])
def test_the_network_namespace_decides_where_it_can_be_read(
    tree: FakeProc, net: str, elsewhere: bool
) -> None:
    tree.add(200, llama_server(), namespace_pids=[7])
    tree.link(200, "ns/net", net)
    assert Reading(tree).read(0.0).other_namespace is elsewhere
