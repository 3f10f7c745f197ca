"""A machine without a GPU: nothing spills there, and every surface says so in the same words."""

from __future__ import annotations

import json

import msgspec
from tests.fakes.process_samples import answer, processes, runner
from tests.fakes.samples import START
from tests.scene import Machine, Model

from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.views.dashboard import memory_row
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import load_rows, model_row
from gpumon.widgets.kit.lines import UNICODE
from gpumon.widgets.memory_panel import memory_line
from gpumon.widgets.model_panel import model_lines


def without_gpu(model: Model | None = None) -> Machine:
    machine = Machine()
    machine.gpus, machine.driver = [], "absent"
    server = machine.ollama()
    if model is not None:
        server.load(model)
    machine.run(5)
    return machine


def small() -> Model:
    return Model("smollm:135m", gpu_gib=0.0, ram_gib=0.27)


def drawn(machine: Machine) -> str:
    [model] = machine.monitor.pictures.models()
    lines = model_lines([model_row(model)], 160, UNICODE, 2)
    lines.append(memory_line(memory_row(machine.monitor.pictures), 160, UNICODE))
    return "\n".join("".join(span.text for span in line) for line in lines)


def roles(machine: Machine) -> set[str]:
    [model] = machine.monitor.pictures.models()
    lines = model_lines([model_row(model)], 160, UNICODE, 2)
    lines.append(memory_line(memory_row(machine.monitor.pictures), 160, UNICODE))
    return {span.role for line in lines for span in line}


def test_a_model_is_in_ram_where_it_belongs() -> None:
    machine = without_gpu(small())
    health = machine.monitor.pictures.health()
    assert (health.level, health.exit_code) == ("ok", 0)
    assert health.sentence == "1 model in RAM, no GPU here"
    [model] = machine.monitor.pictures.models()
    assert model.sentence == "smollm:135m is well: 0.3 GiB in RAM, no GPU here"
    assert machine.alerts() == []


def test_no_word_and_no_colour_of_an_alarm_is_drawn() -> None:
    machine = without_gpu(small())
    words = drawn(machine)
    assert "in RAM, no GPU here" in words
    assert "spill" not in words.casefold()
    assert "GPU " not in words.replace("no GPU here", "")
    assert not {"ram", "bad", "watch"} & roles(machine)


def test_nor_stands_one_on_its_page_or_in_the_snapshot() -> None:
    machine = without_gpu(small())
    [model] = machine.monitor.pictures.models()
    page = model_page(model.id, machine.monitor.pictures, 300)
    assert "spill" not in " ".join(fact.label + fact.value for fact in page.facts).casefold()
    assert [chart.series[0].label for chart in page.charts][:1] == ["in RAM"]
    assert [chart.series[0].role for chart in page.charts][:1] == ["model"]
    assert "ram" not in {part.role for one in page.sections for row in one.bars for part in row.parts}
    [entry] = build_snapshot(machine.monitor.pictures).models
    said = json.loads(msgspec.json.encode(entry))
    assert (said["level"], said["spill_percent"]) == ("ok", None)
    assert "spill" not in said["sentence"] + said["verdict"]["sentence"]


def test_a_claim_of_nothing_is_no_unknown_placement_beside_100_percent_cpu() -> None:
    machine = without_gpu(Model("smollm:135m", gpu_gib=0.0, ram_gib=0.0))
    [model] = machine.monitor.pictures.models()
    assert (model.level, model.memory.processor) == ("ok", "100% CPU")
    assert model.sentence == "smollm:135m is well: in RAM, no GPU here"
    assert machine.monitor.pictures.health().sentence == "1 model in RAM, no GPU here"


def test_with_a_gpu_such_a_claim_says_nothing_on_any_surface() -> None:
    machine = Machine()
    machine.ollama().load(Model("smollm:135m", gpu_gib=0.0, ram_gib=0.0))
    machine.run(5)
    [model] = machine.monitor.pictures.models()
    assert (model.level, model.memory.processor) == ("unknown", "Unknown")


def test_a_load_reads_weights_and_fits_nothing() -> None:
    machine = without_gpu()
    loading = runner(100, None, name="smollm:135m", started=START + machine.now)
    machine.say(processes(machine.now, loading), answer(machine.now, "loading", started=loading.started))
    machine.now += 1
    machine.say(processes(machine.now, loading), answer(machine.now, "loading", started=loading.started))
    [row] = load_rows(machine.monitor.pictures)
    assert row.state.startswith("weights")


def alone(makers: tuple[str, ...] = ()) -> Machine:
    """Return a machine without NVIDIA's driver and with one llama-server, which claims nothing."""
    machine = Machine()
    machine.gpus, machine.driver = [], "absent" if makers else "idle"
    machine.other_makers = makers
    machine.llama_server(0.0).rss_gib = 1.0
    machine.run(5)
    return machine


def test_a_process_that_claims_nothing_is_in_ram_too() -> None:
    machine = alone()
    [model] = machine.monitor.pictures.models()
    assert (model.level, model.sentence) == ("ok", f"{model.label} is well: 1.0 GiB in RAM, no GPU here")
    [evidence, *_] = model.diagnosis.verdict.evidence
    assert (evidence.value, evidence.source) == ("1.0 GiB", "/proc"), "the driver has said nothing"
    health = machine.monitor.pictures.health()
    assert (health.level, health.sentence, health.exit_code) == ("ok", "1 model in RAM, no GPU here", 0)
    assert "1.0" in drawn(machine)
    assert machine.alerts() == []


def test_beside_a_gpu_of_another_maker_it_is_not_known_where_it_is() -> None:
    machine = alone(("AMD",))
    [model] = machine.monitor.pictures.models()
    assert model.level == "unknown"
    health = machine.monitor.pictures.health()
    assert "no GPU here" not in health.sentence + drawn(machine)
    assert health.level == "unknown"


def test_nor_does_it_matter_by_which_address_its_server_is_reached() -> None:
    """A child of a router that another user has started is reached by none."""
    machine = alone()
    assert machine.state.holds_all_in_ram("process 500")
    assert not machine.state.holds_all_in_ram("http://far.example:8080")
