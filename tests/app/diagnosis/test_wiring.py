"""Figures of a diagnosis that no line of its report shows, and what decides between two answers."""

from __future__ import annotations

import pytest
from tests.app.diagnosis.scenes import Other, Scene, decoding, diagnosed, remedy, verdict
from tests.fakes.samples import GIB, START
from tests.scene import Gpu, Machine, Model, Program, Weights, loaded

from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.diagnosis.diagnosis import Diagnosis
from gpumon.collectors.samples import LogEvent


def gib(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else round(size_bytes / GIB, 2)


class TestWhatARemedyFrees:
    @pytest.mark.parametrize(
        ("scene", "action", "frees_gib"),
        [
            (Scene(context=65536), "quantize_cache", 3.75),
            (Scene(context=65536), "shrink_context", 2.2),
            (Scene(context=65536), "smaller_quantization", 2.37),
            (Scene(context=16384, parallel=4), "reduce_parallel", 4.0),
            (Scene(others=[Other("qwen3:8b", 7.0)], on_gpu_gib=4.0), "unload_model", 7.0),
            (Scene(others=[Other("blender", 7.0)], on_gpu_gib=4.0), "free_process", 7.0),
            (Scene(on_gpu_gib=0.0, in_ram_gib=5.0), "restart_server", 5.0),
            (Scene(), "reload_model", None),
            (Scene(gpu_layers=20, on_gpu_gib=4.0), "raise_gpu_layers", None),
        ],
    )
    def test_it_is_what_the_model_takes_less_or_others_give_back(
        self, scene: Scene, action: str, frees_gib: float | None
    ) -> None:
        found = remedy(scene, action)
        assert found is not None
        assert gib(found.frees_bytes) == frees_gib
        assert found.expected_tokens_per_second is not None


class TestRates:
    def test_those_of_a_diagnosis_are_each_in_their_place(self) -> None:
        found = diagnosed(Scene(), *decoding(5.0))
        assert found.decode_tokens_per_second_now == pytest.approx(5.0)
        assert found.expected_now is None, "the bandwidth of the RAM is not known"
        assert found.expected_fitting is not None

    def test_beside_another_model_at_work_no_share_is_told(self) -> None:
        model = loaded(Model("a:8b", gpu_gib=6.0, weights=Weights()), Machine(Gpu(name="RTX 3090")))
        other = model.machine.servers[0].load(
            Model("qwen3:8b", gpu_gib=4.0, pid=300, blob="sha256-" + 64 * "b")
        )
        model.request(40.0)
        sentence = diagnose(model.record, model.machine.state).verdict.sentence
        assert sentence == "a:8b is well: 6.0 GiB on GPU, 40 tok/s"
        other.works()
        model.request(40.0)
        sentence = diagnose(model.record, model.machine.state).verdict.sentence
        assert sentence == "a:8b is well: 6.0 GiB on GPU, 40 tok/s beside another model at work"

    def test_without_a_gpu_a_model_in_ram_is_well(self) -> None:
        machine = Machine()
        machine.gpus.clear()
        model = loaded(Model("a:8b", gpu_gib=0.0, ram_gib=5.0, weights=Weights()), machine)
        machine.look()
        found = diagnose(model.record, machine.state).verdict
        assert found.kind == "healthy"
        assert found.evidence[0] == ("in RAM", "5.0 GiB", "/api/ps")


class TestNoGpuUsed:
    """Of a model whose file is not known its claim must have fitted, with a GiB to spare."""

    @staticmethod
    def found(in_ram_gib: float) -> Diagnosis:
        return diagnosed(Scene(described=False, on_gpu_gib=0.0, in_ram_gib=in_ram_gib))

    @pytest.mark.parametrize(("in_ram_gib", "kind"), [(10.75, "gpu_not_used"), (10.76, "unknown")])
    def test_up_to_what_was_free(self, in_ram_gib: float, kind: str) -> None:
        cause = self.found(in_ram_gib).cause
        assert cause is not None
        assert cause.kind == kind

    def test_its_remedy_is_to_start_the_server_again(self) -> None:
        assert [one.action for one in self.found(5.0).remedies] == ["restart_server"]


class TestVerdicts:
    def test_a_model_in_ram_by_choice_is_neither_lost_nor_without_a_gpu(self) -> None:
        log = [LogEvent(kind="no_gpu_found")]
        found = diagnosed(Scene(on_gpu_gib=0.0, in_ram_gib=5.0, gpu_layers=0, log=log))
        assert [one.kind for one in found.verdicts] == ["on_cpu_by_choice"]

    def test_a_part_on_the_gpu_proves_that_it_was_found(self) -> None:
        log = [LogEvent(kind="no_gpu_found")]
        assert verdict(diagnosed(Scene(log=log)), "no_gpu_found") is None

    @pytest.mark.parametrize(("before_gib", "is_lost"), [(0.69, True), (0.67, False)])
    def test_what_it_held_must_have_been_more_than_a_context(self, before_gib: float, is_lost: bool) -> None:
        model = loaded(Model("a:8b", gpu_gib=6.0, measured_gib=before_gib))
        model.machine.run(3)
        model.measured_gib = 0.0
        model.machine.now += 1
        model.machine.run(3)
        kinds = {one.kind for one in diagnose(model.record, model.machine.state).verdicts}
        assert kinds == {"lost_gpu" if is_lost else "silent_fallback"}


class TestWhoIsToBlame:
    def test_memory_that_came_back_before_the_load_is_nobodys(self) -> None:
        machine = Scene(on_gpu_gib=4.0).machine()
        model = machine.servers[0].models[0]
        blender = machine.starts(Program("blender", 7.0, pid=300))
        machine.run(2)
        machine.programs.remove(blender)
        machine.now = 5.0
        machine.run(2)
        model.started = START + 30.0
        model.pid = 101
        machine.now = 40.0
        machine.run(2)
        found = diagnose(model.record, machine.state).cause
        assert found is not None
        assert "blender" not in found.sentence

    @pytest.mark.parametrize(
        ("context", "kind"), [(8192, "other_model"), (32768, "context_request")], ids=["others", "context"]
    )
    def test_where_no_change_alone_would_do_it_is_the_larger_part(self, context: int, kind: str) -> None:
        scene = Scene(
            layer_mib=285, context=context, others=[Other("qwen3:8b", 3.0)], on_gpu_gib=5.0, in_ram_gib=8.0
        )
        found = diagnosed(scene).cause
        assert found is not None
        assert found.kind == kind

    @pytest.mark.parametrize("kind", ["context", "parallel"])
    def test_a_fall_is_blamed_on_what_has_changed(self, kind: str) -> None:
        model = loaded(Model("a:8b"))
        model.usual(40.0)
        model.request(8.0, 16.0, **({"prompt": 60_000} if kind == "context" else {"parallel": 4}))
        model.request(8.0, 16.0, **({"prompt": 60_000} if kind == "context" else {"parallel": 4}))
        found = {one.kind for one in diagnose(model.record, model.machine.state).verdicts}
        assert "below_baseline" not in found

    def test_at_most_three_of_those_who_were_there_are_named(self) -> None:
        others = [Other(f"m{index}:4b", 1.9 - index / 10, pid=200 + index) for index in range(4)]
        found = diagnosed(Scene(others=others, on_gpu_gib=3.0, layer_mib=235, in_ram_gib=5.0)).cause
        assert found is not None
        assert found.sentence == (
            "m0:4b (1.9 GiB), m1:4b (1.8 GiB) and m2:4b (1.7 GiB) were on the GPU before it"
        )
