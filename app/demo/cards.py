"""The graphics cards of the scenarios: capacity, limits and clocks as their drivers state them."""

from __future__ import annotations

from msgspec import Struct

from gpumon.collectors.samples import GpuFacts

MIB = 1024**2


class Card(Struct, frozen=True):
    """A model of graphics card."""

    name: str
    brand: str
    total_mib: int
    reserved_mib: int
    """What the driver keeps (nvmlMemory_v2_t.reserved)."""
    bus_width_bits: int
    sm_clock_mhz: int
    memory_clock_mhz: int
    limit_watts: float
    idle_watts: float
    slowdown_celsius: int
    pcie_generation: int = 4
    has_fan: bool = True
    has_ecc: bool = False

    @property
    def usable_bytes(self) -> int:
        """Capacity without the driver's reserve."""
        return (self.total_mib - self.reserved_mib) * MIB

    @property
    def bandwidth_bytes_per_second(self) -> float:
        """Bandwidth of its memory: two transfers a clock."""
        return self.bus_width_bits / 8 * self.memory_clock_mhz * 1e6 * 2

    def facts(self) -> GpuFacts:
        """Return what does not change while the driver is loaded."""
        return GpuFacts(
            brand=self.brand,
            memory_bus_width_bits=self.bus_width_bits,
            max_sm_clock_mhz=self.sm_clock_mhz,
            max_memory_clock_mhz=self.memory_clock_mhz,
            slowdown_celsius=self.slowdown_celsius,
            shutdown_celsius=self.slowdown_celsius + 3,
            power_limit_default_watts=self.limit_watts,
            power_limit_max_watts=self.limit_watts * 1.1,
            pcie_generation_max=self.pcie_generation,
            pcie_width_max=16,
            persistence_mode=self.has_ecc,
            integrated=False,
        )


RTX_4070 = Card(
    "NVIDIA GeForce RTX 4070", "GeForce", 12282, 257, 192, 3105, 10501, 200.0, 11.0, slowdown_celsius=90
)
RTX_3090 = Card(
    "NVIDIA GeForce RTX 3090", "GeForce", 24576, 452, 384, 2100, 9751, 350.0, 21.0, slowdown_celsius=95
)
RTX_4090 = Card(
    "NVIDIA GeForce RTX 4090", "GeForce", 24564, 474, 384, 3120, 10501, 450.0, 18.0, slowdown_celsius=90
)
L40S = Card(
    "NVIDIA L40S", "NVIDIA", 46068, 602, 384, 2520, 9001, 350.0, 34.0, 90, has_fan=False, has_ecc=True
)
