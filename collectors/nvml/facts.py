"""What is asked once per start of the driver, and what is asked every few seconds."""

from __future__ import annotations

from gpumon.collectors.nvml.query import Query
from gpumon.collectors.samples import GpuFacts, GpuMemory, GpuSlow

_THRESHOLD_SHUTDOWN, _THRESHOLD_SLOWDOWN = 0, 1  # nvml.h: nvmlTemperatureThresholds_t
_CLOCK_SM, _CLOCK_MEMORY = 1, 2  # nvml.h: nvmlClockType_t
_CORRECTED, _UNCORRECTED, _VOLATILE = 0, 1, 0  # nvml.h: nvmlMemoryErrorType_t, nvmlEccCounterType_t

_BRANDS = {
    1: "Quadro",
    2: "Tesla",
    3: "NVS",
    4: "GRID",
    5: "GeForce",
    6: "Titan",
    7: "Virtual Applications",
    8: "Virtual PC",
    9: "vGPU for Compute",
    10: "RTX Virtual Workstation",
    11: "Cloud Gaming",
    12: "Quadro RTX",
    13: "NVIDIA RTX",
    14: "NVIDIA",
    15: "GeForce RTX",
    16: "Titan RTX",
}
"""nvml.h: ``nvmlBrandType_t``."""


def read_facts(query: Query, memory: GpuMemory | None) -> GpuFacts:
    """Ask for the limits of a device and how it is attached.

    Power comes in milliwatts from NVML. A device without memory of its own is an integrated one (nvml.h,
    note on ``nvmlDeviceGetMemoryInfo``).
    """
    limits = query.ask("nvmlDeviceGetPowerManagementLimitConstraints")
    return GpuFacts(
        brand=_BRANDS.get(query.ask("nvmlDeviceGetBrand")),
        memory_bus_width_bits=query.ask("nvmlDeviceGetMemoryBusWidth"),
        max_sm_clock_mhz=query.ask("nvmlDeviceGetMaxClockInfo", _CLOCK_SM),
        max_memory_clock_mhz=query.ask("nvmlDeviceGetMaxClockInfo", _CLOCK_MEMORY),
        slowdown_celsius=query.ask("nvmlDeviceGetTemperatureThreshold", _THRESHOLD_SLOWDOWN),
        shutdown_celsius=query.ask("nvmlDeviceGetTemperatureThreshold", _THRESHOLD_SHUTDOWN),
        power_limit_default_watts=watts(query.ask("nvmlDeviceGetPowerManagementDefaultLimit")),
        power_limit_max_watts=watts(limits and limits[1]),
        pcie_generation_max=query.ask("nvmlDeviceGetMaxPcieLinkGeneration"),
        pcie_width_max=query.ask("nvmlDeviceGetMaxPcieLinkWidth"),
        persistence_mode=_enabled(query.ask("nvmlDeviceGetPersistenceMode")),
        integrated=None if memory is None else memory.unified,
    )


def read_slow(query: Query) -> GpuSlow:
    """Ask for what changes seldom: PCIe link, video engines, ECC and MIG."""
    encoder = query.ask("nvmlDeviceGetEncoderUtilization")
    decoder = query.ask("nvmlDeviceGetDecoderUtilization")
    ecc = query.ask("nvmlDeviceGetEccMode")
    mig = query.ask("nvmlDeviceGetMigMode")
    return GpuSlow(
        pcie_generation=query.ask("nvmlDeviceGetCurrPcieLinkGeneration"),
        pcie_width=query.ask("nvmlDeviceGetCurrPcieLinkWidth"),
        encoder_percent=percent(encoder and encoder[0]),
        decoder_percent=percent(decoder and decoder[0]),
        ecc_enabled=_enabled(ecc and ecc[0]),
        ecc_corrected=query.ask("nvmlDeviceGetTotalEccErrors", _CORRECTED, _VOLATILE),
        ecc_uncorrected=query.ask("nvmlDeviceGetTotalEccErrors", _UNCORRECTED, _VOLATILE),
        mig_mode=_enabled(mig and mig[0]),
    )


def watts(milliwatts: int | None) -> float | None:
    """Convert NVML's milliwatts."""
    return None if milliwatts is None else milliwatts / 1000


def percent(value: int | None) -> int | None:
    """Return a share as it is, ``None`` for the impossible values that some drivers hand out (nvtop#110)."""
    return value if value is not None and 0 <= value <= 100 else None


def _enabled(state: int | None) -> bool | None:
    return None if state is None else bool(state)
