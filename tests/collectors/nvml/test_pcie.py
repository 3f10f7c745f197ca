"""PCIe traffic: rates from counters, never from the call that blocks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from tests.collectors.nvml.conftest import ManualClock, ReadOne
from tests.fakes.nvml.driver import FakeDriver

from gpumon.collectors.nvml.device import Counters, pcie_rates, read_counters
from gpumon.collectors.nvml.driver import Query


def test_rates_need_two_readings(read_one: ReadOne) -> None:
    reading = read_one()
    assert reading.pcie_transmit_bytes_per_second is None
    assert reading.pcie_receive_bytes_per_second is None


def test_rates_are_bytes_over_the_time_between_readings(
    fake_driver: FakeDriver, read_one: ReadOne, clock: ManualClock
) -> None:
    read_one()
    fake_driver[0].pcie_transmit_bytes += 6_000
    fake_driver[0].pcie_receive_bytes += 9_000
    clock.advance(2.0)
    reading = read_one()
    assert reading.pcie_transmit_bytes_per_second == pytest.approx(2_000)
    assert reading.pcie_receive_bytes_per_second == pytest.approx(3_000)


def test_the_blocking_call_is_never_made(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    for _ in range(6):
        read_one()
    assert fake_driver.calls("nvmlDeviceGetPcieThroughput") == 0


def test_no_counters_no_rates(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver[0].pcie_counters_supported = 0
    read_one()
    assert read_one().pcie_receive_bytes_per_second is None


def test_a_counter_that_went_back_gives_no_rate_once(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver[0].pcie_receive_bytes = 2**63
    read_one()
    fake_driver[0].pcie_receive_bytes = 5
    assert read_one().pcie_receive_bytes_per_second is None
    fake_driver[0].pcie_receive_bytes = 105
    assert read_one().pcie_receive_bytes_per_second == pytest.approx(100)


def test_no_rate_spans_the_time_in_which_a_gpu_was_lost(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    read_one()
    fake_driver.lose(0)
    read_one()
    fake_driver.find(0)
    fake_driver[0].pcie_receive_bytes += 1_000
    assert read_one().pcie_receive_bytes_per_second is None


def test_no_time_no_rate() -> None:
    now = Counters(5.0, 100, 100)
    assert pcie_rates(now, now) == (None, None)


def test_a_counter_of_32_bits_is_not_used() -> None:
    field = SimpleNamespace(nvmlReturn=0, valueType=1, value=SimpleNamespace(ullVal=7))
    nvml = SimpleNamespace(NVMLError=RuntimeError, nvmlDeviceGetFieldValues=lambda *_: [field, field])
    assert read_counters(Query(nvml, handle=None), 1.0) == Counters(1.0, None, None)
