"""Bandwidth from bus width and memory clock, for every kind of memory, against the data sheets."""

from __future__ import annotations

import pytest

from gpumon.app.physics.hardware import (
    CardClass,
    card_class,
    card_of,
    link_bandwidth,
    memory_bandwidth,
    ram_peak_of_measurement,
)
from gpumon.collectors.samples import GpuFacts, GpuMemory, GpuReading

CARDS: tuple[tuple[str, int, int, float, CardClass], ...] = (
    ("NVIDIA GeForce GTX 1080 Ti", 352, 5505, 484, "nvidia_pascal"),
    ("Tesla P40", 384, 3615, 347, "nvidia_p40"),
    ("Tesla P100-PCIE-16GB", 4096, 715, 732, "nvidia_p100"),
    ("NVIDIA GeForce RTX 2080 Ti", 352, 7000, 616, "nvidia_gddr6"),
    ("Tesla T4", 256, 5001, 320, "nvidia_gddr6"),
    ("NVIDIA GeForce RTX 3060", 192, 7501, 360, "nvidia_gddr6"),
    ("NVIDIA GeForce RTX 3090", 384, 9751, 936, "nvidia_gddr6"),
    ("NVIDIA GeForce RTX 4080 SUPER", 256, 11501, 736, "nvidia_gddr6"),
    ("NVIDIA GeForce RTX 4090", 384, 10501, 1008, "nvidia_gddr6"),
    ("NVIDIA L40S", 384, 9001, 864, "nvidia_gddr6"),
    ("NVIDIA GeForce RTX 5060 Ti", 128, 14001, 448, "nvidia_gddr7"),
    ("NVIDIA GeForce RTX 5090", 512, 14001, 1792, "nvidia_gddr7"),
    ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 512, 14001, 1792, "nvidia_gddr7"),
    ("Tesla V100-SXM2-16GB", 4096, 877, 898, "nvidia_hbm"),
    ("NVIDIA A100-SXM4-40GB", 5120, 1215, 1555, "nvidia_hbm"),
    ("NVIDIA A100-SXM4-80GB", 5120, 1593, 2039, "nvidia_hbm"),
    ("NVIDIA H100 80GB HBM3", 5120, 2619, 3352, "nvidia_hopper"),
)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card[0])
def test_the_driver_gives_the_bandwidth_of_the_data_sheet(
    card: tuple[str, int, int, float, CardClass],
) -> None:
    name, width, clock, gigabytes, kind = card
    facts = GpuFacts(memory_bus_width_bits=width, max_memory_clock_mhz=clock)
    assert memory_bandwidth(facts) == pytest.approx(gigabytes * 1e9, rel=0.005)
    assert card_class(name, facts) == kind


def test_a_card_that_shares_the_systems_ram_is_of_its_own_kind() -> None:
    assert card_class("NVIDIA GB10", GpuFacts()) == "nvidia_soc"
    assert card_class("x", GpuFacts(integrated=True)) == "nvidia_soc"


def test_an_unnamed_card_is_known_by_bus_and_clock() -> None:
    assert card_class(None, GpuFacts(memory_bus_width_bits=5120)) == "nvidia_hbm"
    assert card_class(None, GpuFacts(max_memory_clock_mhz=14001)) == "nvidia_gddr7"


@pytest.mark.parametrize("facts", [GpuFacts(), GpuFacts(memory_bus_width_bits=384)])
def test_no_bandwidth_is_made_up(facts: GpuFacts) -> None:
    assert memory_bandwidth(facts) is None


@pytest.mark.parametrize(("generation", "gigabytes"), [(3, 12), (4, 25), (5, 50)])
def test_a_link_carries_what_was_measured(generation: int, gigabytes: float) -> None:
    facts = GpuFacts(pcie_generation_max=generation, pcie_width_max=16)
    assert link_bandwidth(facts) == pytest.approx(gigabytes * 1e9, rel=0.05)


def test_a_link_of_unknown_generation_is_not_known() -> None:
    assert link_bandwidth(GpuFacts(pcie_width_max=16)) is None


def test_a_card_is_made_of_a_reading_and_the_facts_of_an_earlier_one() -> None:
    memory = GpuMemory(total_bytes=24, free_bytes=20)
    facts = GpuFacts(memory_bus_width_bits=384, max_memory_clock_mhz=10501)
    card = card_of(GpuReading(uuid="GPU-1", index=0, name="RTX 4090", memory=memory), facts)
    assert card is not None
    assert (card.uuid, card.vram_total_bytes, card.vram_free_bytes) == ("GPU-1", 24, 20)
    assert card.bandwidth_bytes_per_second == pytest.approx(1008e9, rel=0.001)


def test_a_card_of_unknown_memory_is_no_card() -> None:
    assert card_of(GpuReading(uuid="GPU-1", index=0)) is None


def test_a_measurement_stands_for_a_higher_nominal_bandwidth() -> None:
    assert ram_peak_of_measurement(42.5e9) == pytest.approx(50e9)
