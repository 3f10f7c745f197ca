"""A monitor of the fake driver on a machine whose /sys and /proc are folders of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fakes.nvml.driver import FakeDriver

from gpumon.collectors.nvml.driver import load_pynvml
from gpumon.collectors.nvml.source import Monitor
from gpumon.collectors.samples import GpuReading


class ManualClock:
    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def now(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    return tmp_path / "sys"


@pytest.fixture
def procfs(tmp_path: Path) -> Path:
    return tmp_path / "proc"


@pytest.fixture
def monitor(fake_driver: FakeDriver, clock: ManualClock, sysfs: Path, procfs: Path) -> Iterator[Monitor]:
    monitor = Monitor(clock, load_pynvml, sysfs, procfs)
    yield monitor
    monitor.close()


ReadOne = Callable[[], GpuReading]


@pytest.fixture
def read_one(monitor: Monitor, clock: ManualClock) -> ReadOne:
    """Reads once, a second after the last time, and hands out the first GPU."""

    def read() -> GpuReading:
        clock.advance(1.0)
        return monitor.read().gpus[0]

    return read


@pytest.fixture
def add_pci_gpu(sysfs: Path, procfs: Path) -> Callable[..., Path]:
    """Adds an NVIDIA GPU to the test's /sys; returns the file with its runtime status."""

    def add(address: str, status: str, *, can_sleep: bool = False, vendor: str = "0x10de") -> Path:
        device = sysfs / "bus/pci/devices" / address
        (device / "power").mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text("0x030000\n")
        (device / "power/runtime_status").write_text(f"{status}\n")
        power = procfs / "driver/nvidia/gpus" / address / "power"
        power.parent.mkdir(parents=True)
        words = "Enabled (fine-grained)" if can_sleep else "Not supported"
        power.write_text(f"Runtime D3 status:          {words}\nVideo Memory:               Active\n")
        return device / "power/runtime_status"

    return add
