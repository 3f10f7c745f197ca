"""In MIG mode the driver lists no processes of a whole GPU: what a model holds is not known, never 0."""

from __future__ import annotations

from tests.scene import Gpu, Machine, Model

from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import model_row
from gpumon.collectors.samples import GpuSlow


def mig() -> Machine:
    card = Gpu(gib=40, more={"slow": GpuSlow(mig_mode=True), "processes": ()})
    machine = Machine(card)
    machine.ollama().load(Model("qwen3:8b", gpu_gib=6, measured_gib=0.0))
    return machine.run(10)


def test_the_row_says_that_it_is_not_known() -> None:
    [model] = mig().monitor.pictures.models()
    row = model_row(model)
    assert model.memory.measured_vram_bytes is None
    assert "VRAM measured: not known (MIG)" in row.notes
    assert model.sentence == "qwen3:8b is well: 6.0 GiB on GPU"
    assert "VRAM measured" not in [one.name for one in model.diagnosis.verdict.evidence]


def test_so_do_the_page_and_the_snapshot() -> None:
    machine = mig()
    [model] = machine.monitor.pictures.models()
    facts = {fact.label: fact.value for fact in model_page(model.id, machine.monitor.pictures, 300).facts}
    assert facts["VRAM measured"] == "not known (MIG)"
    [entry] = build_snapshot(machine.monitor.pictures).models
    assert (entry.measured_vram_bytes, entry.measured_vram_by_gpu) == (None, None)
    assert machine.alerts() == []
