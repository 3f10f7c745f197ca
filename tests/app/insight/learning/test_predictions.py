"""What is reckoned of a load, what was measured, and what the next one learns of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fakes.process_samples import BLOB
from tests.fakes.samples import GIB, OLLAMA, START
from tests.scene import Model, loaded

from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.insight.hardware import hardware_of
from gpumon.app.insight.learning.predictions import memory_correction
from gpumon.app.state.records import LearnedRecord, MemoryKey, Prediction, ScaleKey
from gpumon.collectors.samples import (
    GpuFacts,
    GpuReading,
    Learned,
    MemoryCorrection,
    ModelFacts,
    ModelWeights,
)

NAME = "llama3:70b"
LAYERS, LAYER_BYTES = 32, 130 * 1024**2
KEY = MemoryKey(f"sha-{NAME}", ("GPU-0",))
SHAPE = ModelFacts(
    time=START,
    source=OLLAMA,
    name=NAME,
    digest=f"sha-{NAME}",
    blobs=(BLOB,),
    architecture="llama",
    layer_count=LAYERS,
    embedding_length=4096,
    trained_context_length=131072,
    geometry={
        "llama.attention.head_count": 32,
        "llama.attention.head_count_kv": 8,
        "llama.attention.key_length": 128,
        "llama.attention.value_length": 128,
    },
    weights=ModelWeights(
        layer_bytes=(LAYER_BYTES,) * LAYERS,
        expert_bytes=(0,) * LAYERS,
        token_embedding_bytes=300 * 1024**2,
        output_bytes=430 * 1024**2,
        element_count=8_000_000_000,
    ),
)
CARD = GpuFacts(memory_bus_width_bits=384, max_memory_clock_mhz=10501)


def with_card(reading: GpuReading) -> GpuReading:
    return replace(reading, facts=CARD)


def desk_of(held_gib: float = 6.0, **known: object) -> Model:
    desk = loaded(Model(gpu_gib=held_gib, shape=SHAPE))
    desk.machine.retouch = with_card
    for name, value in known.items():
        setattr(desk, name, value)
    return desk


def settled(desk: Model) -> Model:
    """Look until memory, claim and port have said the same twice."""
    for _ in range(4):
        desk.machine.look()
        desk.polled(())
        desk.machine.now += 1.0
    return desk


def prediction(desk: Model) -> Prediction:
    runner = desk.monitor.state.runner_of(desk.record)
    assert runner is not None
    assert runner.prediction is not None
    return runner.prediction


class TestMemory:
    def test_a_load_is_compared_with_what_the_driver_measured(self) -> None:
        found = prediction(settled(desk_of(held_gib=6.0)))
        assert found.measured_vram_bytes == 6 * GIB
        assert found.expected_vram_bytes == pytest.approx(5.8 * GIB, rel=0.05)
        assert found.error_fraction == pytest.approx(found.expected_vram_bytes / (6 * GIB) - 1)

    def test_the_difference_is_learned(self) -> None:
        desk = settled(desk_of(held_gib=6.0))
        kept = desk.monitor.state.learned.memory[KEY]
        assert kept.difference_bytes == 6 * GIB - prediction(desk).uncorrected_vram_bytes
        assert kept.observation_count == 1

    def test_the_next_load_of_the_same_model_is_reckoned_with_it(self) -> None:
        desk = settled(desk_of(held_gib=6.5))
        desk.pid = 101
        found = prediction(settled(desk))
        assert found.expected_vram_bytes == pytest.approx(6.5 * GIB)
        assert found.error_fraction == pytest.approx(0.0, abs=1e-6)

    def test_what_an_earlier_run_has_learned_counts_too(self) -> None:
        desk = desk_of()
        known = MemoryCorrection(
            digest=KEY.digest, gpu_uuids=KEY.gpu_uuids, difference_bytes=GIB, observation_count=3
        )
        desk.machine.sent.append(SHAPE)
        desk.monitor.feed(SHAPE)
        desk.machine.say(Learned(time=START, source="learned", memory=(known,)))
        found = prediction(settled(desk))
        assert found.expected_vram_bytes - found.uncorrected_vram_bytes == GIB

    def test_a_load_is_compared_once(self) -> None:
        desk = settled(desk_of(held_gib=6.0))
        desk.gpu_gib = 6.4
        settled(desk)
        assert prediction(desk).measured_vram_bytes == 6 * GIB
        assert desk.monitor.state.learned.memory[KEY].observation_count == 1

    def test_a_model_that_is_partly_in_ram_is_not_compared(self) -> None:
        desk = settled(desk_of(ram_gib=2.0))
        assert prediction(desk).measured_vram_bytes is None
        assert prediction(desk).error_fraction is None
        assert desk.monitor.state.learned.memory == {}

    def test_nor_is_one_of_which_the_driver_sees_less_than_is_claimed(self) -> None:
        desk = settled(desk_of(held_gib=6.0, measured_gib=4.0))
        assert prediction(desk).measured_vram_bytes is None

    def test_of_a_model_of_unknown_shape_nothing_is_reckoned(self) -> None:
        desk = settled(desk_of(shape=replace(SHAPE, architecture="unheard-of")))
        runner = desk.monitor.state.runner_of(desk.record)
        assert runner is not None
        assert runner.prediction is None

    def test_a_correction_is_the_median_of_the_loads(self) -> None:
        desk = desk_of()
        for pid, held in enumerate((6.0, 8.0, 6.1), start=100):
            desk.pid, desk.gpu_gib = pid, held
            settled(desk)
        uncorrected = prediction(desk).uncorrected_vram_bytes
        assert memory_correction(desk.monitor.state.learned, *KEY) == int(6.1 * GIB) - uncorrected

    def test_a_difference_beyond_reason_is_shown_and_not_learned(self) -> None:
        desk = settled(desk_of(held_gib=20.0))
        assert prediction(desk).measured_vram_bytes == 20 * GIB
        assert desk.monitor.state.learned.memory == {}

    def test_without_a_load_there_is_no_correction(self) -> None:
        assert memory_correction(LearnedRecord(), *KEY) == 0

    @given(st.floats(4.0, 8.0))
    def test_the_second_of_two_equal_loads_is_right(self, held_gib: float) -> None:
        desk = settled(desk_of(held_gib=held_gib))
        desk.pid = 101
        assert abs(prediction(settled(desk)).error_fraction or 0.0) < 1e-6


class TestScales:
    def test_the_rate_of_a_request_is_compared_with_the_estimate(self) -> None:
        desk = settled(desk_of())
        desk.request(100.0)
        [(key, scale)] = desk.monitor.state.learned.scales.items()
        assert key == ScaleKey(("GPU-0",), is_moe=False, is_split=False)
        assert 0.4 < scale.scale < 1.5

    def test_twice_the_rate_is_twice_the_scale(self) -> None:
        scales = []
        for rate in (60.0, 120.0):
            desk = settled(desk_of())
            desk.request(rate)
            scales += [scale.scale for scale in desk.monitor.state.learned.scales.values()]
        assert scales[1] == pytest.approx(2 * scales[0], rel=0.02)

    def test_a_split_model_teaches_the_part_in_ram_where_the_bandwidth_is_known(self) -> None:
        desk = desk_of(ram_gib=4.0)
        desk.monitor.feed(Learned(time=START, source="learned", ram_bandwidth_bytes_per_second=4e10))
        settled(desk).request(12.0, 8.0)
        [key] = desk.monitor.state.learned.scales
        assert key.is_split

    def test_without_it_a_split_model_teaches_the_bandwidth(self) -> None:
        desk = settled(desk_of(ram_gib=4.0))
        desk.request(12.0, 8.0)
        state = desk.monitor.state
        assert state.learned.scales == {}
        assert 2e10 < (hardware_of(state).ram_bandwidth_bytes_per_second or 0.0) < 2e11

    def test_with_which_the_estimate_is_what_was_observed(self) -> None:
        desk = settled(desk_of(ram_gib=4.0))
        desk.request(12.0, 8.0)
        found = diagnose(desk.record, desk.monitor.state).expected_now
        assert found is not None
        assert found.expected == pytest.approx(12.0, rel=0.1)

    @pytest.mark.parametrize("rate", [2000.0, 14.0], ids=["far too fast", "far too slow"])
    def test_what_cannot_be_the_machine_is_left_out(self, rate: float) -> None:
        desk = settled(desk_of())
        desk.request(rate, 8.0)
        assert desk.monitor.state.learned.scales == {}

    def test_requests_at_once_and_hindered_ones_teach_nothing(self) -> None:
        desk = settled(desk_of())
        desk.request(100.0, parallel=2)
        desk.machine.gpus[0].throttle = ("thermal slowdown (software)",)
        desk.request(100.0)
        assert desk.monitor.state.learned.scales == {}


def test_the_replay_reckons_and_learns_the_same() -> None:
    desk = settled(desk_of())
    desk.request(100.0)
    again = loaded()
    for sample in desk.machine.sent:
        again.monitor.feed(sample)
    assert again.monitor.state.learned == desk.monitor.state.learned
