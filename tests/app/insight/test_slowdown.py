"""What holds a GPU or the machine back, figure by figure."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.samples import gpu, nvml, system
from tests.scene import after

from gpumon.app.insight.falls import costly_reasons, is_severe, link_below_best, slowdown_words, swap_rate
from gpumon.app.state.records import GpuRecord
from gpumon.collectors.samples import GpuFacts, GpuSlow


def record(facts: GpuFacts | None = None, slow: GpuSlow | None = None) -> GpuRecord:
    return after(nvml(0, gpu(facts=facts, slow=slow))).state.gpus["GPU-0"]


BEST = GpuFacts(pcie_width_max=16, pcie_generation_max=4)


@pytest.mark.parametrize(
    ("slow", "below"),
    [
        (GpuSlow(pcie_width=16, pcie_generation=4), ()),
        (GpuSlow(pcie_width=15, pcie_generation=4), ("width 15 of 16",)),
        (GpuSlow(pcie_width=16, pcie_generation=3), ("generation 3 of 4",)),
        (GpuSlow(pcie_width=17, pcie_generation=5), ()),
        (GpuSlow(pcie_generation=3), ("generation 3 of 4",)),
        (GpuSlow(pcie_width=8), ("width 8 of 16",)),
        (None, ()),
    ],
)
def test_a_link_is_below_its_best_in_what_is_less(slow: GpuSlow | None, below: tuple[str, ...]) -> None:
    assert link_below_best(record(BEST, slow)) == below


def test_of_a_link_whose_best_is_not_known_nothing_is_said() -> None:
    assert link_below_best(record(GpuFacts(), GpuSlow(pcie_width=1, pcie_generation=1))) == ()


@pytest.mark.parametrize("word", ["idle", "Application clocks", "display", "Sync Boost", "reliability"])
def test_what_the_user_chose_or_a_healthy_card_gives_costs_nothing(word: str) -> None:
    assert costly_reasons(gpu(throttle=(word, "power cap"))) == ("power cap",)


def test_where_the_driver_does_not_say_no_reason_is_known() -> None:
    assert costly_reasons(gpu(throttle=None)) is None
    assert costly_reasons(gpu(throttle=())) == ()


@pytest.mark.parametrize(
    ("reasons", "severe"),
    [
        (("thermal slowdown",), True),
        (("HARDWARE slowdown",), True),
        (("power brake",), True),
        (("power cap",), False),
        (("power cap", "thermal"), True),
        ((), False),
    ],
)
def test_heat_and_the_boards_own_protection_are_severe(reasons: tuple[str, ...], severe: bool) -> None:
    assert is_severe(reasons) is severe


def test_the_words_name_the_gpu_and_every_reason_harmlessly() -> None:
    card = after(nvml(0, gpu(3))).state.gpus["GPU-3"]
    assert slowdown_words(card, ("power cap", "a\x1bb")).startswith("GPU 3 is slowed down: power cap, a")
    assert "\x1b" not in slowdown_words(card, ("a\x1bb",))


def test_the_traffic_to_swap_is_that_of_both_ways() -> None:
    assert swap_rate(system(0, swap_in=3.0, swap_out=5.0)) == 8.0


@pytest.mark.parametrize("missing", ["swap_in_bytes_per_second", "swap_out_bytes_per_second"])
def test_of_one_way_alone_no_traffic_is_told(missing: str) -> None:
    assert swap_rate(replace(system(0, swap_in=3.0, swap_out=5.0), **{missing: None})) is None
