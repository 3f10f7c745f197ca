"""The page of a model: each figure with where it comes from, and its charts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.views.changed import changed
from tests.fakes.samples import GIB, START, claim
from tests.scene import Gpu, Machine, Model, Weights, loaded

from gpumon.app.diagnosis.diagnosis import Cause, Diagnosis, Evidence, Remedy, Verdict
from gpumon.app.insight.wording import model_id
from gpumon.app.picture.model import ModelDetails
from gpumon.app.state.records import Prediction
from gpumon.app.state.series import Series
from gpumon.app.views.model_page import diagnosis_facts, learned_facts, model_facts, model_page
from gpumon.app.views.models import model_row, trend
from gpumon.app.views.page import (
    about,
    gpu_charts,
    of_maximum,
    prefixed,
    vram_chart,
)
from gpumon.collectors.samples import RateBaseline
from gpumon.collectors.servers.registry import kind_named
from gpumon.text import units
from gpumon.widgets.views import ChartView, Fact


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


class TestDiagnosis:
    """What is wrong, why, and what helps."""

    def test_other_verdicts_bear_the_source_of_their_first_figure_if_they_have_one(self) -> None:
        first = Verdict("spilled", "bad", "it spills", (Evidence("x", "1", "first"),))
        second = Verdict("throttled", "watch", "it is slow", (Evidence("x", "1", "NVML"),))
        third = Verdict("swapping", "watch", "it swaps")
        found = [
            (one.label, one.value, one.origin) for one in diagnosis_facts(Diagnosis(first, (second, third)))
        ]
        assert found == [("also", "it is slow", "NVML"), ("also", "it swaps", "")]

    def test_a_cause_is_as_grave_as_the_verdict(self) -> None:
        cause = Cause("slots", "too many slots", (Evidence("slots", "4", "command line"),))
        found = Diagnosis(Verdict("spilled", "bad", "it spills"), cause=cause)
        assert list(diagnosis_facts(found)) == [Fact("cause", "too many slots", "command line", "bad")]

    def test_a_remedy_without_a_command_has_no_line_to_type(self) -> None:
        remedies = (
            Remedy("unload_model", "unload it", "ollama stop a", "fits"),
            Remedy("cool_or_power", "cool it", None, "then"),
        )
        found = Diagnosis(Verdict("spilled", "bad", "it spills"), remedies=remedies)
        assert [(one.label, one.origin) for one in diagnosis_facts(found)] == [
            ("remedy 1", "arithmetic"),
            ("  type", "in a shell"),
            ("remedy 2", "arithmetic"),
        ]


class TestPage:
    """The page as a whole."""

    def test_one_that_has_gone_says_so(self) -> None:
        page = model_page("http://gone sha", Machine().look("driver").pictures, 300.0)
        assert (page.verdict.level, page.verdict.sentence) == ("unknown", "this model is no longer loaded")
        assert (page.facts, page.charts, page.first) == ((), (), ())

    def charts(self, *, measured: bool = True, claims_memory: bool = True) -> dict[str, ChartView]:
        model = loaded(Model(gpu_gib=6.0, ram_gib=2.0), Machine(Gpu(lists_processes=measured)))
        model.usual(40.0, count=1)
        page = model_page(model_id(model.record.key), model.monitor.pictures, 300.0)
        return {chart.title: chart for chart in page.charts}

    def test_memory_is_drawn_claimed_and_measured_up_to_its_size(self) -> None:
        memory = self.charts()["memory"]
        assert [line.label for line in memory.series] == ["VRAM claimed", "RAM claimed", "VRAM measured"]
        assert (memory.unit, memory.ceiling, memory.seconds) == ("GiB", 8.0, 300.0)
        newest = [[one for one in line.values if one is not None][-1] for line in memory.series]
        assert newest == [6.0, 2.0, 6.0]

    def test_what_was_never_measured_is_not_drawn(self) -> None:
        memory = self.charts(measured=False)["memory"]
        assert [line.label for line in memory.series] == ["VRAM claimed", "RAM claimed"]

    def test_rates_are_drawn_where_there_were_any(self) -> None:
        assert self.charts()["decode rate"].unit == "tok/s"
        quiet = details_of().picture
        machine = loaded(Model("a")).machine.look("driver", "servers")
        page = model_page(quiet.id, machine.pictures, 300.0)
        assert [chart.title for chart in page.charts] == ["memory"]


class TestCharts:
    """Curves and their cells."""

    def test_peaks_are_drawn_from_half_an_hour_on(self) -> None:
        [found] = Machine().look("driver").pictures.gpus()
        assert [bool(chart.series[0].maxima) for chart in gpu_charts(found, 1800.0)] == 4 * [True]
        less = gpu_charts(found, 1799.0)
        assert [bool(chart.series[0].maxima) for chart in less] == 4 * [False]

    @pytest.mark.parametrize(("seconds", "cells"), [(60.0, 60), (150.0, 150), (300.0, 150)])
    def test_a_cell_is_never_shorter_than_a_second(self, seconds: float, cells: int) -> None:
        [found] = Machine().look("driver").pictures.gpus()
        assert len(gpu_charts(found, seconds)[0].series[0].values) == cells

    def test_means_and_peaks_are_of_the_same_samples(self) -> None:
        machine = Machine(card := Gpu(utilization=10)).look("driver")
        card.utilization = 30
        [found] = machine.look("driver", at=0.5).pictures.gpus()
        line = gpu_charts(found, 3600.0)[1].series[0]
        assert (line.values[-1], line.maxima[-1]) == (20.0, 30)

    def test_vram_of_all_gpus_is_drawn_by_index_up_to_the_largest(self) -> None:
        machine = Machine(Gpu(gib=24.0, unowned_gib=4.0), Gpu(gib=12.0, unowned_gib=3.0))
        machine.is_listed_backwards = True
        chart = vram_chart(machine.look("driver").state, 300.0)
        assert [(line.label, line.values[-1]) for line in chart.series] == [("GPU 0", 4.0), ("GPU 1", 3.0)]
        assert (chart.title, chart.unit, chart.seconds, chart.ceiling) == ("VRAM in use", "GiB", 300.0, 24.0)

    def test_without_a_gpu_there_is_no_ceiling(self) -> None:
        assert vram_chart(Machine().state, 300.0).ceiling is None

    def test_a_trend_is_two_minutes_in_cells_of_five_seconds(self) -> None:
        series = Series()
        for at, value in ((1000.0, 4.0), (1121.0, 2.0), (1122.0, 4.0)):
            series.add(at, value)
        assert trend(series, 1122.0) == (*23 * [None], 3.0)


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
    assert (row.gpu_bytes, row.ram_bytes, row.gpu_is_measured) == (6 * GIB, 2 * GIB, False)
    assert (row.processor, row.spill_percent) == ("25%/75% CPU/GPU", "25%")
    assert (row.measured_vram_bytes, row.context_length) == (6 * GIB, 8192)
    assert (row.quantization, row.state, row.notes) == ("Q4_K_M", picture.doing, picture.notes)
    assert (row.until, row.time_left) == (picture.until, picture.time_left)
    assert row.time_left
    assert {one for one in row.rate_trend if one is not None} == {40.0}
    assert {one for one in row.spill_trend if one is not None} == {0.25}


@pytest.mark.parametrize(
    ("until", "doing", "words"),
    [(None, "idle", "-"), ("Stopping...", "stopping", ""), ("Forever", "idle", "Forever")],
)
def test_until_says_nothing_that_the_state_has_said(until: str | None, doing: str, words: str) -> None:
    assert model_row(replace(details_of().picture, until=until, doing=doing)).until == words
