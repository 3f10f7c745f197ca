"""RAM, swap, CPU and memory pressure."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.samples import MemoryPressure, SourceSilent, SystemSample
from gpumon.collectors.system import source as system
from gpumon.collectors.system.source import (
    RamBandwidth,
    SystemSource,
    parse_memory_pressure,
    rate,
    read_io_waiting_percent,
    read_memory_pressure,
)

SOME = "some avg10=1.53 avg60=0.80 avg300=0.20 total=12345\n"
FULL = "full avg10=0.50 avg60=0.10 avg300=0.00 total=1234\n"


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds


class FakeMachine:
    """What ``psutil`` is made to say."""

    def __init__(self) -> None:
        self.memory = SimpleNamespace(total=64, used=24, available=40)
        self.swap = SimpleNamespace(total=8, used=2, sin=1000, sout=5000)
        self.cores = [0.0, 0.0]
        self.load = (1.0, 0.5, 0.25)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    fake = FakeMachine()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: fake.memory)
    monkeypatch.setattr(psutil, "swap_memory", lambda: fake.swap)
    monkeypatch.setattr(psutil, "cpu_percent", lambda **_options: list(fake.cores))
    monkeypatch.setattr(psutil, "getloadavg", lambda: fake.load)
    monkeypatch.setattr(system, "read_memory_pressure", lambda: MemoryPressure(some_percent=1.5))
    monkeypatch.setattr(system, "read_io_waiting_percent", lambda: 2.5)
    monkeypatch.setattr(system, "read_ram_bandwidth", lambda: RamBandwidth(51.2e9))
    return fake


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def sampled(source: SystemSource) -> SystemSample:
    (sample,) = await source.poll()
    assert isinstance(sample, SystemSample)
    return sample


async def test_the_first_sample_has_sizes_and_no_rates(machine: FakeMachine, clock: FakeClock) -> None:
    assert await sampled(SystemSource(clock)) == SystemSample(
        time=1000.0,
        source="system",
        host=socket.gethostname(),
        ram_total_bytes=64,
        ram_used_bytes=24,
        ram_available_bytes=40,
        swap_total_bytes=8,
        swap_used_bytes=2,
        load_average=(1.0, 0.5, 0.25),
        pressure=MemoryPressure(some_percent=1.5),
        io_waiting_percent=2.5,
        ram_bandwidth_bytes_per_second=51.2e9,
    )


async def test_the_second_sample_has_the_cpu_since_the_first(machine: FakeMachine, clock: FakeClock) -> None:
    source = SystemSource(clock)
    await source.poll()
    machine.cores = [10.0, 30.0]
    sample = await sampled(source)
    assert (sample.cpu_percent, sample.cpu_percent_by_core) == (20.0, (10.0, 30.0))


async def test_swapping_is_a_rate_over_the_time_between_polls(machine: FakeMachine, clock: FakeClock) -> None:
    source = SystemSource(clock)
    await source.poll()
    clock.seconds += 4.0
    machine.swap = SimpleNamespace(total=8, used=2, sin=1400, sout=5000)
    sample = await sampled(source)
    assert (sample.swap_in_bytes_per_second, sample.swap_out_bytes_per_second) == (100.0, 0.0)


async def test_a_counter_that_went_back_gives_no_rate(machine: FakeMachine, clock: FakeClock) -> None:
    source = SystemSource(clock)
    await source.poll()
    clock.seconds += 1.0
    machine.swap = SimpleNamespace(total=8, used=2, sin=0, sout=0)
    assert (await sampled(source)).swap_in_bytes_per_second is None


async def test_two_polls_at_one_instant_give_no_rate(machine: FakeMachine, clock: FakeClock) -> None:
    source = SystemSource(clock)
    await source.poll()
    assert (await sampled(source)).swap_in_bytes_per_second is None


def raising(error: Exception) -> Callable[..., object]:
    def read(*args: object, **options: object) -> object:
        raise error

    return read


@pytest.mark.parametrize(
    "error",
    [PermissionError("/proc"), FileNotFoundError("/proc"), ValueError(), RuntimeError(), KeyError("x")],
)
@pytest.mark.parametrize(
    ("function", "fields"),
    [
        ("swap_memory", ["swap_total_bytes", "swap_used_bytes", "swap_in_bytes_per_second"]),
        ("cpu_percent", ["cpu_percent", "cpu_percent_by_core"]),
        ("getloadavg", ["load_average"]),
    ],
)
async def test_what_cannot_be_read_is_unknown(
    machine: FakeMachine,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    fields: list[str],
    error: Exception,
) -> None:
    source = SystemSource(clock)
    await source.poll()
    clock.seconds += 1.0
    monkeypatch.setattr(psutil, function, raising(error))
    sample = await sampled(source)
    assert [getattr(sample, field) for field in fields] == [None] * len(fields)
    assert sample.ram_total_bytes == 64


async def test_after_a_gap_in_cpu_figures_the_next_one_is_not_believed(
    machine: FakeMachine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SystemSource(clock)
    await source.poll()
    with monkeypatch.context() as broken:
        broken.setattr(psutil, "cpu_percent", raising(OSError()))
        await source.poll()
    assert (await sampled(source)).cpu_percent is None
    assert (await sampled(source)).cpu_percent == 0.0


async def test_without_memory_figures_the_source_says_what_is_wrong(
    machine: FakeMachine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SystemSource(clock)
    await source.poll()
    clock.seconds += 5.0
    monkeypatch.setattr(psutil, "virtual_memory", raising(PermissionError("/proc/meminfo")))
    (sample,) = await source.poll()
    assert isinstance(sample, SourceSilent)
    assert (sample.seconds, sample.detail) == (5.0, "psutil cannot read this machine's memory")


async def test_counters_that_the_kernel_hides_are_unknown_not_zero(
    machine: FakeMachine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn() -> SimpleNamespace:
        warnings.warn(
            "'sin' and 'sout' swap memory stats couldn't be determined", RuntimeWarning, stacklevel=2
        )
        return SimpleNamespace(total=8, used=2, sin=0, sout=0)

    monkeypatch.setattr(psutil, "swap_memory", warn)
    source = SystemSource(clock)
    await source.poll()
    clock.seconds += 1.0
    sample = await sampled(source)
    assert (sample.swap_used_bytes, sample.swap_in_bytes_per_second) == (2, None)


async def test_a_warning_of_psutil_is_not_printed_over_the_screen(
    machine: FakeMachine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn() -> SimpleNamespace:
        warnings.warn("memory stats couldn't be determined", RuntimeWarning, stacklevel=2)
        return machine.memory

    monkeypatch.setattr(psutil, "virtual_memory", warn)
    assert (await sampled(SystemSource(clock))).ram_total_bytes == 64


async def test_this_machine_can_be_read(clock: FakeClock) -> None:
    source = SystemSource(clock)
    await source.poll()
    sample = await sampled(source)
    assert 0 < sample.ram_available_bytes <= sample.ram_total_bytes
    await source.close()


def test_the_pace_is_the_users(clock: FakeClock) -> None:
    assert SystemSource(clock).delay(3.0) == 3.0


@pytest.mark.parametrize(
    ("before", "after", "seconds", "expected"),
    [
        (0, 10, 2.0, 5.0),
        (None, 10, 2.0, None),
        (0, None, 2.0, None),
        (0, 10, None, None),
        (0, 10, -1.0, None),
    ],
)
def test_a_rate_needs_two_readings_and_time(
    before: int | None, after: int | None, seconds: float | None, expected: float | None
) -> None:
    assert rate(before, after, seconds) == expected


def test_pressure_is_the_average_over_ten_seconds() -> None:
    assert parse_memory_pressure(SOME + FULL) == MemoryPressure(some_percent=1.53, full_percent=0.5)


def test_pressure_without_a_full_line() -> None:
    assert parse_memory_pressure(SOME) == MemoryPressure(some_percent=1.53)


@pytest.mark.parametrize(
    "text", ["", FULL, "some\n", "some avg10=x\n", "some avg10=nan\n", "some total=5\n", "\0"]
)
def test_pressure_that_is_not_said_is_unknown(text: str) -> None:
    assert parse_memory_pressure(text) is None


@given(st.text())
def test_any_text_as_pressure_does_not_raise(text: str) -> None:
    parse_memory_pressure(text)
    parse_memory_pressure("some avg10=" + text)


def test_a_kernel_without_pressure_has_none(tmp_path: Path) -> None:
    assert read_memory_pressure(tmp_path / "missing") is None


def test_pressure_is_read_from_the_kernels_file(tmp_path: Path) -> None:
    file = tmp_path / "memory"
    file.write_text(SOME + FULL)
    assert read_memory_pressure(file) == MemoryPressure(some_percent=1.53, full_percent=0.5)


def test_waiting_for_storage_is_read_as_pressure_of_memory_is(tmp_path: Path) -> None:
    file = tmp_path / "io"
    assert read_io_waiting_percent(file) is None
    file.write_text("some avg10=12.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=1.00 avg60=0.00\n")
    assert read_io_waiting_percent(file) == 12.5
    file.write_text("nonsense\n")
    assert read_io_waiting_percent(file) is None
