"""What control groups let a process take of the RAM, by both versions of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.processes.tree import FakeProc, llama_server

from gpumon.collectors.processes.details import LIMIT_SECONDS, RunnerReader
from gpumon.collectors.processes.finder import Finder
from gpumon.collectors.processes.limits import NO_LIMIT_BYTES, RamLimit, ram_limit
from gpumon.collectors.processes.owners import Users
from gpumon.collectors.processes.proc import Proc

UNLIMITED_V1 = "9223372036854771712"
GIB = 1024**3


class Groups:
    """A tree of control groups, and a process in it."""

    def __init__(self, tree: FakeProc, root: Path) -> None:
        self.tree, self.root = tree, root
        tree.add(200, llama_server())

    def holds(self, *lines: str) -> None:
        self.tree.write(200, "cgroup", "\n".join(lines).encode() + b"\n")

    def sets(self, file: str, value: str) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")

    @property
    def limit(self) -> RamLimit | None:
        return ram_limit(Proc(self.tree.root), 200, self.root)


@pytest.fixture
def groups(tree: FakeProc, tmp_path: Path) -> Groups:
    return Groups(tree, tmp_path / "cgroup")


def test_the_limit_of_a_unit(groups: Groups) -> None:
    groups.holds("0::/system.slice/ollama.service")
    groups.sets("system.slice/ollama.service/memory.max", str(8 * GIB))
    groups.sets("system.slice/ollama.service/memory.high", "max")
    assert groups.limit == (8 * GIB, "/system.slice/ollama.service")


def test_the_least_along_the_path_holds_and_memory_high_is_one(groups: Groups) -> None:
    groups.holds("0::/kubepods.slice/pod1.slice/cri-1.scope")
    groups.sets("kubepods.slice/memory.max", str(64 * GIB))
    groups.sets("kubepods.slice/pod1.slice/memory.max", str(16 * GIB))
    groups.sets("kubepods.slice/pod1.slice/cri-1.scope/memory.max", str(32 * GIB))
    assert groups.limit == (16 * GIB, "/kubepods.slice/pod1.slice")
    groups.sets("kubepods.slice/pod1.slice/cri-1.scope/memory.high", str(4 * GIB))
    assert groups.limit == (4 * GIB, "/kubepods.slice/pod1.slice/cri-1.scope")


def test_the_first_version_and_its_number_for_none(groups: Groups) -> None:
    groups.holds("9:name=systemd:/", "4:memory:/docker/ab12", "0::/")
    groups.sets("memory/memory.limit_in_bytes", UNLIMITED_V1)
    groups.sets("memory/docker/ab12/memory.limit_in_bytes", UNLIMITED_V1)
    assert groups.limit is None
    groups.sets("memory/docker/ab12/memory.limit_in_bytes", str(2 * GIB))
    assert groups.limit == (2 * GIB, "/docker/ab12")


def test_inside_a_container_its_own_group_is_the_root(groups: Groups) -> None:
    groups.holds("0::/")
    groups.sets("memory.max", str(3 * GIB))
    assert groups.limit == (3 * GIB, "/")


@pytest.mark.parametrize("said", ["max", "", "0", "-1", "8G", str(NO_LIMIT_BYTES)])
def test_what_is_no_limit(groups: Groups, said: str) -> None:
    groups.holds("0::/a")
    groups.sets("a/memory.max", said)
    assert groups.limit is None


@pytest.mark.parametrize("line", ["0::/../outside", "0::", "nonsense", "4:cpu,cpuacct:/a", "0::a"])
def test_paths_that_lead_nowhere(groups: Groups, line: str) -> None:
    groups.sets("a/memory.max", str(GIB))
    groups.sets("memory/a/memory.limit_in_bytes", str(GIB))
    groups.sets("../outside/memory.max", str(GIB))
    groups.holds(line)
    assert groups.limit is None


def test_where_nothing_may_be_read_there_is_none(groups: Groups) -> None:
    assert groups.limit is None  # no file that names its groups
    groups.holds("0::/gone")
    assert groups.limit is None


def test_a_limit_that_is_changed_is_seen_some_seconds_later(groups: Groups) -> None:
    proc = Proc(groups.tree.root)
    finder, reader = Finder(proc), RunnerReader(proc, Users(), groups=groups.root)
    groups.holds("0::/a")
    groups.sets("a/memory.max", str(GIB))

    def limit(now: float) -> tuple[int | None, str | None]:
        (runner,) = reader.read(finder.look(frozenset(), now).runners, now)
        return runner.ram_limit_bytes, runner.ram_limit_group

    assert limit(0.0) == (GIB, "/a")
    groups.sets("a/memory.max", "max")
    assert limit(LIMIT_SECONDS - 0.1) == (GIB, "/a")
    assert limit(LIMIT_SECONDS) == (None, None)
