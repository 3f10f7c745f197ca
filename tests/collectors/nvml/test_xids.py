"""Xid errors: what the driver reports of a GPU is in its next reading, and nothing waits for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.collectors.nvml.conftest import ManualClock
from tests.fakes.nvml.driver import FUNCTION_NOT_FOUND, NO_PERMISSION, NOT_SUPPORTED, UNKNOWN, FakeDriver

from gpumon.collectors.nvml.device import SELDOM_SECONDS
from gpumon.collectors.nvml.source import RESTART_AFTER_POLLS, Monitor


@pytest.fixture
def two_gpus(fake_driver: FakeDriver) -> FakeDriver:
    fake_driver.state.gpu_count = 2
    return fake_driver


Xids = Callable[[], list[tuple[int, ...]]]


@pytest.fixture
def xids(monitor: Monitor, clock: ManualClock) -> Xids:
    """Reads once, after the time in which the driver is asked again, and hands out those of each GPU."""

    def read() -> list[tuple[int, ...]]:
        clock.advance(SELDOM_SECONDS)
        return [reading.xids for reading in monitor.read().gpus]

    return read


def test_they_are_in_a_reading_of_their_gpu_and_in_no_other(two_gpus: FakeDriver, xids: Xids) -> None:
    assert xids() == [(), ()]
    for number in (31, 43):
        two_gpus.report_xid(1, number)
    assert xids() == [(), (31, 43)]
    assert xids() == [(), ()]


def test_what_happened_before_is_not_told(two_gpus: FakeDriver, xids: Xids) -> None:
    two_gpus.report_xid(0, 13)
    assert xids() == [(), ()]


def test_a_gpu_that_is_lost_tells_why_at_once(two_gpus: FakeDriver, monitor: Monitor) -> None:
    monitor.read()
    two_gpus.report_xid(1, 79)
    two_gpus.lose(1)
    lost = monitor.read().gpus[1]
    assert (lost.state, lost.xids) == ("lost", (79,))


@pytest.mark.parametrize("function", ["nvmlEventSetCreate", "nvmlDeviceRegisterEvents"])
@pytest.mark.parametrize("code", [NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND, UNKNOWN])
def test_a_driver_that_refuses_is_not_asked_again(
    two_gpus: FakeDriver, xids: Xids, function: str, code: int
) -> None:
    two_gpus.error(function, code)
    xids()
    two_gpus.reset_calls()
    two_gpus.report_xid(0, 31)
    assert xids() == [(), ()]
    assert two_gpus.calls(function) == two_gpus.calls("nvmlEventSetWait_v2") == 0


def test_without_news_it_costs_one_call_in_some_seconds(
    two_gpus: FakeDriver, monitor: Monitor, clock: ManualClock
) -> None:
    monitor.read()
    two_gpus.reset_calls()
    for _ in range(round(SELDOM_SECONDS + 0.5)):
        clock.advance(1.0)
        monitor.read()
    assert two_gpus.calls("nvmlEventSetWait_v2") == 1


def test_a_driver_that_reports_without_end_stops_no_poll(two_gpus: FakeDriver, xids: Xids) -> None:
    xids()
    for _ in range(40):
        two_gpus.report_xid(0, 31)
    assert [len(found) for found in xids()] == [32, 0]
    assert [len(found) for found in xids()] == [8, 0]


def test_a_new_session_asks_anew(
    two_gpus: FakeDriver, monitor: Monitor, clock: ManualClock, xids: Xids
) -> None:
    monitor.read()
    two_gpus.lose(1)
    for _ in range(RESTART_AFTER_POLLS + 1):
        clock.advance(1.0)
        monitor.read()
    assert two_gpus.calls("nvmlEventSetFree") >= 1
    two_gpus.find(1)
    for _ in range(20):
        clock.advance(1.0)
        monitor.read()
    two_gpus.report_xid(1, 94)
    assert xids() == [(), (94,)]


def test_an_ended_session_lets_go_of_them(two_gpus: FakeDriver, monitor: Monitor) -> None:
    monitor.read()
    monitor.close()
    assert two_gpus.calls("nvmlEventSetFree") == 1
