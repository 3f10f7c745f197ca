"""Rows and pages of loads, and what is said of one that is over."""

from __future__ import annotations

import pytest
from tests.fakes.samples import GIB
from tests.scene import Gpu, Loading, Machine, Model, Weights

from gpumon.app.picture.load import LoadPicture
from gpumon.app.state.records import FinishedLoad
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import (
    _load_facts,
    all_rows,
    finished_load_facts,
    load_page,
    load_row,
    model_rows,
)
from gpumon.collectors.samples import RunnerSettings
from gpumon.widgets.views import Fact, ModelRow, Section

NAME = "llama3.1:8b"

LOAD = LoadPicture(
    id="load 100 1.0",
    name="qwen3:14b",
    pid=100,
    phase="weights",
    phase_words="weights 43%",
    fraction=0.43,
    seconds=5.0,
    seconds_left=8.0,
    is_estimate=False,
    time_left="8s left",
    loaded_bytes=4 * GIB,
    target_bytes=9 * GIB,
    bytes_per_second=1.0 * GIB,
    gpu_bytes=3 * GIB,
    vram_by_gpu={"GPU-0": 2 * GIB, "GPU-1": GIB, "GPU-9": GIB},
    ram_bytes=6 * GIB,
    context_length=4096,
    evicted=("a:1b", "b:1b"),
    phase_seconds={"starting": 1.0, "fitting": 2.0},
)
BARE = LoadPicture(
    id="load 100 1.0",
    name="qwen3:14b",
    pid=100,
    phase="starting",
    phase_words="starting",
    fraction=None,
    seconds=1.0,
    seconds_left=None,
    is_estimate=True,
    time_left="",
    loaded_bytes=None,
    target_bytes=9 * GIB,
    bytes_per_second=None,
    gpu_bytes=None,
    vram_by_gpu={},
    ram_bytes=None,
    context_length=None,
    evicted=(),
    phase_seconds={},
)


def told(load: LoadPicture) -> list[tuple[str, str, str]]:
    return [(fact.label, fact.value, fact.origin) for fact in _load_facts(load, {"GPU-0": 0, "GPU-1": 1})]


def test_the_row_shows_how_far_it_is() -> None:
    assert load_row(LOAD) == ModelRow(
        key="load 100 1.0",
        name="qwen3:14b",
        level="ok",
        gpu_bytes=3 * GIB,
        context_length=4096,
        state="weights 43%",
        until="8s left",
        is_loading=True,
        planned_gpu_bytes=9 * GIB,
        notes=(
            "starting 1s, fitting 2s, weights for 2s",
            "1.0 GiB/s",
            "4.0 of 9.0 GiB",
            "a:1b, b:1b made room",
        ),
    )


def test_what_is_not_known_yet_has_no_note() -> None:
    assert load_row(BARE).notes == ("starting for 1s",)


def test_the_page_has_every_figure_with_its_origin() -> None:
    assert told(LOAD) == [
        ("process", "100", "/proc"),
        ("loading for", "5s", "gpumon"),
        ("time left", "8s left", "gpumon"),
        ("weights", "4.0 GiB of 9.0 GiB", "/proc"),
        ("rate", "1.0 GiB/s", "/proc"),
        ("VRAM on GPU 0", "2.0 GiB", "NVML"),
        ("VRAM on GPU 1", "1.0 GiB", "NVML"),
        ("RAM resident", "6.0 GiB", "/proc"),
        ("  starting", "1s", "gpumon"),
        ("  fitting", "2s", "gpumon"),
        ("made room for it", "a:1b, b:1b", "gpumon"),
    ]


def test_a_time_by_a_rule_of_thumb_is_an_estimate_and_an_unknown_one_a_dash() -> None:
    assert ("time left", "-", "estimate") in told(BARE)


def test_the_page_is_headed_by_what_goes_on() -> None:
    machine = Machine()
    machine.ollama().starts(Model(blob=None, settings={"model_name": "qwen3:14b"}))
    pictures = machine.look("driver").look("processes", at=0.5).pictures
    [row] = pictures.loads()
    page = load_page(row.id, pictures)
    assert page.verdict.level == "ok"
    assert page.verdict.sentence.startswith(f"loading qwen3:14b: {row.phase_words}")
    assert page.facts[0] == Fact("process", "100", "/proc")


