"""A driver that refuses one question: that field is unknown, and nothing else changes."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from tests.collectors.nvml.conftest import ManualClock, ReadOne
from tests.fakes.nvml.driver import MIB, NO_PERMISSION, NOT_SUPPORTED, UNKNOWN, FakeDriver

from gpumon.collectors.nvml.source import Monitor
from gpumon.collectors.samples import GpuReading

FIELDS = {
    "nvmlDeviceGetMemoryInfo_v2": {"memory", "facts.integrated"},
    "nvmlDeviceGetUtilizationRates": {"utilization_percent", "memory_utilization_percent"},
    "nvmlDeviceGetTemperature": {"temperature_celsius"},
    "nvmlDeviceGetFanSpeed": {"fan_percent"},
    "nvmlDeviceGetPowerUsage": {"power_watts"},
    "nvmlDeviceGetEnforcedPowerLimit": {"power_limit_watts"},
    "nvmlDeviceGetClockInfo": {"sm_clock_mhz", "memory_clock_mhz"},
    "nvmlDeviceGetPerformanceState": {"performance_state"},
    "nvmlDeviceGetCurrentClocksEventReasons": {"throttle_reasons"},
    "nvmlDeviceGetFieldValues": {"pcie_receive_bytes_per_second", "pcie_transmit_bytes_per_second"},
    "nvmlDeviceGetComputeRunningProcesses_v3": {"processes"},
    "nvmlDeviceGetGraphicsRunningProcesses_v3": set(),
    "nvmlDeviceGetMPSComputeRunningProcesses_v3": set(),
    "nvmlDeviceGetName": {"name"},
    "nvmlDeviceGetPciInfo_v3": {"pci_bus_id"},
    "nvmlDeviceGetBrand": {"facts.brand"},
    "nvmlDeviceGetMemoryBusWidth": {"facts.memory_bus_width_bits"},
    "nvmlDeviceGetMaxClockInfo": {"facts.max_sm_clock_mhz", "facts.max_memory_clock_mhz"},
    "nvmlDeviceGetTemperatureThreshold": {"facts.slowdown_celsius", "facts.shutdown_celsius"},
    "nvmlDeviceGetPowerManagementDefaultLimit": {"facts.power_limit_default_watts"},
    "nvmlDeviceGetPowerManagementLimitConstraints": {"facts.power_limit_max_watts"},
    "nvmlDeviceGetMaxPcieLinkGeneration": {"facts.pcie_generation_max"},
    "nvmlDeviceGetMaxPcieLinkWidth": {"facts.pcie_width_max"},
    "nvmlDeviceGetPersistenceMode": {"facts.persistence_mode"},
    "nvmlDeviceGetCurrPcieLinkGeneration": {"slow.pcie_generation"},
    "nvmlDeviceGetCurrPcieLinkWidth": {"slow.pcie_width"},
    "nvmlDeviceGetEncoderUtilization": {"slow.encoder_percent"},
    "nvmlDeviceGetDecoderUtilization": {"slow.decoder_percent"},
    "nvmlDeviceGetEccMode": {"slow.ecc_enabled"},
    "nvmlDeviceGetTotalEccErrors": {"slow.ecc_corrected", "slow.ecc_uncorrected"},
    "nvmlDeviceGetMigMode": {"slow.mig_mode"},
    "nvmlSystemGetDriverVersion": set(),
    "nvmlEventSetCreate": set(),
    "nvmlDeviceRegisterEvents": set(),
    "nvmlEventSetWait_v2": set(),
}
"""Which fields rest on which function."""

NECESSARY = {
    "nvmlInitWithFlags",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUUID",
}
"""Without these there is no reading at all."""

REFUSALS = set(itertools.product(FIELDS, (NOT_SUPPORTED, NO_PERMISSION, UNKNOWN))) - {
    ("nvmlDeviceGetMemoryInfo_v2", NOT_SUPPORTED)  # means another kind of memory: test_memory.py
}


def flat(reading: GpuReading) -> dict[str, Any]:
    """Give every field by its path, also the unknown ones."""
    fields = msgspec.structs.asdict(reading)
    for part in ("facts", "slow"):
        inner = fields.pop(part)
        assert inner is not None
        fields |= {f"{part}.{name}": value for name, value in msgspec.structs.asdict(inner).items()}
    return fields


def read_full(monitor: Monitor, clock: ManualClock, driver: FakeDriver) -> dict[str, Any]:
    """Read until rates and slow fields are there, and take the facts from the first reading."""
    facts = monitor.read().gpus[0].facts
    for _ in range(6):
        clock.advance(1.0)
        monitor.read()
    clock.advance(1.0)
    driver[0].pcie_receive_bytes += 1_000
    driver[0].pcie_transmit_bytes += 1_000
    return flat(msgspec.structs.replace(monitor.read().gpus[0], facts=facts))


@pytest.fixture
def rich_gpu(fake_driver: FakeDriver) -> FakeDriver:
    """A GPU that leaves no field unknown."""
    fake_driver[0].ecc_supported = fake_driver[0].mig_supported = 1
    fake_driver.run(0, 2**31 - 1, 100 * MIB)
    return fake_driver


def test_a_healthy_gpu_leaves_no_field_unknown(
    rich_gpu: FakeDriver, monitor: Monitor, clock: ManualClock
) -> None:
    unknown = {name for name, value in read_full(monitor, clock, rich_gpu).items() if value is None}
    assert unknown == {"detail"}


def test_the_table_names_every_function_that_is_called(
    rich_gpu: FakeDriver, monitor: Monitor, clock: ManualClock
) -> None:
    read_full(monitor, clock, rich_gpu)
    assert rich_gpu.call_counts().keys() == FIELDS.keys() | NECESSARY


@pytest.mark.parametrize(("function", "code"), sorted(REFUSALS))
def test_a_refused_question_leaves_only_its_own_fields_unknown(
    rich_gpu: FakeDriver, monitor: Monitor, clock: ManualClock, function: str, code: int
) -> None:
    expected = read_full(monitor, clock, rich_gpu) | dict.fromkeys(FIELDS[function])
    monitor.close()
    rich_gpu.error(function, code)
    assert read_full(monitor, clock, rich_gpu) == expected


@pytest.mark.parametrize("function", sorted(FIELDS.keys() | NECESSARY))
def test_no_error_of_any_call_is_raised(
    rich_gpu: FakeDriver, monitor: Monitor, clock: ManualClock, function: str
) -> None:
    for code in (*range(1, 31), 999, 12345):
        rich_gpu.error(function, code)
        for _ in range(2):
            clock.advance(10.0)
            assert monitor.read().source == "nvml", code


def test_a_gpu_that_answers_nothing_is_failing_in_the_drivers_words(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    for function in FIELDS:
        fake_driver.error(function, UNKNOWN)
    reading = read_one()
    assert (reading.state, reading.detail) == ("failing", "Unknown Error")
    assert reading.memory is None


def test_a_gpu_that_recovers_is_ok_and_brings_its_facts(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    for function in FIELDS:
        fake_driver.error(function, UNKNOWN)
    read_one()
    for function in FIELDS:
        fake_driver.error(function, 0)
    reading = read_one()
    assert reading.state == "ok"
    assert reading.facts is not None
