"""The process list: each process once, nothing impossible, names only where they are known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collectors.nvml.conftest import ReadOne
from tests.fakes.nvml.driver import FUNCTION_NOT_FOUND, GIB, NOT_AVAILABLE, NOT_SUPPORTED, UNKNOWN, FakeDriver
from tests.fakes.processes.tree import FakeProc

from gpumon.collectors.nvml.driver import Query
from gpumon.collectors.nvml.processes import ProcessNames, read_processes
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.samples import GpuProcess

FOREIGN_PID = 2**31 - 1
"""Above Linux's largest PID, so certainly not of this machine."""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    waits = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", waits], stdin=subprocess.PIPE) as process:
        yield process


@pytest.fixture
def tree(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")


def test_no_process_is_an_empty_list(read_one: ReadOne) -> None:
    assert read_one().processes == ()


def test_a_process_has_memory_kind_name_and_start(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.run(0, os.getpid(), 3 * GIB)
    own, proc = psutil.Process(), Proc()
    assert read_one().processes == (
        GpuProcess(
            pid=own.pid,
            vram_bytes=3 * GIB,
            kinds=("compute",),
            name=own.name(),
            started=proc.started(proc.stat(own.pid).start_ticks),
        ),
    )


def test_a_process_in_several_lists_is_one_process(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.list_process(0, FOREIGN_PID, 1 * GIB, ["compute", "mps"])
    fake_driver.list_process(0, FOREIGN_PID, 2 * GIB, ["graphics"])
    assert read_one().processes == (
        GpuProcess(pid=FOREIGN_PID, vram_bytes=2 * GIB, kinds=("compute", "graphics", "mps")),
    )


def test_a_pid_of_another_namespace_keeps_its_memory_and_has_no_name(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    fake_driver.run(0, FOREIGN_PID, 5 * GIB)
    (process,) = read_one().processes or ()
    assert (process.vram_bytes, process.name, process.started) == (5 * GIB, None, None)


def test_memory_that_the_driver_does_not_know_is_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.list_process(0, os.getpid(), NOT_AVAILABLE)
    (process,) = read_one().processes or ()
    assert process.vram_bytes is None


def test_more_memory_than_the_gpu_has_is_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.list_process(0, FOREIGN_PID, fake_driver[0].total_bytes + 1)
    (process,) = read_one().processes or ()
    assert process.vram_bytes is None


@pytest.mark.parametrize("pid", [0, 2**31, 2**32 - 1])
def test_an_impossible_pid_makes_the_whole_list_unknown(
    fake_driver: FakeDriver, read_one: ReadOne, pid: int
) -> None:
    fake_driver.list_process(0, os.getpid(), GIB)
    fake_driver.list_process(0, pid, GIB)
    assert read_one().processes is None


def test_a_refused_compute_list_makes_the_whole_list_unknown(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    fake_driver.run(0, os.getpid(), GIB, ["compute", "graphics"])
    fake_driver.error("nvmlDeviceGetComputeRunningProcesses_v3", UNKNOWN)
    assert read_one().processes is None


def test_missing_graphics_and_mps_lists_do_no_harm(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.run(0, FOREIGN_PID, GIB)
    fake_driver.error("nvmlDeviceGetGraphicsRunningProcesses_v3", NOT_SUPPORTED)
    fake_driver.error("nvmlDeviceGetMPSComputeRunningProcesses_v3", NOT_SUPPORTED)
    assert [process.pid for process in read_one().processes or ()] == [FOREIGN_PID]


def test_a_driver_without_the_third_version_of_a_list_is_asked_for_the_second(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    fake_driver.run(0, FOREIGN_PID, GIB)
    fake_driver.error("nvmlDeviceGetComputeRunningProcesses_v3", FUNCTION_NOT_FOUND)
    assert [process.vram_bytes for process in read_one().processes or ()] == [GIB]


@pytest.mark.parametrize("kind", ["graphics", "mps"])
def test_a_desktop_and_clients_of_mps_are_listed_each_time_once_there_are_some(
    fake_driver: FakeDriver, read_one: ReadOne, kind: str
) -> None:
    fake_driver.run(0, FOREIGN_PID, GIB, [kind])
    assert all(len(read_one().processes or ()) == 1 for _ in range(4))


@pytest.mark.parametrize("kind", ["graphics", "mps"])
def test_the_first_of_a_desktop_or_of_mps_is_seen_within_five_seconds(
    fake_driver: FakeDriver, read_one: ReadOne, kind: str
) -> None:
    read_one()
    fake_driver.run(0, FOREIGN_PID, GIB, [kind])
    assert [len(read_one().processes or ()) for _ in range(5)][-1] == 1


def test_a_process_that_ends_is_gone(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.run(0, FOREIGN_PID, GIB)
    read_one()
    fake_driver.end(0, FOREIGN_PID)
    assert read_one().processes == ()


def test_a_name_is_asked_once_in_the_life_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def name(process: psutil.Process) -> str:
        asked.append(process.pid)
        return "ollama"

    monkeypatch.setattr(psutil.Process, "name", name)
    names = ProcessNames()
    for _ in range(3):
        names.begin()
        assert names.identify(os.getpid())[0] == "ollama"
    assert asked == [os.getpid()]


def test_names_of_processes_that_left_are_forgotten() -> None:
    names = ProcessNames()
    names.identify(os.getpid())
    names.begin()
    names.begin()
    assert not names._before


def test_a_process_that_may_not_be_looked_at_has_a_start_and_no_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(process: psutil.Process) -> str:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "name", denied)
    name, started = ProcessNames().identify(os.getpid())
    assert name is None
    assert started == pytest.approx(psutil.Process().create_time(), abs=1.0)


def test_a_process_has_the_start_that_the_source_of_processes_gives_it(tree: FakeProc) -> None:
    own, proc = os.getpid(), Proc(tree.root)
    tree.add(own, ["ollama"], start_ticks=12345)
    assert ProcessNames(tree.root).identify(own)[1] == proc.started(proc.stat(own).start_ticks)


def test_where_there_is_no_proc_the_start_is_the_systems(tmp_path: Path) -> None:
    assert ProcessNames(tmp_path).identify(os.getpid())[1] == psutil.Process().create_time()


def test_a_process_that_has_ended_has_no_name(child: subprocess.Popen[bytes]) -> None:
    child.communicate()
    assert ProcessNames().identify(child.pid) == (None, None)


class FixedLists:
    """A ``pynvml`` that answers with given rows."""

    NVMLError = RuntimeError

    def __init__(self, compute: list[Any], graphics: list[Any]) -> None:
        self.nvmlDeviceGetComputeRunningProcesses_v3 = lambda _: compute
        self.nvmlDeviceGetGraphicsRunningProcesses_v3 = lambda _: graphics


rows = st.lists(
    st.builds(
        lambda pid, size: SimpleNamespace(pid=pid, usedGpuMemory=size),
        st.one_of(st.integers(0, 2**32 - 1), st.integers(2**22, 2**31)),
        st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    ),
    max_size=6,
)


@given(rows, rows)
def test_whatever_the_driver_lists_the_result_is_possible(compute: list[Any], graphics: list[Any]) -> None:
    query = Query(FixedLists(compute, graphics), handle=None)
    found = read_processes(query, ("compute", "graphics"), 24 * GIB, ProcessNames())
    assert found is None or len({process.pid for process in found}) == len(found)
    for process in found or ():
        assert 0 < process.pid < 2**31
        assert process.vram_bytes is None or process.vram_bytes <= 24 * GIB
        assert process.kinds
