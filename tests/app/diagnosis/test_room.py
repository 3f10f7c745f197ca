"""What is free for a model and who holds the rest, and whether it can be told at all."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.diagnosis.scenes import Other, Scene
from tests.fakes.process_samples import holding, processes, runner
from tests.fakes.samples import GIB, claim, gpu, nvml, ollama
from tests.scene import after

from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.diagnosis.room import Room, room_of
from gpumon.app.state.state import State
from gpumon.collectors.samples import AnySample, HolderProcess

FAR = "http://box:11434"


def room(*samples: AnySample) -> Room | None:
    state = after(*samples).state
    [model] = state.models.values()
    return room_of(model, state.runners.get(model.runner) if model.runner else None, state)


def cause(state: State) -> tuple[str, str]:
    found = diagnose(next(one for one in state.models.values() if ":8b" in one.claim.name), state).cause
    assert found is not None
    return found.kind, found.sentence


class TestWithoutItsProcess:
    def test_on_the_one_gpu_it_holds_what_is_claimed(self) -> None:
        found = room(nvml(0, gpu(used_gib=10.0)), ollama(0, [claim(gpu_gib=6.0)]))
        assert found is not None
        assert found.free_bytes == (int(19.5 * GIB),)

    def test_never_more_than_there_is(self) -> None:
        found = room(nvml(0, gpu(used_gib=1.0)), ollama(0, [claim(gpu_gib=6.0)]))
        assert found is not None
        assert found.free_bytes == found.capacity_bytes == (int(23.5 * GIB),)

    def test_on_which_of_several_gpus_it_is_cannot_be_told(self) -> None:
        assert room(nvml(0, gpu(0), gpu(1)), ollama(0, [claim(gpu_gib=6.0)])) is None

    def test_one_that_claims_nothing_is_on_none_of_them(self) -> None:
        found = room(nvml(0, gpu(0), gpu(1)), ollama(0, [claim(gpu_gib=0.0, ram_gib=6.0)]))
        assert found is not None
        assert found.free_bytes == (int(19.5 * GIB),) * 2

    def test_one_that_claims_what_makes_no_sense_is_not_known(self) -> None:
        bare = replace(claim(), size_bytes=None, size_vram_bytes=None)
        assert room(nvml(0, gpu()), ollama(0, [bare])) is None


class TestWhichGpus:
    CLAIM = ollama(0, [claim(gpu_gib=0.0, ram_gib=6.0)])

    def test_in_the_drivers_order_without_those_that_are_lost(self) -> None:
        found = room(
            nvml(0, gpu(2), gpu(0), gpu(1)), nvml(1, gpu(2), gpu(0), gpu(1, state="lost")), self.CLAIM
        )
        assert found is not None
        assert (found.uuids, found.labels) == (("GPU-0", "GPU-2"), ("GPU 0", "GPU 2"))

    @pytest.mark.parametrize(
        "card",
        [gpu(unified=True), gpu(used_gib=None), replace(gpu(), memory=None)],
        ids=["shared", "used unknown", "nothing known"],
    )
    def test_one_whose_memory_is_not_its_own_or_not_known_leaves_it_open(self, card: object) -> None:
        assert room(nvml(0, gpu(1), card), self.CLAIM) is None  # type: ignore[arg-type]

    def test_a_machine_without_one_and_a_server_elsewhere_have_none(self) -> None:
        assert room(self.CLAIM) is None
        assert room(nvml(0, gpu()), ollama(0, [claim()], source=FAR)) is None


class TestOccupants:
    def test_what_one_process_holds_on_several_gpus_is_added_up(self) -> None:
        found = room(
            processes(0, runner(), holders=[HolderProcess(pid=7, name="steam", started=5.0)]),
            nvml(0, holding(gpu(0), {7: 1.0, 100: 2.0}), holding(gpu(1), {7: 2.0, 8: 0.5})),
            ollama(0, [claim(gpu_gib=0.0, ram_gib=6.0)]),
        )
        assert found is not None
        told = [(one.kind, one.name, one.vram_bytes, dict(one.vram_by_gpu)) for one in found.occupants]
        assert ("process", "steam", 3 * GIB, {"GPU-0": GIB, "GPU-1": 2 * GIB}) in told
        assert [one[1] for one in told][-1] == "p8"
        assert [one.started for one in found.occupants if one.name == "steam"] == [5.0]


class TestGone:
    def test_a_process_that_has_gone_since_is_named(self) -> None:
        before = Scene(on_gpu_gib=4.0, others=[Other("blender", 7.0, pid=300), Other("steam", 0.5, pid=301)])
        later = Scene(on_gpu_gib=4.0)
        state = after(*before.samples(0), *before.samples(1), *later.samples(2), *later.samples(3)).state
        assert cause(state) == (
            "foreign_process",
            "blender held 7.0 GiB when it was loaded, and has gone since",
        )

    def test_of_models_that_have_gone_the_largest_is_named(self) -> None:
        before = Scene(on_gpu_gib=2.0, others=[Other("qwen3:14b", 4.0), Other("phi4:14b", 5.0, pid=301)])
        later = Scene(on_gpu_gib=2.0)
        state = after(*before.samples(-90), *before.samples(-80), *later.samples(2), *later.samples(3)).state
        assert cause(state) == (
            "other_model",
            "phi4:14b held 5.0 GiB when it was loaded, and has gone since",
        )
