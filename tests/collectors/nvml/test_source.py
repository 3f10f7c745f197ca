"""The source: a thread of its own, the pause between polls, and an end even while the driver hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.collectors.nvml.conftest import ManualClock
from tests.fakes.nvml.driver import DRIVER_NOT_LOADED, FakeDriver

from gpumon.collectors.nvml.source import NvmlSource
from gpumon.collectors.samples import NvmlSample


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    while not condition():  # noqa: ASYNC110 - nothing in this process is told
        await asyncio.sleep(0.001)


@pytest.fixture
async def source(
    fake_driver: FakeDriver, clock: ManualClock, sysfs: Path, procfs: Path
) -> AsyncIterator[NvmlSource]:
    source = NvmlSource(clock, sysfs=sysfs, procfs=procfs)
    yield source
    fake_driver.release()
    source._worker.close()


async def one(source: NvmlSource) -> NvmlSample:
    (sample,) = await source.poll()
    return sample


async def test_a_poll_is_one_sample(source: NvmlSource) -> None:
    assert (await one(source)).source == source.name == "nvml"


async def test_the_interval_is_the_users(source: NvmlSource) -> None:
    await source.poll()
    assert [source.delay(interval) for interval in (0.25, 1.0, 60.0)] == [0.25, 1.0, 60.0]


async def test_polls_without_a_driver_become_rare(source: NvmlSource, fake_driver: FakeDriver) -> None:
    fake_driver.error("nvmlInitWithFlags", DRIVER_NOT_LOADED)
    pauses = []
    for _ in range(7):
        await source.poll()
        pauses.append(source.delay(0.5))
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


async def test_polls_are_frequent_again_once_there_is_a_driver(
    source: NvmlSource, fake_driver: FakeDriver
) -> None:
    fake_driver.unload()
    for _ in range(3):
        await source.poll()
    fake_driver.load()
    await source.poll()
    assert source.delay(0.5) == 0.5


async def test_a_sleeping_gpu_is_looked_at_every_five_seconds(
    source: NvmlSource, add_pci_gpu: Callable[..., Path]
) -> None:
    add_pci_gpu("0000:01:00.0", "suspended")
    await source.poll()
    assert source.delay(1.0) == 5.0


async def test_a_hang_does_not_hold_up_the_event_loop(source: NvmlSource, fake_driver: FakeDriver) -> None:
    fake_driver.hang("nvmlDeviceGetTemperature")
    poll = asyncio.create_task(one(source))
    await until(lambda: fake_driver.blocked_threads == 1)
    assert not poll.done()
    fake_driver.release()
    assert (await poll).gpus[0].state == "ok"


async def test_closing_shuts_nvml_down(source: NvmlSource, fake_driver: FakeDriver) -> None:
    await source.poll()
    await source.close()
    assert fake_driver.calls("nvmlShutdown") == 1


async def test_closing_without_a_poll_does_not_start_nvml(
    source: NvmlSource, fake_driver: FakeDriver
) -> None:
    await source.close()
    assert fake_driver.total_calls() == 0


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetPowerUsage"])
async def test_closing_works_while_the_driver_hangs(
    source: NvmlSource, fake_driver: FakeDriver, function: str
) -> None:
    fake_driver.hang(function)
    poll = asyncio.create_task(one(source))
    await until(lambda: fake_driver.blocked_threads == 1)
    await source.close()
    assert fake_driver.blocked_threads == 1
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
