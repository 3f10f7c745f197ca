"""Whose GPUs the PCI bus shows, and what is said where none is NVIDIA's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.collectors.nvml.conftest import ManualClock
from tests.fakes.nvml.bus import (
    ACCELERATOR,
    AMD,
    ASPEED,
    DISPLAY,
    INTEL,
    NETWORK,
    NVIDIA,
    VGA_3D,
    VIRTIO,
    Bus,
)

from gpumon.collectors.nvml.driver import DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND
from gpumon.collectors.nvml.pci import gpu_makers
from gpumon.collectors.nvml.source import Monitor
from gpumon.collectors.samples import NvmlSample


def makers(bus: Bus) -> frozenset[str] | None:
    return gpu_makers(bus.sysfs, bus.dev)


@pytest.fixture
def bus(tmp_path: Path) -> Bus:
    return Bus(tmp_path)


@pytest.mark.parametrize(
    ("vendor", "code", "maker"),
    [(NVIDIA, VGA_3D, "NVIDIA"), (AMD, DISPLAY, "AMD"), (AMD, ACCELERATOR, "AMD"), (INTEL, DISPLAY, "Intel")],
)
def test_a_card_that_can_hold_a_model_is_known_by_its_maker(
    bus: Bus, vendor: str, code: str, maker: str
) -> None:
    bus.add(vendor, code)
    assert makers(bus) == frozenset({maker})


@pytest.mark.parametrize(("vendor", "code"), [(ASPEED, DISPLAY), (VIRTIO, DISPLAY), (NVIDIA, NETWORK)])
def test_what_only_draws_or_is_no_gpu_is_not_counted(bus: Bus, vendor: str, code: str) -> None:
    bus.add(vendor, code)
    assert makers(bus) == frozenset()


def test_what_sits_in_an_intel_processor_is_not_counted(bus: Bus) -> None:
    bus.add(INTEL, DISPLAY, "0000:00:02.0")
    assert makers(bus) == frozenset()


def test_without_a_bus_nothing_is_known(bus: Bus) -> None:
    assert makers(bus) is None


@pytest.mark.parametrize("name", ["dxg", "nvhost-gpu"])
def test_a_gpu_that_is_not_on_the_bus_leaves_it_open(bus: Bus, name: str) -> None:
    bus.add(VIRTIO, NETWORK)
    (bus.dev / name).touch()
    assert makers(bus) is None


def test_the_file_of_amd_s_driver_tells_where_the_bus_is_hidden(bus: Bus) -> None:
    (bus.dev / "kfd").touch()
    assert makers(bus) == frozenset({"AMD"})


@pytest.fixture(params=[LIBRARY_NOT_FOUND, DRIVER_NOT_LOADED], ids=["no library", "module not loaded"])
def code(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def read(bus: Bus, code: int) -> NvmlSample:
    """Read where NVML does not start."""

    class NVMLError(Exception):
        value = code

    def refuse() -> None:
        raise NVMLError

    binding = SimpleNamespace(nvmlInit=refuse, NVMLError=NVMLError)
    return Monitor(ManualClock(), lambda: binding, bus.sysfs, bus.sysfs, bus.dev).read()


def test_a_machine_without_a_gpu_lacks_no_driver(bus: Bus, code: int) -> None:
    bus.add(VIRTIO, NETWORK)
    health = read(bus, code).health
    assert (health.state, health.detail, health.hint) == ("idle", "no GPU in this machine", None)


def test_to_one_with_a_gpu_of_another_maker_no_driver_is_advised(bus: Bus, code: int) -> None:
    bus.add(AMD)
    sample = read(bus, code)
    assert sample.other_makers == ("AMD",)
    assert sample.health.state == "absent"
    assert sample.health.detail == "no NVIDIA GPU; what AMD made is not read"
    assert "install" not in (sample.health.hint or "")


def test_one_with_a_gpu_of_nvidia_s_misses_its_driver(bus: Bus, code: int) -> None:
    bus.add(NVIDIA)
    bus.add(AMD, address="0000:02:00.0")
    sample = read(bus, code)
    assert sample.health.state in {"absent", "failing"}
    assert sample.health.hint is not None
    assert sample.other_makers == ()


def test_where_the_bus_is_hidden_the_driver_is_missed_as_ever(bus: Bus, code: int) -> None:
    assert read(bus, code).health.hint is not None
