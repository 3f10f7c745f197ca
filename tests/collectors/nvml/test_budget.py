"""How often the driver is asked; nvitop, the yardstick, makes about 14 calls a second for each GPU."""

from __future__ import annotations

import pytest
from tests.collectors.nvml.conftest import ManualClock
from tests.fakes.nvml.driver import GIB, FakeDriver

from gpumon.collectors.nvml.source import Monitor

NVITOP_CALLS_PER_GPU_SECOND = 14.4


def calls_in_a_minute(driver: FakeDriver, monitor: Monitor, clock: ManualClock) -> int:
    """Count the calls of 60 polls a second apart, after the start."""
    monitor.read()
    driver.reset_calls()
    for _ in range(60):
        clock.advance(1.0)
        monitor.read()
    return driver.total_calls()


@pytest.mark.parametrize("gpus", [1, 8])
def test_gpus_with_a_model_and_a_desktop_cost_no_more_calls_than_nvitop_makes(
    fake_driver: FakeDriver, monitor: Monitor, clock: ManualClock, gpus: int
) -> None:
    fake_driver.state.gpu_count = gpus
    for gpu in range(gpus):
        fake_driver.run(gpu, 2**31 - 1, GIB)
        fake_driver.run(gpu, 2**31 - 2, GIB, ["graphics"])
    per_gpu_second = calls_in_a_minute(fake_driver, monitor, clock) / 60 / gpus
    assert per_gpu_second <= NVITOP_CALLS_PER_GPU_SECOND


def test_a_lost_gpu_costs_few_calls(fake_driver: FakeDriver, monitor: Monitor, clock: ManualClock) -> None:
    monitor.read()
    fake_driver.lose(0)
    assert calls_in_a_minute(fake_driver, monitor, clock) <= 60 * 4


def test_nvml_is_started_once(fake_driver: FakeDriver, monitor: Monitor, clock: ManualClock) -> None:
    monitor.read()
    calls_in_a_minute(fake_driver, monitor, clock)
    assert fake_driver.calls("nvmlInitWithFlags") == 0
