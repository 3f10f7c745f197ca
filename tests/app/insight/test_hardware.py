"""The machine as the arithmetic sees it: which figure of the RAM counts, and which scale is whose."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.samples import GIB, START, gpu, nvml, system
from tests.scene import after

from gpumon.app.insight.hardware import hardware_of, known_ram, ram_bandwidth
from gpumon.app.physics.hardware import ram_peak_of_measurement
from gpumon.app.state.records import LearnedRecord
from gpumon.collectors.samples import AnySample, Learned, RamObservation, RateScale

FIRMWARE = replace(system(0), ram_bandwidth_bytes_per_second=5e10)
DENSE = RamObservation(is_moe=False, bytes_per_second=3e10, observation_count=1)
EXPERTS = RamObservation(is_moe=True, bytes_per_second=2e10, observation_count=1)


def learned(**known: object) -> Learned:
    return Learned(**{"time": START, "source": "learned", **known})  # type: ignore[arg-type]


def record(sample: Learned) -> LearnedRecord:
    found = LearnedRecord()
    found.absorb(sample)
    return found


def scale(value: float, *, split: bool, moe: bool = False, gpus: tuple[str, ...] = ("GPU-0",)) -> RateScale:
    return RateScale(gpu_uuids=gpus, is_moe=moe, is_split=split, scale=value, observation_count=3)


class TestRam:
    def test_what_was_measured_counts_most(self) -> None:
        known = record(learned(ram_bandwidth_bytes_per_second=4e10, ram_observed=(DENSE,)))
        found = ram_bandwidth(known, 5e10, is_moe=False)
        assert found == (ram_peak_of_measurement(4e10), False)

    def test_then_what_the_firmware_says(self) -> None:
        assert ram_bandwidth(record(learned(ram_observed=(DENSE,))), 5e10, is_moe=False) == (5e10, False)

    @pytest.mark.parametrize(
        ("observed", "is_moe", "rate"),
        [
            ((DENSE, EXPERTS), False, 3e10),
            ((DENSE, EXPERTS), True, 2e10),
            ((DENSE,), True, 3e10),
            ((EXPERTS,), False, 2e10),
        ],
    )
    def test_then_what_split_models_of_the_same_sort_were_seen_to_get(
        self, observed: tuple[RamObservation, ...], is_moe: bool, rate: float
    ) -> None:
        assert ram_bandwidth(record(learned(ram_observed=observed)), None, is_moe=is_moe) == (rate, True)

    def test_else_it_is_not_known(self) -> None:
        assert ram_bandwidth(LearnedRecord(), None, is_moe=False) is None
        assert known_ram(after().state, is_moe=False) is None
        assert known_ram(after(FIRMWARE).state, is_moe=False) == (5e10, False)


class TestCards:
    def test_they_are_those_that_answer_in_the_drivers_order(self) -> None:
        cards = gpu(2, total_gib=8.0), gpu(0, total_gib=24.0), replace(gpu(1), memory=None)
        found = hardware_of(after(nvml(0, *cards)).state)
        assert [(card.uuid, card.vram_total_bytes) for card in found.cards] == [
            ("GPU-0", 24 * GIB),
            ("GPU-2", 8 * GIB),
        ]

    def test_free_memory_is_reckoned_where_the_driver_does_not_say(self) -> None:
        [card] = hardware_of(after(nvml(0, gpu(used_gib=4.0, reserved_gib=0.5))).state).cards
        assert card.vram_free_bytes == int(19.5 * GIB)


class TestScales:
    SAMPLES: tuple[AnySample, ...] = (
        nvml(0, gpu()),
        FIRMWARE,
        learned(
            scales=(
                scale(0.5, split=False),
                scale(0.7, split=True),
                scale(0.9, split=False, moe=True),
                scale(0.3, split=False, gpus=("GPU-0", "GPU-1")),
            )
        ),
    )

    def test_each_part_has_its_own_of_the_gpus_in_use(self) -> None:
        found = hardware_of(after(*self.SAMPLES).state, ["GPU-0"])
        assert (found.decode_scale, found.cpu_scale, found.is_calibrated) == (0.5, 0.7, True)
        assert found.ram_bandwidth_bytes_per_second == 5e10

    def test_those_of_models_with_experts_are_their_own(self) -> None:
        found = hardware_of(after(*self.SAMPLES).state, ["GPU-0"], is_moe=True)
        assert (found.decode_scale, found.cpu_scale) == (0.9, 1.0)

    def test_those_of_several_gpus_are_of_just_these_in_any_order(self) -> None:
        found = hardware_of(after(*self.SAMPLES).state, ["GPU-1", "GPU-0"])
        assert (found.decode_scale, found.cpu_scale) == (0.3, 1.0)

    @pytest.mark.parametrize("used", [[], ["GPU-7"]])
    def test_of_other_gpus_there_is_none(self, used: list[str]) -> None:
        found = hardware_of(after(*self.SAMPLES).state, used)
        assert (found.decode_scale, found.cpu_scale, found.is_calibrated) == (1.0, 1.0, False)

    def test_a_bandwidth_that_was_observed_needs_no_scale(self) -> None:
        known = learned(ram_observed=(DENSE,), scales=(scale(0.5, split=False), scale(0.7, split=True)))
        found = hardware_of(after(nvml(0, gpu()), known).state, ["GPU-0"])
        assert (found.decode_scale, found.cpu_scale) == (0.5, 1.0)
        assert found.ram_bandwidth_bytes_per_second == 3e10
