"""A sleeping GPU is never woken, and one that could sleep is let to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.collectors.nvml.conftest import ManualClock
from tests.fakes.nvml.driver import GIB, FakeDriver

from gpumon.collectors.nvml.pci import PciPower, pci_address
from gpumon.collectors.nvml.source import Monitor
from gpumon.collectors.samples import NvmlSample

AddPciGpu = Callable[..., Path]


def poll_for(monitor: Monitor, clock: ManualClock, seconds: int) -> list[NvmlSample]:
    samples = []
    for _ in range(seconds):
        clock.advance(1.0)
        samples.append(monitor.read())
    return samples


def test_nvml_is_not_started_while_every_gpu_sleeps(
    fake_driver: FakeDriver, monitor: Monitor, add_pci_gpu: AddPciGpu
) -> None:
    add_pci_gpu("0000:01:00.0", "suspended")
    sample = monitor.read()
    assert sample.health.state == "asleep"
    assert fake_driver.total_calls() == 0


def test_a_gpu_that_wakes_is_read(fake_driver: FakeDriver, monitor: Monitor, add_pci_gpu: AddPciGpu) -> None:
    status = add_pci_gpu("0000:01:00.0", "suspended")
    monitor.read()
    status.write_text("active\n")
    assert [gpu.state for gpu in monitor.read().gpus] == ["ok"]


def test_a_known_gpu_that_falls_asleep_stays_as_asleep_and_is_not_asked(
    fake_driver: FakeDriver, monitor: Monitor, add_pci_gpu: AddPciGpu
) -> None:
    fake_driver.state.gpu_count = 2
    add_pci_gpu("0000:01:00.0", "active")
    status = add_pci_gpu("0000:02:00.0", "active")
    monitor.read()
    status.write_text("suspended\n")
    before = fake_driver.calls("nvmlDeviceGetTemperature")
    sample = monitor.read()
    assert [gpu.state for gpu in sample.gpus] == ["ok", "asleep"]
    assert sample.gpus[1].memory is None
    assert fake_driver.calls("nvmlDeviceGetTemperature") == before + 1


def test_known_gpus_that_all_sleep_stay_as_asleep(
    fake_driver: FakeDriver, monitor: Monitor, add_pci_gpu: AddPciGpu
) -> None:
    status = add_pci_gpu("0000:01:00.0", "active")
    monitor.read()
    status.write_text("suspended\n")
    assert [gpu.state for gpu in monitor.read().gpus] == ["asleep"]


def test_other_makers_and_other_devices_do_not_count(
    sysfs: Path, procfs: Path, add_pci_gpu: AddPciGpu
) -> None:
    add_pci_gpu("0000:03:00.0", "suspended", vendor="0x1002")
    (add_pci_gpu("0000:01:00.1", "suspended").parent.parent / "class").write_text("0x040300\n")
    power = PciPower(sysfs, procfs)
    power.scan()
    assert power.addresses() == frozenset()


def test_a_machine_without_sysfs_has_no_sleepers(tmp_path: Path) -> None:
    power = PciPower(tmp_path / "none", tmp_path / "none")
    power.scan()
    assert power.suspended() == frozenset()


@pytest.mark.parametrize(
    ("bus_id", "address"),
    [("00000000:01:00.0", "0000:01:00.0"), ("00000001:C1:00.0", "0001:c1:00.0")],
)
def test_a_bus_id_becomes_the_address_that_sysfs_uses(bus_id: str, address: str) -> None:
    assert pci_address(bus_id) == address


# --------------------------------------------------------------------------- letting a GPU fall asleep


def test_an_idle_gpu_that_can_sleep_is_left_alone_after_a_while(
    fake_driver: FakeDriver, monitor: Monitor, clock: ManualClock, add_pci_gpu: AddPciGpu
) -> None:
    add_pci_gpu("0000:01:00.0", "active", can_sleep=True)
    states = [sample.health.state for sample in poll_for(monitor, clock, 12)]
    assert states == ["serving"] * 10 + ["asleep"] * 2
    assert fake_driver.calls("nvmlShutdown") == 1


def test_an_idle_gpu_that_does_not_fall_asleep_is_read_again_and_not_left_alone_anew(
    fake_driver: FakeDriver, monitor: Monitor, clock: ManualClock, add_pci_gpu: AddPciGpu
) -> None:
    add_pci_gpu("0000:01:00.0", "active", can_sleep=True)
    poll_for(monitor, clock, 20)
    assert {sample.health.state for sample in poll_for(monitor, clock, 60)} == {"serving"}


def test_a_gpu_that_slept_is_left_alone_again_after_waking(
    fake_driver: FakeDriver, monitor: Monitor, clock: ManualClock, add_pci_gpu: AddPciGpu
) -> None:
    status = add_pci_gpu("0000:01:00.0", "active", can_sleep=True)
    poll_for(monitor, clock, 12)
    status.write_text("suspended\n")
    poll_for(monitor, clock, 60)
    status.write_text("active\n")
    states = [sample.health.state for sample in poll_for(monitor, clock, 12)]
    assert states == ["serving"] * 10 + ["asleep"] * 2


@pytest.mark.parametrize("busy", ["computing", "holding memory"])
def test_a_gpu_in_use_is_not_left_alone(
    fake_driver: FakeDriver, monitor: Monitor, clock: ManualClock, add_pci_gpu: AddPciGpu, busy: str
) -> None:
    add_pci_gpu("0000:01:00.0", "active", can_sleep=True)
    if busy == "computing":
        fake_driver[0].utilization_percent = 3
    else:
        fake_driver.run(0, 2**31 - 1, GIB)
    assert {sample.health.state for sample in poll_for(monitor, clock, 40)} == {"serving"}


def test_a_desktop_on_the_gpu_does_not_keep_it_awake(
    fake_driver: FakeDriver, monitor: Monitor, clock: ManualClock, add_pci_gpu: AddPciGpu
) -> None:
    add_pci_gpu("0000:01:00.0", "active", can_sleep=True)
    fake_driver.run(0, 2**31 - 1, 4096, ["graphics"])
    assert poll_for(monitor, clock, 12)[-1].health.state == "asleep"


def test_a_gpu_that_cannot_sleep_is_always_read(
    fake_driver: FakeDriver, monitor: Monitor, clock: ManualClock, add_pci_gpu: AddPciGpu
) -> None:
    add_pci_gpu("0000:01:00.0", "active", can_sleep=False)
    assert {sample.health.state for sample in poll_for(monitor, clock, 40)} == {"serving"}


def test_of_two_gpus_the_busy_one_is_read_while_the_other_rests(
    fake_driver: FakeDriver, monitor: Monitor, clock: ManualClock, add_pci_gpu: AddPciGpu
) -> None:
    fake_driver.state.gpu_count = 2
    fake_driver[0].utilization_percent = 50
    for address in ("0000:01:00.0", "0000:02:00.0"):
        add_pci_gpu(address, "active", can_sleep=True)
    sample = poll_for(monitor, clock, 12)[-1]
    assert [gpu.state for gpu in sample.gpus] == ["ok", "asleep"]
