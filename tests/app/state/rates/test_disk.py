"""When a process is held to read its model from storage: every threshold from both sides."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.fakes import samples as fakes
from tests.fakes.process_samples import runner

from gpumon.app.state.rates import disk
from gpumon.app.state.rates.disk import DiskReads, Look, moved
from gpumon.collectors.samples import SystemSample

MIB = 1024**2
GIB = 1024**3


class Process:
    """One whose counts grow as told, a look each second."""

    def __init__(self, **system: float) -> None:
        self.reads, self.now = DiskReads(), 0.0
        self.read_bytes: float | None = 0.0
        self.major_faults: float | None = 0.0
        self.file_bytes: float | None = 8.0 * GIB
        self.cpu_percent = 100.0
        self.model_file_bytes: int | None = None
        self.system: SystemSample | None = replace(fakes.system(0), **system) if system else None
        self.look()

    def look(self) -> None:
        counts: dict[str, Any] = {
            name: None if value is None else int(value)
            for name in ("read_bytes", "major_faults", "file_bytes")
            for value in (getattr(self, name),)
        }
        counts["model_file_bytes"] = self.model_file_bytes
        self.reads.add(replace(runner(cpu_percent=self.cpu_percent), **counts), self.now, self.system)

    def runs(
        self,
        seconds: int = 1,
        *,
        mib: float = 0.0,
        faults: float = 0.0,
        stays: float = 0.0,
        every: float = 1.0,
    ) -> bool:
        """Read so much a second, of which the share ``stays``; return whether that is what is told."""
        for _ in range(round(seconds / every)):
            self.now += every
            if self.read_bytes is not None:
                self.read_bytes += mib * MIB * every
            if self.major_faults is not None:
                self.major_faults += faults * every
            if self.file_bytes is not None:
                self.file_bytes += mib * MIB * stays * every
            self.look()
        return self.reads.active


def test_it_must_last_for_ten_seconds() -> None:
    process = Process()
    assert not process.runs(9, mib=100)
    assert process.runs(1, mib=100)


def test_at_a_slower_pace_of_looks_it_takes_as_long() -> None:
    assert not Process().runs(9, mib=100, every=3)
    assert Process().runs(12, mib=100, every=3)


@pytest.mark.parametrize(("mib", "told"), [(7.9, False), (8.0, True)])
def test_from_the_pace_of_a_hard_disk_on(mib: float, told: bool) -> None:
    assert Process().runs(20, mib=mib) is told


def test_once_it_is_told_less_is_enough_and_work_without_it_ends_it() -> None:
    process = Process()
    process.runs(10, mib=8)
    assert process.runs(60, mib=2)
    assert process.runs(9, mib=1.9)
    assert not process.runs(1, mib=1.9)


def test_a_rest_neither_ends_it_nor_counts_for_it() -> None:
    process = Process()
    process.runs(5, mib=100)
    process.cpu_percent = 0.0
    assert not process.runs(20)
    process.cpu_percent = 100.0
    assert not process.runs(4, mib=100)
    assert process.runs(1, mib=100)
    process.cpu_percent = 0.0
    assert process.runs(3600), "the next request will find it so"


def test_a_long_rest_begins_anew() -> None:
    process = Process()
    process.runs(9, mib=100)
    process.cpu_percent = 0.0
    process.runs(30)
    process.cpu_percent = 100.0
    assert not process.runs(9, mib=100)


def test_work_without_reading_begins_anew() -> None:
    process = Process()
    process.runs(9, mib=100)
    process.runs(1)
    assert not process.runs(9, mib=100)


@pytest.mark.parametrize(
    ("stays", "told"), [(1.0, False), (0.5, False), (0.49, True), (0.0, True), (-0.1, True)]
)
def test_what_stays_in_memory_was_only_late(stays: float, told: bool) -> None:
    assert Process().runs(60, mib=200, stays=stays) is told


def test_a_model_on_its_way_into_memory_that_then_does_not_fit_is_told() -> None:
    process = Process()
    assert not process.runs(60, mib=500, stays=1.0)
    assert process.runs(25, mib=500)


def test_without_the_kernels_word_what_is_in_memory_nothing_is_told() -> None:
    process = Process()
    process.file_bytes = None
    assert not process.runs(60, mib=500)


@pytest.mark.parametrize(("faults", "told"), [(49, False), (50, True)])
def test_where_the_bytes_may_not_be_read_its_faults_tell(faults: float, told: bool) -> None:
    process = Process()
    process.read_bytes = None
    process.runs(1)
    assert process.runs(20, faults=faults) is told


def test_where_the_bytes_may_be_read_faults_alone_tell_nothing() -> None:
    assert not Process().runs(60, faults=5000)


def test_where_nothing_may_be_read_nothing_is_told() -> None:
    process = Process()
    process.read_bytes = process.major_faults = None
    assert not process.runs(60)
    assert process.reads.latest is not None
    assert process.reads.latest.read_bytes is None


@pytest.mark.parametrize(("percent", "told"), [(9.9, False), (10.0, True)])
def test_storage_that_nobody_waits_for_is_fast_enough(percent: float, told: bool) -> None:
    assert Process(io_waiting_percent=percent).runs(20, mib=200) is told


def test_once_it_is_told_half_the_waiting_is_enough() -> None:
    process = Process(io_waiting_percent=10.0)
    process.runs(10, mib=200)
    assert process.system is not None
    process.system = replace(process.system, io_waiting_percent=5.0)
    assert process.runs(60, mib=200)
    process.system = replace(process.system, io_waiting_percent=4.9)
    assert not process.runs(10, mib=200)


@pytest.mark.parametrize(("swapped_mib", "told"), [(99, True), (100, False)])
def test_reading_from_swap_is_another_matter(swapped_mib: float, told: bool) -> None:
    assert Process(swap_in_bytes_per_second=swapped_mib * MIB).runs(20, mib=200) is told


def test_a_load_forgets_it() -> None:
    process = Process()
    process.runs(20, mib=200)
    process.reads.reset()
    assert not process.runs(9, mib=200)


def test_no_time_and_counters_that_go_back_move_nothing() -> None:
    first = Look(1.0, 100, 5, 10)
    assert moved(first, first) is None
    assert moved(first, Look(2.0, 99, 5, 10)) is None
    assert moved(first, Look(2.0, 100, 4, 10)) is None
    assert moved(first, Look(3.0, 300, None, 0)) == (100.0, None, -5.0)


def test_what_is_kept_does_not_grow() -> None:
    process = Process()
    process.runs(1000, mib=100)
    assert len(process.reads.looks) <= disk.HOLD_SECONDS + 2


@pytest.mark.parametrize(
    ("file_gib", "resident_gib", "mib", "told"),
    [
        (10.0, 8.0, 205, True),  # 2 GiB of it are missing, and more is read in ten seconds
        (10.0, 8.0, 204, False),
        (8.5, 8.0, 100, True),
        (8.4, 8.0, 100, False),  # nearly all of it is there: it is something else that is read
        (None, 8.0, 2000, False),
    ],
)
def test_where_nobody_waits_for_storage_it_must_read_the_same_again(
    file_gib: float | None, resident_gib: float, mib: int, told: bool
) -> None:
    """So it is with fast storage, and with a busy processor: little of the time is waited for the disk."""
    process = Process(io_waiting_percent=4.0)
    process.file_bytes = resident_gib * GIB
    process.model_file_bytes = None if file_gib is None else int(file_gib * GIB)
    process.runs(1)
    assert process.runs(25, mib=mib) is told


@pytest.mark.parametrize(("mib", "told"), [(1025, True), (1024, False)])
def test_what_was_read_twice_is_told_after_four_seconds(mib: int, told: bool) -> None:
    process = Process()
    process.model_file_bytes = 10 * GIB
    assert not process.runs(3, mib=mib)
    assert process.runs(1, mib=mib) is told


def test_a_load_into_memory_of_its_own_reads_the_file_once_and_is_none() -> None:
    """``--no-mmap``, of a server that does not tell that it loads: what is read is mapped from no file."""
    process = Process(io_waiting_percent=4.0)
    process.file_bytes, process.model_file_bytes = 0.0, 8 * GIB
    process.runs(1)
    assert not process.runs(8, mib=1024)
    assert process.reads.reading_seconds == 0
    assert not process.runs(20)
