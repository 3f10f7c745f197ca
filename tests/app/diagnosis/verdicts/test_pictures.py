"""What is said of image generators: loaded in part, by choice, by the traffic to the card, or all is well."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace
from tests.fakes import samples as fakes
from tests.fakes.process_samples import STARTED, processes
from tests.fakes.samples import GIB, START

from gpumon.app.alerts.limits import Limits
from gpumon.app.diagnosis.diagnosis import Verdict
from gpumon.app.insight.unloading import unload_outcome, unloading_of
from gpumon.app.monitor import Monitor
from gpumon.app.picture.model import ModelPicture
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.views.band import band_view
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import model_row
from gpumon.collectors.samples import (
    GpuProcess,
    LoadFacts,
    PictureJob,
    RunnerProcess,
    RunnerSettings,
    WorkCounters,
    WorkSample,
)
from gpumon.widgets.views import JobView

PID = 700
URL = "http://127.0.0.1:8188"
WHOLE = LoadFacts(
    build="0.38.1",
    model_path="sd_xl_base_1.0.safetensors",
    model_type="SDXL",
    weights_bytes=5 * GIB,
    weights_on_gpu_bytes=5 * GIB,
)
IN_PART = replace(WHOLE, weights_on_gpu_bytes=3 * GIB)
UNTOLD = LoadFacts(build="0.38.1", model_path="sd_xl_base_1.0.safetensors")
HALF = replace(WHOLE, weights_bytes=None, weights_on_gpu_bytes=3 * GIB)


@dataclass
class Generator:
    """A ComfyUI alone on a card of this machine, asked on the port of its process."""

    facts: LoadFacts = UNTOLD
    offload: str | None = None
    received: float = 1e6
    held_gib: float = 6.6
    monitor: Monitor = field(default_factory=lambda: Monitor(Limits()))
    now: float = 0.0

    def look(self, job: PictureJob | None = None) -> ModelPicture:
        settings = RunnerSettings(model_name="ComfyUI", port=8188, offload=self.offload)
        process = RunnerProcess(pid=PID, started=STARTED, kind="comfyui", settings=settings, cpu_percent=5.0)
        reading = replace(
            fakes.gpu(used_gib=7.0, total_gib=12.0),
            processes=(GpuProcess(pid=PID, vram_bytes=int(self.held_gib * GIB)),),
            pcie_receive_bytes_per_second=self.received,
        )
        counters = WorkCounters(grows_live=True, requests_processing=int(job is not None))
        said = WorkSample(
            *("ready", None, None, self.facts, None, counters),
            origin="/internal/logs/raw",
            job=job,
            time=START + self.now,
            source=f"runner {PID}",
            pid=PID,
            started=STARTED,
            port=8188,
        )
        for sample in (fakes.nvml(self.now, reading), processes(self.now, process, servers=()), said):
            self.monitor.feed(sample)
        self.now += 1.0
        [found] = self.monitor.pictures.models()
        self.monitor.pictures.refresh(found.key)
        [found] = self.monitor.pictures.models()
        return found

    def draw(self, looks: int = 5, job_id: str = "a", **job: object) -> ModelPicture:
        for step in range(1, looks + 1):
            told: dict[str, Any] = {
                "step": step,
                "step_count": 20,
                "seconds_per_step": 1.4,
                "width": 1024,
                "height": 1024,
            }
            found = self.look(PictureJob(job_id=job_id, **(told | job)))
        return found


def verdict(picture: ModelPicture) -> Verdict:
    return picture.diagnosis.verdict


def test_one_at_rest_is_a_row_with_what_the_driver_measures() -> None:
    generator = Generator(LoadFacts())
    generator.look()
    found = generator.look()
    row = model_row(found)
    assert (row.name, row.state, row.level, row.gpu_bytes) == ("ComfyUI", "idle", "ok", int(6.6 * GIB))
    assert row.makes_pictures
    assert verdict(found).sentence == "ComfyUI is idle, 6.6 GiB of VRAM"


def test_a_picture_under_way_is_in_the_row_the_page_and_the_snapshot() -> None:
    generator = Generator(WHOLE)
    generator.look()
    found = generator.draw(7, started=START + 1.0, waiting=2, batch_size=2)
    assert model_row(found).job == JobView(7, 20, 1.4, 6.0)
    page = model_page(found.id, generator.monitor.pictures, 60.0)
    section = next(one for one in page.sections if one.title == "PICTURE UNDER WAY")
    facts = {fact.label: fact.value for fact in section.facts}
    assert facts["a step takes"] == "1.4 s/it"
    assert facts["size"] == "1024x1024, 2 at once"
    assert facts["queued behind it"] == "2"
    assert facts["time left"].startswith("about 18s")
    assert section.bars[0].figure == "7/20"
    [entry] = build_snapshot(generator.monitor.pictures).models
    assert entry.picture is not None
    assert (entry.picture.step, entry.picture.seconds_per_step, entry.picture.waiting) == (7, 1.4, 2)
    assert verdict(found).sentence == "sd_xl_base_1.0 is well: 5.0 GiB on GPU, 1.4 s/it"


def test_the_page_says_nothing_of_tokens_slots_or_layers() -> None:
    generator = Generator(WHOLE)
    found = generator.draw()
    page = model_page(found.id, generator.monitor.pictures, 60.0)
    words = [
        f"{fact.label} {fact.value}" for fact in (*page.facts, *(f for s in page.sections for f in s.facts))
    ]
    assert not [
        line for line in words if any(word in line for word in ("tok", "slot", "layer", "context", "KV"))
    ]


def test_one_that_is_loaded_in_part_says_how_much_and_what_it_costs() -> None:
    generator = Generator(WHOLE)
    generator.draw()
    generator.look()
    generator.facts = IN_PART
    found = generator.draw(job_id="b", seconds_per_step=5.2)
    said = verdict(found)
    assert (said.kind, said.severity) == ("spilled", "watch"), "40 % of it moves over PCIe: no alarm"
    assert said.sentence.startswith("sd_xl_base_1.0 is loaded in part: 2.0 of 5.0 GiB stay in RAM since ")
    assert said.sentence.endswith(": 5.2 s/it, 1.4 s/it before")
    row = model_row(found)
    assert (row.spill_percent, row.gpu_bytes, row.ram_bytes) == ("40%", int(6.6 * GIB), 2 * GIB)
    line = 'curl -X POST http://127.0.0.1:8188/free -d \'{"unload_models":true,"free_memory":true}\''
    assert [one.command for one in found.diagnosis.remedies] == [line]
    band = band_view(generator.monitor.pictures)
    assert (band.head, band.remedy) == ("IN PART", line)
    assert band.facts[:2] == ("2.0 of 5.0 GiB stay in RAM", "5.2 s/it, 1.4 s/it before")


def test_most_of_it_in_ram_is_bad() -> None:
    generator = Generator(replace(WHOLE, weights_on_gpu_bytes=GIB))
    assert verdict(generator.draw()).severity == "bad"


def test_many_pictures_at_once_are_named_as_what_takes_the_room() -> None:
    found = Generator(IN_PART).draw(batch_size=4)
    assert found.diagnosis.remedies[0].sentence == "draw fewer pictures at once than 4"
    large = Generator(IN_PART).draw(width=2048, height=2048)
    assert "smaller than 2048x2048" in large.diagnosis.remedies[0].sentence


def test_what_the_user_keeps_in_ram_is_told_as_a_choice() -> None:
    found = Generator(IN_PART, offload="--lowvram").draw()
    assert (verdict(found).kind, verdict(found).severity) == ("in_ram_by_choice", "ok")
    assert "by choice (--lowvram)" in verdict(found).sentence
    assert found.diagnosis.remedies == ()
    untold = Generator(UNTOLD, offload="--lowvram", received=9e9).draw()
    assert verdict(untold).sentence.endswith("it keeps weights in RAM by choice (--lowvram)")
    assert untold.level == "ok"


def test_a_part_of_unknown_size_is_said_to_be_that() -> None:
    found = Generator(HALF).draw()
    words = "sd_xl_base_1.0 is loaded in part: 3.0 GiB of it on GPU, the rest is not told: 1.4 s/it"
    assert (verdict(found).kind, verdict(found).sentence) == ("loaded_in_part", words)


def test_traffic_to_the_card_is_told_as_a_sign() -> None:
    found = Generator(UNTOLD, received=9.8 * GIB).draw()
    assert (verdict(found).kind, verdict(found).severity) == ("streams_weights", "watch")
    assert "9.8 GiB/s over PCIe while it draws; a sign, no proof" in verdict(found).sentence


@pytest.mark.parametrize(
    "generator",
    [
        pytest.param(Generator(UNTOLD, received=2e8), id="little traffic"),
        pytest.param(Generator(IN_PART, received=9e9), id="it is told"),
    ],
)
def test_traffic_is_no_sign(generator: Generator) -> None:
    assert verdict(generator.draw()).kind != "streams_weights"


def test_there_is_no_sign_while_nothing_is_drawn() -> None:
    generator = Generator(UNTOLD, received=9e9)
    for _ in range(6):
        found = generator.look()
    assert verdict(found).kind == "drawing"


def test_no_alert_of_a_token_rate_comes_of_it() -> None:
    generator = Generator(WHOLE)
    for number in range(12):
        generator.draw(job_id=str(number), seconds_per_step=1.0 + number)
        generator.look()
    assert [one.kind for one in generator.monitor.alerts.active] == []


def test_one_that_has_freed_its_model_is_unloaded_though_it_goes_on() -> None:
    generator = Generator(WHOLE)
    generator.look()
    found = generator.look()
    state = generator.monitor.state
    asked = unloading_of(state.models[found.key], state)
    generator.look()
    assert unload_outcome(asked, state) is None
    generator.held_gib, generator.facts = 0.4, LoadFacts()
    generator.look()
    outcome = unload_outcome(asked, state)
    assert outcome is not None
    assert outcome.kind == "unloaded"
    assert outcome.returned_bytes == pytest.approx(6.2 * GIB, rel=0.01)


def test_an_alert_ends_when_all_of_it_is_on_the_gpu_again() -> None:
    generator = Generator(IN_PART)
    generator.draw()
    assert [one.kind for one in generator.monitor.alerts.active] == ["spill"]
    generator.facts = WHOLE
    for _ in range(15):
        generator.look()
    assert [one.kind for one in generator.monitor.alerts.active] == []


def test_steps_of_another_model_are_no_measure() -> None:
    generator = Generator(replace(WHOLE, model_path="quick.safetensors"))
    generator.draw(seconds_per_step=0.3)
    generator.look()
    generator.facts = IN_PART
    found = generator.draw(job_id="b", seconds_per_step=2.9)
    assert verdict(found).sentence.endswith(": 2.9 s/it")
