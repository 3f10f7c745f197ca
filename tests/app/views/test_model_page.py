"""The page of a model: each figure with where it comes from, and its charts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.views.changed import changed
from tests.fakes.samples import GIB, START, claim
from tests.scene import Gpu, Machine, Model, Weights, loaded

from gpumon.app.diagnosis.diagnosis import Diagnosis, Verdict
from gpumon.app.insight.wording import model_id
from gpumon.app.physics.hardware import Band
from gpumon.app.picture.details import ModelDetails
from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.records import Prediction
from gpumon.app.views.model_charts import charts
from gpumon.app.views.model_page import learned_facts, model_facts, model_page
from gpumon.app.views.models import model_row
from gpumon.app.views.page import (
    PageView,
    about,
    of_maximum,
    prefixed,
    window_of,
)
from gpumon.collectors.samples import RateBaseline
from gpumon.collectors.servers.registry import kind_named
from gpumon.text import units
from gpumon.widgets.views import ChartView, Fact, Trend


def details_of(model: Model | None = None) -> ModelDetails:
    model = model or loaded(Model("a", gpu_gib=10.0, quantization="Q4_K_M"))
    model.machine.run(3)
    details = model.monitor.pictures.details(model.record.key)
    assert details is not None
    return details


def said(details: ModelDetails) -> dict[str, Fact]:
    return {fact.label: fact for fact in model_facts(details, {"GPU-0": 0})}


def pictured(**fields: object) -> dict[str, Fact]:
    details = details_of()
    return said(changed(details, **fields))


class TestClaim:
    """What its server claims."""

    def test_every_figure_has_the_server_as_its_origin(self) -> None:
        full = replace(
            claim("a"), quantization="Q4_K_M", parameter_size="8.0B", family="llama", context_length=4096
        )
        found = pictured(claim=full)
        claimed = {
            "digest": "sha-a",
            "size claimed": "10.0 GiB",
            "on GPU": "10.0 GiB",
            "in RAM": "0 KiB",
            "processor": "100% GPU",
            "context": "4096 tokens per slot",
            "quantisation": "Q4_K_M",
            "parameters": "8.0B",
            "family": "llama",
        }
        assert {label: found[label].value for label in claimed} == claimed
        assert {found[label].origin for label in claimed} == {"/api/ps"}
        assert found["server"] == Fact("server", "Ollama at 127.0.0.1:11434", "gpumon")

    def test_what_it_does_not_say_is_a_dash(self) -> None:
        bare = replace(claim("a", digest=None), context_length=None)
        found = pictured(claim=bare)
        labels = ("digest", "quantisation", "parameters", "family")
        assert [found[label].value for label in labels] == 4 * ["-"]
        assert found["context"].value == "-"

    def test_a_spill_is_an_alarm_and_called_one(self) -> None:
        found = said(details_of(loaded(Model(gpu_gib=6.0, ram_gib=2.0))))
        assert (found["in RAM"].value, found["in RAM"].level) == ("2.0 GiB", "bad")
        assert (found["spilled"].value, found["spilled"].level) == ("25%", "bad")
        assert "part in RAM" not in found

    def test_a_part_in_ram_by_choice_is_neither(self) -> None:
        found = pictured(ram_bytes=2 * GIB, spill_percent="")
        assert (found["part in RAM"].level, found["in RAM"].level) == (None, None)
        assert "spilled" not in found

    def test_a_server_that_claims_no_memory_tells_its_file_instead(self) -> None:
        found = pictured(claims_memory=False)
        assert "build" in found
        assert "digest" not in found
        assert "geometry" not in found


class TestTimes:
    """Since when, and until when."""

    def test_when_it_was_first_seen_and_what_it_does_are_told(self) -> None:
        found = pictured(first_seen=START, doing="busy", until="4 minutes from now", spilled_since=None)
        assert found["seen since"].value == units.clock(START)
        assert (found["state"].value, found["kept until"].value) == ("busy", "4 minutes from now")
        assert found["kept until"].origin == "/api/ps"
        assert "spilled since" not in found

    def test_since_when_it_spills_is_told_where_it_does(self) -> None:
        assert pictured(spilled_since=START + 5)["spilled since"].value == units.clock(START + 5)

    def test_a_server_that_keeps_models_for_ever_has_no_time(self) -> None:
        assert "kept until" not in pictured(kind=kind_named("llama_server"))

    def test_an_unknown_time_is_a_dash(self) -> None:
        assert pictured(until=None)["kept until"].value == "-"


class TestGeometry:
    """What its file holds."""

    def test_until_it_is_known_that_is_said(self) -> None:
        details = replace(details_of(), facts=None)
        assert said(details)["geometry"] == Fact("geometry", "not known yet", "/api/show")

    def test_it_is_told_as_the_file_has_it(self) -> None:
        details = details_of(loaded(Model("a", weights=Weights())))
        assert details.facts is not None
        details = replace(details, facts=replace(details.facts, capabilities=("tools", "vision")))
        found = said(details)
        assert [found[label].value for label in ("architecture", "layers", "trained context")] == [
            "llama",
            "32",
            "131072 tokens",
        ]
        assert (found["embedding length"].value, found["capabilities"].value) == ("4096", "tools, vision")

    def test_a_file_that_does_not_say_has_dashes(self) -> None:
        found = said(details_of())
        assert (found["architecture"].value, found["capabilities"].value) == ("-", "-")


class TestLearned:
    """What earlier runs have taught."""

    def learned(self, **fields: object) -> dict[str, Fact]:
        return {fact.label: fact for fact in learned_facts(replace(details_of(), **fields))}

    @pytest.mark.parametrize(("parallel", "words"), [(1, ""), (2, ", each of 2 requests")])
    def test_requests_at_once_are_told_where_there_were_several(self, parallel: int, words: str) -> None:
        usual = RateBaseline(
            digest="d",
            gpu_uuids=("GPU-0",),
            context_tokens_up_to=4096,
            parallel=parallel,
            decode_tokens_per_second=40.0,
            spread_tokens_per_second=1.0,
            request_count=9,
            updated=START,
        )
        found = self.learned(usual=usual)["usual rate"]
        assert found.value == f"40 tok/s, up to 4k tokens in the context{words}"
        assert found.origin == "learned from 9 requests"

    def test_an_error_has_no_sign(self) -> None:
        low = Prediction(("GPU-0",), 9 * GIB, 9.0 * GIB, 10 * GIB)
        assert self.learned(prediction=low)["VRAM when wholly on GPU"].value == (
            "predicted 9.0 GiB, measured 10.0 GiB, error 10%"
        )


def page_of(model: Model, seconds: int = 3) -> PageView:
    model.machine.run(seconds)
    return model_page(model_id(model.record.key), model.monitor.pictures, 300.0)


class TestPage:
    """The page as a whole."""

    def test_one_that_has_gone_says_so(self) -> None:
        page = model_page("http://gone sha", Machine().look("driver").pictures, 300.0)
        assert (page.verdict.level, page.verdict.sentence) == ("unknown", "this model is no longer loaded")
        assert (page.facts, page.charts, page.sections, page.beside) == ((), (), (), ())

    def test_one_that_is_well_begins_with_what_it_does(self) -> None:
        titles = [one.title for one in page_of(loaded(Model(gpu_gib=6.0))).sections]
        assert titles == ["NOW", "MEMORY"]

    def test_one_that_spills_begins_with_why(self) -> None:
        page = page_of(loaded(Model(gpu_gib=6.0, ram_gib=2.0)))
        assert [one.title for one in page.sections] == ["WHY", "MEMORY", "NOW"]

    def test_what_the_sections_say_is_not_among_the_rest(self) -> None:
        rest = [fact.label for fact in page_of(loaded(Model(gpu_gib=6.0, ram_gib=2.0))).rest]
        assert {"digest", "process", "family"} <= set(rest)
        assert not {"on GPU", "in RAM", "spilled", "VRAM measured", "kept until", "state"} & set(rest)

    def charts(self, *, measured: bool = True, ram_gib: float = 2.0) -> dict[str, ChartView]:
        model = loaded(Model(gpu_gib=6.0, ram_gib=ram_gib), Machine(Gpu(gib=12.0, lists_processes=measured)))
        model.usual(40.0, count=1)
        page = model_page(model_id(model.record.key), model.monitor.pictures, 300.0)
        return {chart.title: chart for chart in page.charts}

    def test_memory_is_stacked_below_the_line_of_the_card(self) -> None:
        memory = self.charts()["memory"]
        assert [(line.label, line.role, line.value) for line in memory.series] == [
            ("on GPU", "model", "6.0"),
            ("in RAM", "ram", "2.0"),
        ]
        assert (memory.unit, memory.stacked, memory.limit) == ("GiB", True, 12.0)
        assert memory.limit_words == "GPU 0 12.0"
        assert [newest(line.values) for line in memory.series] == [6.0, 2.0]

    def test_what_is_on_the_gpu_alone_is_one_area(self) -> None:
        assert [line.label for line in self.charts(ram_gib=0.0)["memory"].series] == ["on GPU"]

    def test_a_card_whose_model_is_not_measured_is_the_only_one(self) -> None:
        assert self.charts(measured=False)["memory"].limit == 12.0

    def test_rates_are_drawn_where_there_were_any(self) -> None:
        rate = self.charts()["tok/s"]
        assert newest(rate.series[0].values) == 40.0
        assert rate.series[0].role == "rate"
        quiet = details_of().picture
        machine = loaded(Model("a")).machine.look("driver", "servers")
        page = model_page(quiet.id, machine.pictures, 300.0)
        assert [chart.title for chart in page.charts] == ["memory"]

    def test_the_rate_of_the_card_is_a_line_where_it_is_known(self) -> None:
        band = Band(37.0, 47.0, 59.0)
        found = Diagnosis(Verdict("spilled", "bad", "it spills"), expected_fitting=band)
        model = loaded(Model(gpu_gib=6.0))
        model.usual(40.0, count=1)
        details = model.monitor.pictures.details(model.record.key)
        assert details is not None
        details = replace(details, picture=replace(details.picture, diagnosis=found))
        rate = charts(details, (), window_of((), details.picture.at, 300.0))[0]
        assert (rate.limit, rate.limit_words) == (47.0, "full ~47")


def newest(values: Trend) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


class TestWords:
    """How figures are written."""

    def test_a_figure_stands_with_the_most_that_it_can_be(self) -> None:
        assert of_maximum(8, 16) == "8 of 16"
        assert of_maximum(8, None, "bit") == "8 bit"
        assert of_maximum(None, 16) == "- of 16"

    def test_a_figure_of_which_nothing_is_known_is_a_dash_without_a_unit(self) -> None:
        assert of_maximum(None, None, "MHz") == "-"

    def test_a_prefix_stands_before_a_number_only(self) -> None:
        assert (prefixed("P", 2), prefixed("P", None)) == ("P2", "-")

    @pytest.mark.parametrize(
        ("words", "estimate", "written"), [("4", True, "~4"), ("4", False, "4"), ("-", True, "-")]
    )
    def test_an_estimate_is_marked_and_the_unknown_is_not(
        self, words: str, estimate: bool, written: str
    ) -> None:
        assert about(words, estimate=estimate) == written

    def test_a_time_that_no_calendar_has_is_unknown(self) -> None:
        assert units.clock(1e300) == "-"
        assert units.clock(float("nan")) == "-"


def test_the_row_of_a_model_is_wired_to_its_picture() -> None:
    model = loaded(Model("a", gpu_gib=6.0, ram_gib=2.0, quantization="Q4_K_M", expires_seconds=240.0))
    model.usual(40.0, count=1)
    [picture] = model.monitor.pictures.models()
    row = model_row(picture)
    assert (row.key, row.name, row.level, row.runtime) == (picture.id, "a", "bad", "Ollama")
    assert (row.gpu_bytes, row.ram_bytes, row.spill_percent) == (6 * GIB, 2 * GIB, "25%")
    assert row.context_length == 8192
    assert (row.quantization, row.state, row.notes) == ("Q4_K_M", picture.doing, picture.notes)
    assert (row.until, row.time_left) == (picture.until, picture.time_left)
    assert row.time_left
    assert {one for one in row.rate_trend if one is not None} == {40.0}


@pytest.mark.parametrize(
    ("until", "doing", "words"),
    [(None, "idle", "-"), ("Stopping...", "stopping", ""), ("Forever", "idle", "Forever")],
)
def test_until_says_nothing_that_the_state_has_said(until: str | None, doing: str, words: str) -> None:
    assert model_row(replace(details_of().picture, until=until, doing=doing)).until == words


def test_what_a_thousand_tokens_took_of_its_gpus_is_told() -> None:
    request = FinishedRequest(
        slot_id=0, task_id=1, started=0.0, ended=10.0, decoded_tokens=500, energy_joules=1800.0
    )
    details = replace(details_of(), requests=(request, request))
    assert details.energy_wh_per_1000_tokens == 1.0
    [fact] = [one for one in learned_facts(details) if one.label == "energy"]
    assert fact.value.startswith("1 Wh of its GPUs per 1,000 tokens generated")


def test_few_tokens_say_nothing_of_a_thousand() -> None:
    request = FinishedRequest(
        slot_id=0, task_id=1, started=0.0, ended=10.0, decoded_tokens=5, energy_joules=1800.0
    )
    assert replace(details_of(), requests=(request,)).energy_wh_per_1000_tokens is None
