"""What a healthy GPU's reading holds."""

from __future__ import annotations

import pytest
from tests.collectors.nvml.conftest import ManualClock, ReadOne
from tests.fakes.nvml.driver import FUNCTION_NOT_FOUND, NOT_SUPPORTED, FakeDriver

from gpumon.collectors.nvml.source import Monitor
from gpumon.collectors.samples import GpuFacts, GpuSlow


def test_a_gpu_is_named_by_the_driver(read_one: ReadOne) -> None:
    reading = read_one()
    assert reading.uuid == "GPU-00000000-1111-2222-3333-444444444444"
    assert (reading.index, reading.name) == (0, "NVIDIA GeForce RTX 4090")
    assert reading.pci_bus_id == "00000000:01:00.0"
    assert (reading.state, reading.detail) == ("ok", None)


def test_the_sample_carries_time_source_health_and_driver_version(
    monitor: Monitor, clock: ManualClock
) -> None:
    sample = monitor.read()
    assert (sample.time, sample.source) == (clock.now(), "nvml")
    assert sample.health.state == "serving"
    assert sample.driver_version == "580.95.05"


def test_milliwatts_become_watts(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver[0].power_milliwatts = 310_500
    reading = read_one()
    assert reading.power_watts == 310.5
    assert reading.power_limit_watts == 450.0


def test_fast_values_are_the_drivers(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    gpu = fake_driver[0]
    gpu.utilization_percent, gpu.memory_utilization_percent = 87, 43
    gpu.temperature_celsius, gpu.fan_percent, gpu.performance_state = 71, 55, 0
    reading = read_one()
    assert (reading.utilization_percent, reading.memory_utilization_percent) == (87, 43)
    assert (reading.temperature_celsius, reading.fan_percent) == (71, 55)
    assert (reading.sm_clock_mhz, reading.memory_clock_mhz) == (2520, 10501)
    assert reading.performance_state == 0


def test_values_are_read_anew_each_time(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver[0].temperature_celsius = 50
    assert read_one().temperature_celsius == 50
    fake_driver[0].temperature_celsius = 51
    assert read_one().temperature_celsius == 51


def test_facts_come_with_the_first_reading_only(read_one: ReadOne) -> None:
    assert read_one().facts == GpuFacts(
        brand="GeForce",
        memory_bus_width_bits=384,
        max_sm_clock_mhz=3105,
        max_memory_clock_mhz=10501,
        slowdown_celsius=95,
        shutdown_celsius=100,
        power_limit_default_watts=450.0,
        power_limit_max_watts=600.0,
        pcie_generation_max=4,
        pcie_width_max=16,
        persistence_mode=True,
        integrated=False,
    )
    assert read_one().facts is None


def test_slow_fields_come_every_seventh_second(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    readings = [read_one() for _ in range(21)]
    assert [index for index, reading in enumerate(readings) if reading.slow] == [0, 7, 14]


def test_a_fan_is_asked_every_fifth_second_and_its_speed_stands_in_between(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    speeds = []
    for second in range(11):
        fake_driver[0].fan_percent = second
        speeds.append(read_one().fan_percent)
    assert speeds == [*[0] * 5, *[5] * 5, 10]


def test_slow_fields_are_the_drivers(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.datacenter(0)
    gpu = fake_driver[0]
    gpu.encoder_percent, gpu.decoder_percent, gpu.pcie_width = 12, 34, 8
    gpu.ecc_corrected, gpu.ecc_uncorrected = 5, 1
    assert read_one().slow == GpuSlow(
        pcie_generation=4,
        pcie_width=8,
        encoder_percent=12,
        decoder_percent=34,
        ecc_enabled=True,
        ecc_corrected=5,
        ecc_uncorrected=1,
        mig_mode=False,
    )


def test_a_changed_power_limit_shows_with_the_slow_fields(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    read_one()
    fake_driver[0].power_limit_milliwatts = 300_000
    assert [read_one().power_limit_watts for _ in range(5)] == [450.0] * 4 + [300.0]


def test_a_gpu_without_a_fan_has_no_fan_speed(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.error("nvmlDeviceGetFanSpeed", NOT_SUPPORTED)
    assert read_one().fan_percent is None


def test_an_unsupported_field_is_asked_again_only_with_the_slow_fields(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    fake_driver.error("nvmlDeviceGetFanSpeed", NOT_SUPPORTED)
    for _ in range(11):
        read_one()
    assert fake_driver.calls("nvmlDeviceGetFanSpeed") == 3


def test_mig_leaves_utilization_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.datacenter(0)
    fake_driver[0].mig_mode = 1
    reading = read_one()
    assert (reading.utilization_percent, reading.memory_utilization_percent) == (None, None)
    assert reading.slow is not None
    assert reading.slow.mig_mode is True
    assert reading.memory is not None


def test_mig_without_processes_leaves_them_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.datacenter(0)
    fake_driver[0].mig_mode = 1
    assert [read_one().processes for _ in range(8)] == [None] * 8


def test_mig_keeps_the_processes_that_a_privileged_user_is_told(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    fake_driver.datacenter(0)
    fake_driver[0].mig_mode = 1
    fake_driver.run(0, pid=4711, vram_bytes=1)
    assert [process.pid for process in read_one().processes or ()] == [4711]


def test_mig_turned_off_lets_an_empty_list_mean_no_process(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    fake_driver.datacenter(0)
    fake_driver[0].mig_mode = 1
    read_one()
    fake_driver[0].mig_mode = 0
    assert [read_one().processes for _ in range(8)][-1] == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature_celsius", 2**32 - 1),
        ("power_milliwatts", 2**32 - 1),
        ("power_limit_milliwatts", 2**32 - 1),
        ("sm_clock_mhz", 2**32 - 1),
        ("memory_clock_mhz", 2**32 - 1),
        ("fan_percent", 2**32 - 1),
        ("throttle_reasons", 2**64 - 1),
    ],
)
def test_a_value_of_all_ones_is_unknown(
    field: str, value: int, fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    setattr(fake_driver[0], field, value)
    name = field.replace("power_milliwatts", "power_watts").replace("_milliwatts", "_watts")
    reading = read_one()
    assert (reading.state, getattr(reading, name)) == ("ok", None)


def test_facts_of_all_ones_are_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver.datacenter(0)
    gpu = fake_driver[0]
    gpu.power_limit_max_milliwatts = gpu.memory_bus_width_bits = gpu.slowdown_celsius = 2**32 - 1
    gpu.persistence_mode = gpu.ecc_enabled = gpu.mig_mode = gpu.pcie_width = 2**32 - 1
    reading = read_one()
    assert reading.facts is not None
    assert reading.slow is not None
    facts, slow = reading.facts, reading.slow
    assert (facts.power_limit_max_watts, facts.memory_bus_width_bits, facts.slowdown_celsius) == (None,) * 3
    assert (facts.persistence_mode, slow.ecc_enabled, slow.mig_mode, slow.pcie_width) == (None,) * 4


def test_an_impossible_utilization_is_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver[0].utilization_percent = 4_294_967_295
    assert read_one().utilization_percent is None


def test_an_unknown_performance_state_is_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver[0].performance_state = 32
    assert read_one().performance_state is None


def test_a_name_that_is_not_utf8_is_unknown(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver[0].name = b"\xff\xfe"
    assert read_one().name is None


def test_throttle_reasons_are_words(fake_driver: FakeDriver, read_one: ReadOne) -> None:
    fake_driver[0].throttle_reasons = 0x4 | 0x20
    assert read_one().throttle_reasons == ("power cap", "thermal slowdown (software)")


def test_an_older_driver_is_asked_for_throttle_reasons_by_their_older_name(
    fake_driver: FakeDriver, read_one: ReadOne
) -> None:
    fake_driver.error("nvmlDeviceGetCurrentClocksEventReasons", FUNCTION_NOT_FOUND)
    fake_driver[0].throttle_reasons = 0x8
    assert read_one().throttle_reasons == ("hardware slowdown",)
    assert fake_driver.calls("nvmlDeviceGetCurrentClocksThrottleReasons") == 1


def test_every_gpu_is_read(fake_driver: FakeDriver, monitor: Monitor) -> None:
    fake_driver.state.gpu_count = 16
    assert [gpu.index for gpu in monitor.read().gpus] == list(range(16))
