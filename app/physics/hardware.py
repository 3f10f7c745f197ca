"""The parts of a machine that decide how fast a model is."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

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