def test_the_page_of_one_that_is_over_says_so() -> None:
    page = load_page("load 1 1.0", Machine().look("driver").pictures)
    assert (page.verdict.level, page.verdict.sentence) == ("unknown", "this load is over")
    assert page.facts == ()


def test_a_model_whose_load_was_not_seen_says_nothing_of_it() -> None:
    assert finished_load_facts(None) == []


def test_a_load_that_was_seen_is_told_phase_by_phase() -> None:
    load = FinishedLoad(
        key=None,  # type: ignore[arg-type]
        settings=RunnerSettings(),
        name="qwen3:14b",
        started=0.0,
        ended=9.0,
        outcome="loaded",
        total_seconds=9.0,
        phase_seconds={"warm_up": 1.0, "weights": 8.0},
        peak_vram_bytes=5 * GIB,
        vram_by_gpu={},
        evicted=("a:1b",),
    )
    assert [(fact.label, fact.value, fact.origin) for fact in finished_load_facts(load)] == [
        ("load took", "9s", "gpumon"),
        ("  weights", "8s", "gpumon"),
        ("  warm-up", "1s", "gpumon"),
        ("VRAM at its peak", "5.0 GiB", "NVML"),
        ("made room for it", "a:1b", "gpumon"),
    ]


class TestForecast:
    """What will come of a load is on its page, and afterwards beside what has come."""

    @pytest.fixture
    def machine(self) -> Machine:
        machine = Machine(Gpu(gib=6.0), ram_gib=64.0)
        server = machine.ollama()
        known = server.load(Model(NAME, weights=Weights(), context=4096, gpu_gib=5.5))
        machine.run(2)
        server.models.remove(known)
        machine.run(3)
        model = Model(
            NAME,
            weights=Weights(),
            context=4096,
            pid=200,
            gpu_gib=4.4,
            ram_gib=1.2,
            kind="llama_server",
            loading=Loading(weights_gib=4.9),
            settings={"context_length": 4096},
        )
        server.starts(model)
        return machine.run(2)

    def sections(self, machine: Machine) -> dict[str, Section]:
        [row] = all_rows(machine.pictures)
        page = load_page(row.key, machine.pictures)
        return {one.title: one for one in page.sections}

    def test_the_page_of_a_load_says_what_it_takes_where_and_how_much_spills(self, machine: Machine) -> None:
        found = {fact.label: fact for fact in self.sections(machine)["FORECAST"].facts}
        assert found["needs"].value == "5.5 GiB of VRAM; 5.5 GiB free for it"
        assert found["in RAM"].level == "watch"
        assert found["what helps"].value
        assert list(found)[:3] == ["needs", "on GPU", "in RAM"]

    def test_its_bars_show_what_is_still_to_come(self, machine: Machine) -> None:
        bars = {row.label: row for row in self.sections(machine)["MEMORY"].bars}
        assert [part.role for part in bars["on GPU"].parts][-1] == "planned"
        assert bars["on GPU"].note.startswith("of 4.")

    def test_when_it_is_loaded_the_forecast_stands_beside_the_result(self, machine: Machine) -> None:
        said = {fact.label: fact.value for fact in self.sections(machine)["FORECAST"].facts}
        machine.servers[0].models[-1].is_claimed = True
        machine.goes_on(30)
        [row] = model_rows(machine.pictures)
        page = model_page(row.key, machine.pictures, 300.0)
        [section] = [one for one in page.sections if one.title == "FORECAST AND RESULT"]
        rows = {one.label: one for one in section.bars}
        assert rows["on GPU"].note == f"forecast {said['on GPU']}"
        assert rows["on GPU"].figure.endswith(" GiB"), "as the driver measures it"
        assert rows["in RAM"].figure == "1.2 GiB"

    def test_a_model_whose_load_was_not_seen_has_no_forecast(self) -> None:
        machine = Machine()
        machine.ollama().load(Model(NAME))
        [row] = model_rows(machine.run(3).pictures)
        titles = [one.title for one in model_page(row.key, machine.pictures, 300.0).sections]
        assert "FORECAST AND RESULT" not in titles
