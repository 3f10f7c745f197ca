"""The fake driver itself: what other tests rest on."""

from __future__ import annotations

import os
import subprocess
import sys

import pynvml
import pytest
from tests.fakes.nvml import build
from tests.fakes.nvml.__main__ import main
from tests.fakes.nvml.driver import GPU_IS_LOST, MIB, NOT_SUPPORTED, FakeDriver


def test_it_is_built_once() -> None:
    assert build.library() == build.library()


def test_another_process_sees_changes_as_they_are_made(fake_driver: FakeDriver) -> None:
    code = (
        "import pynvml, sys; pynvml.nvmlInit(); gpu = pynvml.nvmlDeviceGetHandleByIndex(0)\n"
        "for line in sys.stdin: print(pynvml.nvmlDeviceGetTemperature(gpu, 0), flush=True)"
    )
    environment = os.environ | fake_driver.environment()
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=pipe, stdout=pipe, text=True
    ) as reader:
        assert reader.stdin
        assert reader.stdout
        for celsius in (40, 90):
            fake_driver[0].temperature_celsius = celsius
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == f"{celsius}\n"
        reader.stdin.close()


def test_every_function_of_the_header_is_there_and_counted(fake_driver: FakeDriver) -> None:
    pynvml.nvmlInit()
    gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetNvLinkState(gpu, 0)
    assert fake_driver.calls("nvmlDeviceGetNvLinkState") == 1
    pynvml.nvmlShutdown()


def test_a_process_that_names_no_state_finds_no_driver(
    fake_driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAKE_NVML_STATE")
    with pytest.raises(pynvml.NVMLError_DriverNotLoaded):
        pynvml.nvmlInit()


def test_handles_of_before_a_reload_are_void(fake_driver: FakeDriver) -> None:
    pynvml.nvmlInit()
    old = pynvml.nvmlDeviceGetHandleByIndex(0)
    fake_driver.load()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()
    pynvml.nvmlInit()
    with pytest.raises(pynvml.NVMLError_InvalidArgument):
        pynvml.nvmlDeviceGetName(old)
    pynvml.nvmlShutdown()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], 0),
        (["--lost", "0"], GPU_IS_LOST),
        (["--unified"], NOT_SUPPORTED),
    ],
)
def test_a_command_runs_against_it(options: list[str], expected: int) -> None:
    code = (
        "import pynvml, sys; pynvml.nvmlInit()\n"
        "try: pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0))\n"
        "except pynvml.NVMLError as error: sys.exit(error.value)"
    )
    assert main([*options, "--gpus", "2", "--", sys.executable, "-c", code]) == expected


def test_initial_values_come_from_the_command_line() -> None:
    code = (
        "import pynvml, sys; pynvml.nvmlInit(); gpu = pynvml.nvmlDeviceGetHandleByIndex(0)\n"
        "(row,) = pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)\n"
        "sys.exit(row.usedGpuMemory // 2**20 + pynvml.nvmlDeviceGetTemperature(gpu, 0))"
    )
    options = ["--process", "0", "4242", "100", "--set", "0", "temperature_celsius", "66"]
    assert main([*options, "--", sys.executable, "-c", code]) == 166


def test_a_process_that_ends_gives_its_memory_back(fake_driver: FakeDriver) -> None:
    fake_driver.run(0, 11, 300 * MIB)
    fake_driver.run(0, 12, 200 * MIB)
    fake_driver.end(0, 11)
    assert fake_driver[0].used_bytes == 200 * MIB
    assert [fake_driver[0].processes[0].pid, fake_driver[0].process_count] == [12, 1]


def test_values_wander_while_a_command_runs_live() -> None:
    code = (
        "import pynvml, sys; pynvml.nvmlInit(); gpu = pynvml.nvmlDeviceGetHandleByIndex(0)\n"
        "before = pynvml.nvmlDeviceGetPowerUsage(gpu)\n"
        "while pynvml.nvmlDeviceGetPowerUsage(gpu) == before: pass"
    )
    assert main(["--live", "--", sys.executable, "-c", code]) == 0
