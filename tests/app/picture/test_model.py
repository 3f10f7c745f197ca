"""What the picture of one model says where row, verdict and snapshot used to differ, or were wrong."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.diagnosis.scenes import Scene
from tests.fakes.process_samples import answer, holding, processes, runner
from tests.fakes.samples import GIB, START, claim, gpu, nvml, ollama
from tests.fakes.served_samples import FACTS, alone
from tests.scene import Machine, after

from gpumon.app.picture.model import ModelPicture
from gpumon.app.snapshot.build import build_snapshot
from gpumon.collectors.samples import GpuSlow, NvmlSample


def only(machine: Machine) -> ModelPicture:
    [model] = machine.pictures.models()
    return model


def seen(scene: Scene, looks: int = 2) -> Machine:
    return after(*(sample for at in range(looks) for sample in scene.samples(float(at))))


def test_without_a_gpu_nothing_spills() -> None:
    model = only(after(nvml(0, state="absent"), ollama(1, [claim(ram_gib=5.0, gpu_gib=0.0)])))
    assert (model.memory.spill_percent, model.ram_percent, model.level) == ("", "100%", "ok")


def test_the_cpu_by_choice_is_told_as_a_choice_and_no_alarm() -> None:
    machine = seen(Scene(gpu_layers=0, on_gpu_gib=0.0, in_ram_gib=8.0))
    model = only(machine)
    assert model.memory.spill_percent == ""
    assert "on the CPU by choice (num_gpu 0)" in model.notes
    assert (model.level, machine.pictures.health().level) == ("ok", "ok")
    assert machine.alert("spill") is None


@pytest.mark.parametrize(("claimed_gib", "level"), [(8.0, "ok"), (8.1, "watch"), (12.0, "bad")])
def test_a_claim_above_all_cards_together_is_never_well(claimed_gib: float, level: str) -> None:
    scene = Scene(total_gib=8.0, on_gpu_gib=claimed_gib, in_ram_gib=0.0)
    unmeasured = [
        replace(one, gpus=tuple(replace(card, processes=None) for card in one.gpus))
        if isinstance(one, NvmlSample)
        else one
        for one in scene.samples()
    ]
    machine = after(*unmeasured)
    assert only(machine).level == level
    assert (machine.pictures.health().level, machine.pictures.health().exit_code) == (level, level != "ok")


def test_the_verdict_on_a_claim_above_all_cards_gives_the_arithmetic() -> None:
    scene = Scene(total_gib=8.0, on_gpu_gib=12.0, in_ram_gib=0.0, measured_gib=11.9)
    assert (
        only(seen(scene)).sentence
        == "llama3.1:8b cannot be on the GPU as a whole: 12.0 GiB are claimed there, its GPU has 8.0 GiB, "
        "so at least 4.0 GiB must be in RAM"
    )


def test_on_a_gpu_in_mig_mode_nothing_is_measured() -> None:
    mig = replace(holding(gpu(used_gib=6.3), {}), slow=GpuSlow(mig_mode=True))
    machine = after(
        processes(0, runner()), *(nvml(at, mig) for at in range(3)), ollama(3, [claim(gpu_gib=6.0)])
    )
    model, [entry] = only(machine), build_snapshot(machine.pictures).models
    assert (model.memory.measured_vram_bytes, entry.measured_vram_bytes, entry.measured_vram_by_gpu) == (
        None,
    ) * 3
    assert "VRAM measured: not known (MIG)" in model.notes
    assert model.level == "ok"


def test_weights_that_are_likely_in_ram_are_a_watch_everywhere_and_at_once() -> None:
    machine = after(
        processes(0, alone(), servers=()),
        replace(answer(1, pid=500, processing=False), facts=FACTS),
        processes(1, alone(), servers=()),
        *(nvml(at, holding(gpu(used_gib=2.3), {500: 2.0})) for at in (2, 3, 4)),
    )
    snapshot = build_snapshot(machine.pictures)
    [entry] = snapshot.models
    assert entry.weights_in_ram_estimate_bytes == 3 * GIB
    assert (snapshot.level, entry.level, entry.spill_percent) == ("watch", "watch", "~60%")
    assert "probably spills" in entry.sentence
    assert snapshot.sentence == entry.sentence
    assert machine.pictures.health().exit_code == 1


def test_a_loading_model_is_in_the_snapshot_with_phase_and_no_server() -> None:
    machine = after(processes(0.5, runner(100, None, name="qwen3:14b", started=START)))
    [entry] = build_snapshot(machine.pictures).models
    assert (entry.name, entry.activity, entry.url, entry.digest) == ("qwen3:14b", "loading", None, None)
    assert entry.load is not None
    assert (entry.load.phase, entry.load.fraction) == ("starting", None)
    assert entry.sentence == "qwen3:14b is loading"
