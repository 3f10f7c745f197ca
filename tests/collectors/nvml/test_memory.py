"""Device memory over the driver's two calls, and on GPUs that have none of their own."""

from __future__ import annotations

import psutil
import pytest
from tests.collectors.nvml.conftest import ReadOne
from tests.fakes.nvml.driver import (
    ARGUMENT_VERSION_MISMATCH,
    GIB,
    MIB,
    NOT_SUPPORTED,
    UNKNOWN,
    FakeDriver,
)

from gpumon.collectors.samples import GpuMemory

V2 = "nvmlDeviceGetMemoryInfo_v2"
ALL_ONES = 2**64 - 1


@pytest.fixture
def gpu_with_8_gib_used(fake_driver: FakeDriver) -> FakeDriver:
    gpu = fake_driver[0]
    gpu.total_bytes, gpu.used_bytes, gpu.reserved_bytes = 24 * GIB, 8 * GIB, 512 * MIB
    return fake_driver


def test_the_reserve_is_a_part_of_its_own(gpu_with_8_gib_used: FakeDriver, read_one: ReadOne) -> None:
    assert read_one().memory == GpuMemory(
        total_bytes=24 * GIB,
        used_bytes=8 * GIB,
        free_bytes=16 * GIB - 512 * MIB,
        reserved_bytes=512 * MIB,
    )


def test_without_the_newer_call_the_reserve_is_unknown(
    gpu_with_8_gib_used: FakeDriver, read_one: ReadOne
) -> None:
    gpu_with_8_gib_used.without_memory_v2()
    memory = read_one().memory
    assert memory is not None
    assert memory.reserved_bytes is None
    assert memory.used_bytes == 8 * GIB + 512 * MIB


def test_a_driver_that_wants_another_version_of_the_newer_call_is_asked_the_older_one(
    gpu_with_8_gib_used: FakeDriver, read_one: ReadOne
) -> None:
    gpu_with_8_gib_used.error(V2, ARGUMENT_VERSION_MISMATCH)
    memory = read_one().memory
    assert memory is not None
    assert memory.used_bytes == 8 * GIB + 512 * MIB


def test_not_supported_means_unified_memory(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.unified(0)
    reading = read_one()
    assert reading.memory is not None
    assert reading.memory.unified
    assert reading.memory.total_bytes == psutil.virtual_memory().total
    assert reading.memory.reserved_bytes is None
    assert reading.facts is not None
    assert reading.facts.integrated is True


@pytest.mark.parametrize("name", ["NVIDIA GB10", "NVIDIA Thor", "Orin (nvgpu)"])
def test_a_total_of_nothing_means_unified_memory_on_an_integrated_gpu(
    name: str, fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    fake_driver[0].name = name.encode()
    fake_driver[0].total_bytes = fake_driver[0].reserved_bytes = 0
    memory = read_one().memory
    assert memory is not None
    assert memory.unified


def test_a_total_of_nothing_says_nothing_of_a_card(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver[0].total_bytes = fake_driver[0].reserved_bytes = 0
    reading = read_one()
    assert reading.memory is None
    assert reading.facts is not None
    assert reading.facts.integrated is None


def test_more_used_than_there_is_is_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    gpu = fake_driver[0]
    gpu.total_bytes, gpu.used_bytes = 24 * GIB, 24 * GIB + 1
    assert read_one().memory == GpuMemory(total_bytes=24 * GIB, reserved_bytes=gpu.reserved_bytes)


def test_all_of_it_used_is_known(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    gpu = fake_driver[0]
    gpu.total_bytes, gpu.reserved_bytes, gpu.used_bytes = 24 * GIB, 0, 24 * GIB
    assert read_one().memory == GpuMemory(
        total_bytes=24 * GIB, used_bytes=24 * GIB, free_bytes=0, reserved_bytes=0
    )


@pytest.mark.parametrize("older", [False, True])
def test_a_total_of_all_ones_is_unknown(older: bool, fake_driver: FakeDriver, read_one: ReadOne) -> None:
    if older:
        fake_driver.without_memory_v2()
    fake_driver[0].total_bytes = ALL_ONES
    assert read_one().memory is None


@pytest.mark.parametrize("older", [False, True])
def test_used_memory_of_all_ones_is_unknown(older: bool, fake_driver: FakeDriver, read_one: ReadOne) -> None:
    if older:
        fake_driver.without_memory_v2()
    fake_driver[0].used_bytes, fake_driver[0].reserved_bytes = ALL_ONES, 0
    memory = read_one().memory
    assert memory is not None
    assert (memory.total_bytes, memory.used_bytes) == (24564 * MIB, None)


def test_a_reserve_of_all_ones_is_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver[0].reserved_bytes = ALL_ONES
    memory = read_one().memory
    assert memory is not None
    assert (memory.used_bytes, memory.reserved_bytes) == (0, None)


def test_unified_memory_stays_so_in_the_readings_that_do_not_ask_again(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    fake_driver.unified(0)
    assert all((memory := read_one().memory) and memory.unified for _ in range(7))


def test_any_other_refusal_leaves_memory_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.error(V2, UNKNOWN)
    assert read_one().memory is None


def test_an_older_library_that_refuses_for_another_reason_leaves_memory_unknown(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    fake_driver.error(V2, NOT_SUPPORTED)
    fake_driver.error("nvmlDeviceGetMemoryInfo", UNKNOWN)
    assert read_one().memory is None
