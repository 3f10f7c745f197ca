"""The parts of a machine that decide how fast a model is, and their nominal bandwidths."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gpumon.collectors.samples import GpuFacts, GpuReading

CardClass = Literal[
    "nvidia_gddr6",
    "nvidia_gddr7",
    "nvidia_hbm",
    "nvidia_hopper",
    "nvidia_pascal",
    "nvidia_p40",
    "nvidia_p100",
    "nvidia_soc",
    "apple",
    "amd",
    "apu",
]

Generation = Literal[CardClass, "nvidia_turing", "nvidia_ada", "nvidia_volta", "nvidia_gtx1050"]
"""A class, or a part of one that reaches another share of its bandwidth: told apart by name."""
Backend = Literal["vulkan", "hip"]
"""Of a Radeon; on other cards it changes nothing that is known."""


class Card(Struct, frozen=True):
    """A GPU as the arithmetic sees it."""

    name: str
    vram_total_bytes: int
    vram_free_bytes: int
    bandwidth_bytes_per_second: float | None
    """Nominal: bus width x memory clock; ``None`` where the driver does not say."""
    card_class: CardClass
    uuid: str | None = None
    """``None`` for a card that is only named."""
    link_bytes_per_second: float | None = None
    """What its PCIe link really carries, one way; bounds the prefill of a split model."""
    backend: Backend | None = None
    """What computes on a Radeon: 14 % slower by HIP. ``None`` where it is not known."""
    power_limit_watts: float | None = None
    """What the driver keeps it under."""

    @property
    def generation(self) -> Generation:
        """What its constants go by: its class, or a part of it that its name tells."""
        for pattern, generation in _GENERATIONS.get(self.card_class, ()):
            if pattern.search(self.name):
                return generation
        return self.card_class


class Hardware(Struct, frozen=True):
    """The GPUs that a model may use, and the RAM behind them."""

    cards: tuple[Card, ...]
    ram_bandwidth_bytes_per_second: float | None = None
    """What the CPU can read of RAM, nominal (peak) or the equivalent of a measurement."""
    decode_scale: float = 1.0
    """Observed / predicted decode rate on this machine, learned; 1 before the first observation."""
    cpu_scale: float = 1.0
    """The same for the part in RAM."""
    is_calibrated: bool = False
    """Whether the scales come from observations: the bands are narrower then."""


def uncalibrated(hardware: Hardware) -> Hardware:
    """Return the same by its data sheet: what was observed on it left out."""
    return replace(hardware, decode_scale=1.0, cpu_scale=1.0, is_calibrated=False)


class Band(NamedTuple):
    """An estimated value with the range in which about nine of ten measurements lie."""

    low: float
    expected: float
    high: float


TRANSFERS_PER_CLOCK = 2
"""Per cycle of the memory clock as NVML gives it, for GDDR5 to GDDR7 and HBM alike: it names half the data
rate (RTX 4090: 10501 MHz, 21 Gbit/s a pin; H100: 2619 MHz, 5.2 Gbit/s a pin)."""
MEASURED_SHARE_OF_PEAK = 0.85
"""What reading RAM with every core reaches of its nominal bandwidth on desktops (0.8 to 0.9)."""

_HBM_BUS_BITS = 2048
_GDDR7_CLOCK_MHZ = 12000
"""Above every GDDR6X (11501) and at or below every GDDR7 card (12001 to 15001)."""
_SOC = re.compile(r"\b(?:GB10|Orin|Thor|Tegra|Jetson|Xavier)\b", re.IGNORECASE)
_PASCAL = re.compile(
    r"\b(?:GTX (?:9|10)\d\d|Tesla [MP]\d+|[PM]4|P6|M40|M60|Quadro [MP]\d+|TITAN Xp?)\b",
    re.IGNORECASE,
)
"""Maxwell and Pascal: no integer tensor cores, so that decode is not bound by memory alone."""
_P40 = re.compile(r"\bP40\b", re.IGNORECASE)
"""The Pascal card with the most arithmetic for its bandwidth, which is what bounds them."""
_HOPPER = re.compile(r"\b(?:GH?200|[HB][1-3]00|GB[23]00|H20|H800)\b", re.IGNORECASE)
"""And later: HBM3."""
_P100 = re.compile(r"\b(?:P100|GP100)\b", re.IGNORECASE)
"""Pascal without integer dot products."""
_GDDR7_NAME = re.compile(r"\bRTX 50\d\d\b|\bBlackwell\b", re.IGNORECASE)
_GENERATIONS: dict[CardClass, tuple[tuple[re.Pattern[str], Generation], ...]] = {
    "nvidia_gddr6": (
        (
            re.compile(r"\bRTX 20|\bGTX 16|\bT4\b|\bTitan RTX\b|\bQuadro RTX\b", re.IGNORECASE),
            "nvidia_turing",
        ),
        (re.compile(r"\bRTX 40[5-9]0|\bAda\b|\bL(?:4|20|40S?)\b", re.IGNORECASE), "nvidia_ada"),
    ),
    "nvidia_hbm": ((re.compile(r"\bV100\b|\bTitan V\b|\bGV100\b", re.IGNORECASE), "nvidia_volta"),),
    "nvidia_pascal": ((re.compile(r"\bGTX 1050", re.IGNORECASE), "nvidia_gtx1050"),),
}
"""Turing launches kernels without CUDA graphs, Ada has a cache of 32 MiB and more; what has GDDR6 and neither
name counts as Ampere."""
_PCIE_BYTES_PER_LANE = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
"""Per second and direction, after line coding (PCI Express base specification)."""
_PCIE_SHARE = 0.78
"""Real share of the link: 12 of 15.8 GB/s (generation 3, 16 lanes), 25 of 31.5 (4), 50 of 63 (5)."""


def memory_bandwidth(facts: GpuFacts) -> float | None:
    """Return a GPU's nominal bandwidth in bytes per second; ``None`` where the driver does not say.

    Bus width and maximum memory clock are ``nvmlDeviceGetMemoryBusWidth`` and ``nvmlDeviceGetMaxClockInfo``.
    """
    if not facts.memory_bus_width_bits or not facts.max_memory_clock_mhz:
        return None
    return facts.memory_bus_width_bits / 8 * facts.max_memory_clock_mhz * 1e6 * TRANSFERS_PER_CLOCK


def card_class(name: str | None, facts: GpuFacts) -> CardClass:
    """Return what kind of card it is: by its name, its bus and its memory clock."""
    words = name or ""
    if facts.integrated or _SOC.search(words):
        return "nvidia_soc"
    if _P100.search(words):
        return "nvidia_p100"
    if _P40.search(words):
        return "nvidia_p40"
    if _PASCAL.search(words):
        return "nvidia_pascal"
    if (facts.memory_bus_width_bits or 0) >= _HBM_BUS_BITS:
        return "nvidia_hopper" if _HOPPER.search(words) else "nvidia_hbm"
    is_gddr7 = _GDDR7_NAME.search(words) or (facts.max_memory_clock_mhz or 0) >= _GDDR7_CLOCK_MHZ
    return "nvidia_gddr7" if is_gddr7 else "nvidia_gddr6"


def link_bandwidth(facts: GpuFacts) -> float | None:
    """Return what a GPU's PCIe link really carries, one way, in bytes per second."""
    per_lane = _PCIE_BYTES_PER_LANE.get(facts.pcie_generation_max or 0)
    if per_lane is None or not facts.pcie_width_max:
        return None
    return per_lane * facts.pcie_width_max * _PCIE_SHARE


def card_of(reading: GpuReading, facts: GpuFacts | None = None) -> Card | None:
    """Return a GPU as the arithmetic sees it; ``None`` where its memory is not known.

    ``facts`` are those of an earlier reading: only the first one holds them.
    """
    memory, known = reading.memory, facts or reading.facts or GpuFacts()
    if memory is None or memory.free_bytes is None:
        return None
    return Card(
        name=reading.name or reading.uuid,
        vram_total_bytes=memory.total_bytes,
        vram_free_bytes=memory.free_bytes,
        bandwidth_bytes_per_second=memory_bandwidth(known),
        card_class=card_class(reading.name, known),
        uuid=reading.uuid,
        link_bytes_per_second=link_bandwidth(known),
        power_limit_watts=reading.power_limit_watts,
    )


def ram_peak_of_measurement(measured_bytes_per_second: float) -> float:
    """Return the nominal RAM bandwidth that a measurement of ``gpumon calibrate`` stands for."""
    return measured_bytes_per_second / MEASURED_SHARE_OF_PEAK
