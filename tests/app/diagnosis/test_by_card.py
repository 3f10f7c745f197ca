"""What each card should hold beside what it does, on every surface; tensors that have a card of their own."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.app.diagnosis.purposes import card, picture, told, words
from tests.fakes.samples import GIB
from tests.scene import Gpu, Machine

from gpumon.app.insight.by_card import CardShare, expected_by_card
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.state.records.log import Placement
from gpumon.app.views.model_process import runner_facts
from gpumon.collectors.samples import ModelFacts

TWO = [card(24), card(24)]
SETTINGS, BY_MEMORY = "settings, file", "settings, file, free memory"


def facts(machine: Machine) -> list[tuple[str, str, str]]:
    """Return what the page says of memory."""
    details = machine.monitor.pictures.details(picture(machine).key)
    assert details is not None
    indices = {gpu.reading.uuid: gpu.reading.index for gpu in machine.state.gpus.values()}
    every = [(fact.label.strip(), fact.value, fact.origin) for fact in runner_facts(details, indices)]
    return every[1 : next(at for at, fact in enumerate(every) if fact[0] == "process")]


def shares(machine: Machine) -> tuple[CardShare, ...]:
    return expected_by_card(machine.only_model(), machine.state)


def gibs(machine: Machine) -> list[float]:
    """Return what is to be expected by card, in the order of the driver."""
    found = {share.uuid: share.bytes for share in shares(machine)}
    gpus = sorted(machine.state.gpus.values(), key=lambda gpu: gpu.reading.index)
    return [round(found.get(gpu.reading.uuid, 0) / GIB, 1) for gpu in gpus]


def test_the_page_has_each_card_by_class_beside_what_is_measured(moe: ModelFacts) -> None:
    machine = told("-c 16384 -ngl 99 -ts 3,1", moe, {0: 13.6, 1: 4.5}, gpus=TWO)
    dense = "attention and dense"
    assert facts(machine) == [
        ("on GPU 0", "13.6 GiB", "NVML"),
        ("expected there", f"13.6 GiB: experts 11.7, {dense} 0.4, context 1.2, buffers 0.3", SETTINGS),
        ("on GPU 1", "4.5 GiB", "NVML"),
        (
            "expected there",
            f"4.5 GiB: experts 3.5, {dense} 0.1, output 0.2, context 0.3, buffers 0.3",
            SETTINGS,
        ),
    ]


def test_the_snapshot_has_the_same(moe: ModelFacts) -> None:
    machine = told("-c 16384 -ngl 99 -ts 3,1", moe, {0: 13.6, 1: 4.5}, gpus=TWO)
    [entry] = build_snapshot(machine.monitor.pictures).models
    assert entry.measured_vram_by_gpu is not None
    assert entry.expected_vram_by_gpu is not None
    assert entry.expected_vram_by_gpu.keys() == entry.measured_vram_by_gpu.keys()
    sums = [sum(parts.values()) for parts in entry.expected_vram_by_gpu.values()]
    assert sums == [share.bytes for share in shares(machine)]
    assert all("attention_and_dense" in parts for parts in entry.expected_vram_by_gpu.values())


@pytest.mark.parametrize(
    ("line", "held", "expected"),
    [
        ("-ngl 99", {0: 9.3, 1: 8.8}, [9.3, 8.8]),
        ("-ngl 99 -ts 1,3", {0: 4.8, 1: 13.3}, [4.9, 13.1]),
        ("-ngl 99 -sm none -mg 1", {1: 17.7}, [0.0, 17.7]),
        ("-ngl 99 -sm none", {0: 17.7}, [17.7, 0.0]),
        ("-ngl 99 --device CUDA1", {1: 17.7}, [0.0, 17.7]),
        ("-ngl 99 --device CUDA1,CUDA0 -ts 3,1", {0: 4.5, 1: 13.6}, [4.5, 13.6]),
        ("-ngl 99 -sm row -ts 3,1", {0: 13.7, 1: 4.5}, [13.7, 4.3]),
        ("-ngl 99 -ot exps=CUDA1", {0: 1.4, 1: 16.8}, [1.3, 16.7]),
        ("-ngl 99 -ts 1,1 --n-cpu-moe 24", {0: 1.7, 1: 8.8}, [1.7, 8.8]),
        ("-ngl 10 -ts 1,1", {0: 2.2, 1: 2.1}, [2.1, 2.0]),
        ("-ngl 99 -ts 0,1", {1: 17.8}, [0.0, 17.7]),
    ],
)
def test_every_setting_that_decides_it(
    moe: ModelFacts, line: str, held: Mapping[int, float], expected: list[float]
) -> None:
    """On two cards: the sum is what alarms are about, and there is none."""
    machine = told(f"-c 16384 {line}", moe, held, gpus=TWO)
    assert gibs(machine) == expected
    assert machine.alerts() == []


def test_three_cards_of_which_one_is_left_out_by_its_share(llama: ModelFacts) -> None:
    machine = told("-c 8192 -ngl 99 -ts 1,0,1", llama, {0: 3.0, 2: 3.0}, gpus=[card()] * 3, weights_gib=4.4)
    first, second, third = gibs(machine)
    assert second == 0.0
    assert first > 2
    assert third > 2


@pytest.mark.parametrize(
    ("held", "first"), [({0: 4.4, 1: 1.7}, "by slot"), ({0: 1.7, 1: 4.4}, "the other one")]
)
def test_cards_that_differ_are_counted_as_what_is_measured_says(
    llama: ModelFacts, held: Mapping[int, float], first: str
) -> None:
    """CUDA counts the fastest first unless a variable says otherwise, which nobody can see."""
    mixed = [Gpu(gib=12, name="NVIDIA GeForce RTX 3060"), Gpu(gib=24, name="NVIDIA GeForce RTX 3090")]
    machine = told("-c 8192 -ngl 99 -ts 3,1", llama, held, gpus=mixed, weights_gib=4.4)
    by_slot, by_speed = gibs(machine), [*reversed(gibs(machine))]
    assert (by_slot[0] > by_slot[1]) is (first == "by slot")
    assert by_speed != by_slot


def test_shares_by_free_memory_say_so(moe: ModelFacts) -> None:
    machine = told("-c 16384 -ngl 99", moe, {0: 9.3, 1: 8.8}, gpus=TWO)
    assert {share.by_free_memory for share in shares(machine)} == {True}
    assert facts(machine)[1][2] == BY_MEMORY
    alone = told("-c 16384 -ngl 99", moe, 17.7, gpus=[card(24)])
    assert facts(alone) == [("expected", facts(alone)[0][1], SETTINGS)]


class TestNotKnown:
    """Nothing is expected of a card where nobody has decided it, or it cannot be known."""

    @pytest.mark.parametrize("line", ["-ngl 99 -sm tensor", "-ngl 0", "--device none", "-ngl 99 --rpc box:1"])
    def test_by_these_settings(self, moe: ModelFacts, line: str) -> None:
        held = {0: 0.0} if "99" not in line else {0: 9.0, 1: 9.0}
        assert shares(told(f"-c 16384 {line}", moe, held, gpus=TWO)) == ()

    def test_what_the_runtime_has_left_in_ram_by_itself(self, moe: ModelFacts) -> None:
        """``--fit`` is on unless told otherwise: it takes layers or experts away until all fits."""
        assert shares(told("-c 16384", moe, {0: 5.0, 1: 5.0}, gpus=TWO)) == ()
        assert shares(told("-c 16384 -fitt 4096", moe, {0: 5.0, 1: 5.0}, gpus=TWO)) == ()

    def test_unless_its_log_says_how_many_layers_there_are(self, llama: ModelFacts) -> None:
        machine = told("-c 8192 -fitt 8192", llama, {0: 1.6, 1: 1.5}, gpus=TWO, weights_gib=4.4)
        assert shares(machine) == ()
        [runner] = machine.state.runners.values()
        runner.placement = Placement(since=0.0, layers_offloaded=16, layer_count=33)
        by_log = gibs(machine)
        by_hand = gibs(told("-c 8192 -ngl 16", llama, {0: 1.6, 1: 1.5}, gpus=TWO, weights_gib=4.4))
        assert by_log == by_hand
        assert sum(by_log) > 2

    def test_without_the_file(self) -> None:
        assert shares(told("-c 8192 -ngl 99", None, {0: 2.0, 1: 2.0}, gpus=TWO, weights_gib=4.0)) == ()


class TestAContextThatTheRuntimeHasChosen:
    """``--fit-ctx`` is the least that it may choose; what it has chosen is what the server says."""

    def test_is_expected_as_the_server_tells_it(self, llama: ModelFacts) -> None:
        """It says 4096."""
        machine = told("-fit on -fitc 2048", llama, 4.7, gpus=[card(6)], weights_gib=4.4)
        assert (picture(machine).level, machine.alerts()) == ("ok", [])
        assert "context 0.5" in facts(machine)[0][1]

    def test_one_that_was_asked_for_and_is_not_there_is_an_alarm(self, llama: ModelFacts) -> None:
        machine = told("-c 32768 -ngl 99", llama, 4.7, gpus=[card(12)], weights_gib=4.4)
        assert machine.alerts("likely_spill")
        assert "context 4.0" in facts(machine)[0][1]


class TestTensorsWithACardOfTheirOwn:
    """``-ngl 0 -ot exps=CUDA0``: the layers are in RAM, their experts are not."""

    def test_are_a_choice_with_the_bytes_of_both_sides(self, moe: ModelFacts) -> None:
        machine = told("-c 16384 -ngl 0 -ot exps=CUDA0", moe, 15.5, gpus=[card(24)])
        model = picture(machine)
        assert (model.level, machine.alerts()) == ("watch", [])
        assert model.sentence.startswith(
            "m keeps 2.3 GiB in RAM by choice (-ngl 0 --override-tensor): about 27 tok/s"
        )
        said = words(machine)
        assert "to be expected on GPU: 15.5 GiB: experts 15.2, buffers 0.3" in said
        assert "to be expected in RAM: 2.4 GiB: layers 0.5, output 0.2, embedding 0.2, context 1.5" in said
        assert facts(machine) == [("expected", "15.5 GiB: experts 15.2, buffers 0.3", SETTINGS)]

    @pytest.mark.parametrize(("measured", "alarms"), [(13.95, 0), (13.7, 1)])
    def test_less_there_than_was_told_is_an_alarm(
        self, moe: ModelFacts, measured: float, alarms: int
    ) -> None:
        """A tenth of the weights may be missing: 1.6 of 15.4 GiB."""
        machine = told("-c 16384 -ngl 0 -ot exps=CUDA0", moe, measured, gpus=[card(24)])
        assert len(machine.alerts("likely_spill")) == alarms

    def test_a_pattern_that_meets_nothing_leaves_it_on_the_cpu(self, moe: ModelFacts) -> None:
        machine = told("-c 16384 -ngl 0 -ot nothing=CUDA0", moe, 0.0, gpus=[card(24)])
        assert "runs on the CPU by choice (-ngl 0)" in picture(machine).sentence

    def test_beside_some_layers(self, moe: ModelFacts) -> None:
        machine = told(r"-c 16384 -ngl 20 -ot blk\.[0-9]\.=CUDA0", moe, 10.2, gpus=[card(24)])
        assert machine.alerts() == []
        assert "by choice (-ngl 20 --override-tensor)" in picture(machine).sentence
