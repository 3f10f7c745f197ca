"""The faults and kinds of driver in the matrix: how each begins and ends, and what is then true."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pynvml
from tests.fakes.nvml import build
from tests.fakes.nvml.driver import NOT_AVAILABLE, UNKNOWN, FakeDriver

from gpumon.app.snapshot.schema import GpuEntry, Snapshot

Change = Callable[[FakeDriver], None]
Holds = Callable[[Snapshot], bool]

HANGING = ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetPowerUsage")
FIELDS: dict[str, Callable[[GpuEntry], object]] = {
    "nvmlDeviceGetMemoryInfo_v2": lambda gpu: gpu.vram_used_bytes,
    "nvmlDeviceGetUtilizationRates": lambda gpu: gpu.utilization_percent,
    "nvmlDeviceGetTemperature": lambda gpu: gpu.temperature_celsius,
    "nvmlDeviceGetPowerUsage": lambda gpu: gpu.power_watts,
    "nvmlDeviceGetCurrentClocksEventReasons": lambda gpu: gpu.throttle_reasons,
    "nvmlDeviceGetComputeRunningProcesses_v3": lambda gpu: gpu.processes,
}
"""What is not known while a function fails."""


def nothing(_driver: FakeDriver) -> None:
    """Leave the driver as it is."""


@dataclass(frozen=True)
class DriverFault:
    """One row of the matrix."""

    begin: Change
    end: Change
    shown: Holds
    """Whether the snapshot tells the truth while it lasts."""
    words: tuple[str, ...] = ()
    """What the screen says of it."""
    lasting: bool = False
    """There from before the start to the end of the row, as a kind of hardware is."""
    source_live: bool = True
    """Whether the driver still answers polls."""
    well: bool = False
    """Whether all there is to read is read."""


def gpu_is(state: str, index: int = 0) -> Holds:
    """Tell whether one GPU is so and the other is well."""

    def holds(snapshot: Snapshot) -> bool:
        states = {gpu.index: gpu.state for gpu in snapshot.gpus}
        return states == {index: state, 1 - index: "ok"}

    return holds


def source_is(state: str) -> Holds:
    """Tell whether the driver is so and no GPU is said to be well."""

    def holds(snapshot: Snapshot) -> bool:
        driver = next((one for one in snapshot.sources if one.name == "nvml"), None)
        stale = state == "hanging" or all(gpu.state == "lost" for gpu in snapshot.gpus)
        return driver is not None and driver.state == state and stale

    return holds


def every_gpu(check: Callable[[GpuEntry], bool]) -> Holds:
    """Tell whether it is true of both GPUs."""
    return lambda snapshot: len(snapshot.gpus) == 2 and all(map(check, snapshot.gpus))


def well(snapshot: Snapshot) -> bool:
    """Tell whether both GPUs are read."""
    driver = next((one for one in snapshot.sources if one.name == "nvml"), None)
    read = every_gpu(lambda gpu: gpu.state == "ok" and gpu.utilization_percent is not None)
    return driver is not None and driver.state == "serving" and read(snapshot)


class _Turns:
    """Lets one function after another fail, a new one in each cell."""

    def __init__(self, functions: tuple[str, ...]) -> None:
        self._next: Iterator[str] = itertools.cycle(functions)
        self.function = functions[0]

    def fail(self, driver: FakeDriver) -> None:
        self.function = next(self._next)
        driver.error(self.function, UNKNOWN)

    def hang(self, driver: FakeDriver) -> None:
        self.function = next(self._next)
        driver.hang(self.function)

    def behave(self, driver: FakeDriver) -> None:
        driver.error(self.function, 0)

    def unknown(self, gpu: GpuEntry) -> bool:
        return gpu.state == "ok" and FIELDS[self.function](gpu) is None


def _same_version(driver: FakeDriver) -> None:
    driver.upgrade(build.LIBRARY_VERSION)


def _set(driver: FakeDriver, **values: int) -> None:
    for index in range(len(driver)):
        for name, value in values.items():
            setattr(driver[index], name, value)


def _unlist(driver: FakeDriver) -> None:
    driver.state.gpu_count = 1


def _list(driver: FakeDriver) -> None:
    driver.state.gpu_count = 2


def _wddm(driver: FakeDriver) -> None:
    for index in range(len(driver)):
        for row in range(driver[index].process_count):
            driver[index].processes[row].vram_bytes = NOT_AVAILABLE


def _unify(driver: FakeDriver) -> None:
    for index in range(len(driver)):
        driver.unified(index)


def _no_library(_driver: FakeDriver) -> None:
    def missing(_name: str) -> None:
        raise OSError

    pynvml.CDLL = missing


_HANGS, _FAILS = _Turns(HANGING), _Turns(tuple(FIELDS))

DRIVER_FAULTS: dict[str, DriverFault] = {
    "well": DriverFault(nothing, nothing, well, lasting=True, well=True),
    "absent": DriverFault(
        _no_library, nothing, source_is("absent"), ("libnvidia-ml.so.1 not found",), lasting=True
    ),
    "version mismatch": DriverFault(
        lambda driver: driver.upgrade("999.1"),
        _same_version,
        source_is("failing"),
        ("driver and library versions differ",),
    ),
    "hang of one call": DriverFault(
        _HANGS.hang,
        FakeDriver.release,
        source_is("hanging"),
        ("GPU driver", "not answering"),
        source_live=False,
    ),
    "error of each call in turn": DriverFault(_FAILS.fail, _FAILS.behave, every_gpu(_FAILS.unknown)),
    "GPU lost and back": DriverFault(
        lambda driver: driver.lose(0), lambda driver: driver.find(0), gpu_is("lost"), ("GPU 0 is lost",)
    ),
    "driver unloaded and reloaded": DriverFault(
        FakeDriver.unload, FakeDriver.load, source_is("failing"), ("the nvidia kernel module is not loaded",)
    ),
    "GPU count changes": DriverFault(_unlist, _list, gpu_is("lost", 1), ("GPU 1 is lost",)),
    "MIG on": DriverFault(
        lambda driver: _set(driver, mig_supported=1, mig_mode=1),
        lambda driver: _set(driver, mig_mode=0),
        every_gpu(
            lambda gpu: gpu.state == "ok" and gpu.utilization_percent is None and bool(gpu.vram_used_bytes)
        ),
    ),
    "unified memory": DriverFault(
        _unify, nothing, every_gpu(lambda gpu: gpu.unified is True), ("unified",), lasting=True
    ),
    "WDDM": DriverFault(
        _wddm,
        nothing,
        every_gpu(lambda gpu: bool(gpu.processes) and all(p.vram_bytes is None for p in gpu.processes or ())),
        lasting=True,
    ),
}
