"""The page of a model: each figure with where it comes from, and its charts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.views.changed import changed
from tests.fakes.samples import GIB, START, claim
from tests.scene import Gpu, Machine, Model, Weights, loaded

from gpumon.app.diagnosis.diagnosis import Cause, Diagnosis, Evidence, Remedy, Verdict
from gpumon.app.insight.wording import model_id
from gpumon.app.physics.hardware import Band
from gpumon.app.picture.model import ModelDetails
from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates, SlotRates
from gpumon.app.state.records import Placement, Prediction
from gpumon.app.state.records.log import BufferKey
from gpumon.app.state.series import Series
from gpumon.app.views.gpu_page import gpu_charts
from gpumon.app.views.model_page import learned_facts, model_facts, model_page
from gpumon.app.views.model_sections import charts, cures, memory, now, requests, why
from gpumon.app.views.models import model_row, trend
from gpumon.app.views.page import (
    PageView,
    Window,
    about,
    area,
    of_maximum,
    prefixed,
    vram_chart,
    window_of,
)
from gpumon.collectors.samples import MeteredModel, MeteredRequest, RateBaseline
from gpumon.collectors.servers.registry import kind_named
from gpumon.text import units
from gpumon.widgets.views import BarRow, ChartView, CureRow, Fact, RequestRow, Section, Trend


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


def sections_of(found: Diagnosis, sentence: str = "it spills") -> dict[str, Section]:
    """Return why and cures of a model that is diagnosed so."""
    picture = replace(details_of().picture, diagnosis=found, sentence=sentence)
    return {"WHY": why(picture), "CURES": cures(found.remedies)}


class TestDiagnosis:
    """What is wrong, why, and what helps."""

    def test_other_verdicts_bear_the_source_of_their_first_figure_if_they_have_one(self) -> None:
        first = Verdict("spilled", "bad", "it spills", (Evidence("x", "1", "first"),))
        second = Verdict("throttled", "watch", "it is slow", (Evidence("x", "1", "NVML"),))
        third = Verdict("swapping", "watch", "it swaps")
        found = sections_of(Diagnosis(first, (second, third)))["WHY"].facts
        assert [(one.label, one.value, one.origin) for one in found] == [
            ("x", "1", "first"),
            ("", "also: it is slow", "NVML"),
            ("", "also: it swaps", ""),
        ]

    def test_a_cause_stands_with_what_it_rests_on_each_figure_once(self) -> None:
        evidence = (Evidence("slots", "4", "command line"), Evidence("need", "14.3 GiB", "arithmetic"))
        cause = Cause("slots", "too many slots: 4", evidence)
        band = Band(37.0, 47.0, 59.0)
        found = Diagnosis(Verdict("spilled", "bad", "it spills"), cause=cause, expected_fitting=band)
        assert sections_of(found)["WHY"].facts == (
            Fact("", "too many slots: 4", "command line"),
            Fact("need", "14.3 GiB", "arithmetic"),
            Fact("if it fitted", "about 47 tok/s (37 to 59)", "estimate"),
        )

    def test_the_headline_is_not_said_again_and_a_verdict_below_an_alert_is(self) -> None:
        found = Diagnosis(Verdict("spilled", "bad", "it spills"))
        assert sections_of(found)["WHY"].facts == ()
        assert [fact.value for fact in sections_of(found, "GPU 0 is lost")["WHY"].facts] == ["it spills"]

    def test_a_cure_is_its_line_with_what_comes_of_it(self) -> None:
        remedy = Remedy(
            "shrink_context",
            "shrink it",
            "/set parameter num_ctx 6400",
            "needs 9.4 of 10.5 GiB free",
            expected_tokens_per_second=Band(37.0, 47.0, 59.0),
            where="in ollama run",
            context_tokens=6400,
            need_bytes=9 * GIB,
        )
        [row] = cures((remedy,)).cures
        assert row == CureRow(
            "/set parameter num_ctx 6400", "in ollama run: shrink it", "6400", "~47", "9.0", has_command=True
        )

    def test_a_remedy_without_a_command_says_what_to_do_and_why_it_helps(self) -> None:
        [row] = cures((Remedy("cool_or_power", "cool it", None, "it is at 89"),)).cures
        assert (row.line, row.words, row.has_command) == ("cool it", "it is at 89", False)
        assert (row.context, row.rate, row.vram) == ("", "", "")

    def test_a_remedy_in_two_places_names_both(self) -> None:
        where = "in the server's environment, and /set parameter num_ctx 12032 in ollama run"
        remedy = Remedy("combine_settings", "do both", "OLLAMA_KV_CACHE_TYPE=q8_0", "fits", where=where)
        [row] = cures((remedy,)).cures
        assert row.line == "OLLAMA_KV_CACHE_TYPE=q8_0"
        assert row.words == f"{where}: do both: fits"


class TestMemory:
    """Where each part of it is."""

    def bars(self, model: Model, seconds: int = 3) -> dict[str, BarRow]:
        [found] = [one for one in page_of(model, seconds).sections if one.title == "MEMORY"]
        return {row.label: row for row in found.bars}

    def test_all_bars_are_on_the_scale_of_the_card(self) -> None:
        rows = self.bars(loaded(Model(gpu_gib=6.0, ram_gib=2.0), Machine(Gpu(gib=12.0))))
        assert (rows["on GPU"].figure, rows["in RAM"].figure) == ("6.0", "2.0")
        assert [part.role for part in rows["in RAM"].parts] == ["ram"]
        assert {row.scale for row in rows.values() if row.parts} == {12.0 * GIB}

    def test_a_model_larger_than_its_card_gives_the_scale(self) -> None:
        rows = self.bars(loaded(Model(gpu_gib=11.0, ram_gib=29.0), Machine(Gpu(gib=12.0))))
        assert {row.scale for row in rows.values() if row.parts} == {40.0 * GIB}

    def test_the_driver_agrees_or_is_marked(self) -> None:
        assert self.bars(loaded(Model(gpu_gib=6.0)))["driver measures"].note.startswith("agrees (")
        less = self.bars(loaded(Model(gpu_gib=6.0, measured_gib=3.0)), 60)
        assert less["driver measures"].level == "watch"

    def test_parts_that_are_reckoned_are_marked_as_estimates(self) -> None:
        rows = self.bars(loaded(Model("a", weights=Weights())))
        assert {rows[name].figure[0] for name in ("weights", "KV cache", "compute")} == {"~"}

    def test_parts_that_the_log_tells_are_not(self) -> None:
        details = details_of()
        log = Placement(0.0, buffers={BufferKey("model", "CUDA0"): 5 * GIB, BufferKey("model", "CPU"): GIB})
        rows = {row.label: row.figure for row in memory(replace(details, log=log), None, ()).bars}
        assert rows["weights"] == "6.0"

    def test_nothing_in_ram_is_not_said(self) -> None:
        assert "in RAM" not in self.bars(loaded(Model(gpu_gib=6.0)))


class TestNow:
    """What it does."""

    def words(self, **fields: object) -> list[str]:
        return [fact.value for fact in now(changed(details_of(), **fields)).facts]

    def test_a_request_at_work_is_told_with_slots_and_context(self) -> None:
        rates = RunnerRates(running=1, waiting=2, context_tokens=1434, context_length=32768)
        assert self.words(doing="busy", rates=rates, time_left="5m") == [
            "busy, 2 waiting",
            "context 1.4k of 32k tokens",
            "leaves in 5m if not used",
        ]

    def test_a_full_context_is_marked(self) -> None:
        rates = RunnerRates(context_tokens=8190, context_length=8192)
        [fact] = [one for one in now(changed(details_of(), rates=rates)).facts if "context" in one.value]
        assert (fact.value, fact.level) == ("context 8.0k of 8k tokens: full", "watch")

    def test_a_model_that_is_kept_for_ever_stays(self) -> None:
        assert self.words(until="Forever", time_left="")[-1] == "stays until it is unloaded"


class TestRequests:
    """Those that run and have ended."""

    def test_the_running_one_is_first_and_what_is_not_known_of_it_is_blank(self) -> None:
        slot = SlotRates(0, 1, "decode", 7.0, decoded_tokens=310, context_tokens=1410)
        ended = FinishedRequest(0, 1, START, START + 5, 1024, 190, decode_tokens_per_second=46.0)
        details = changed(details_of(), rates=RunnerRates(slots=(slot,)))
        rows = requests(replace(details, requests=(ended,))).requests
        assert rows == (
            RequestRow("now", "1.1k", "310", "7.0", runs=True),
            RequestRow(units.clock(START), "1k", "190", "46", "5s"),
        )

    def test_those_of_a_meter_are_told_where_nobody_else_tells_any(self) -> None:
        metered = MeteredModel(
            requests=(MeteredRequest(ended_seconds_ago=1.0, seconds=4.0, outcome="failed"),)
        )
        [row] = requests(replace(details_of(), requests=(), metered=metered)).requests
        assert row.took == "failed, 4s"


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


class TestWindows:
    """The span of time that charts show."""

    def series(self, *times: float) -> Series:
        series = Series()
        for at in times:
            series.add(at, 1.0)
        return series

    @pytest.mark.parametrize(
        ("age", "chosen", "shown"),
        [(10, 300, 60), (44, 300, 60), (70, 300, 120), (200, 300, 300), (900, 300, 300), (900, 3600, 3600)],
    )
    def test_it_is_the_shortest_with_all_there_is_but_no_longer_than_chosen(
        self, age: float, chosen: float, shown: float
    ) -> None:
        now = 1_000_800.0
        known = self.series(*(now - age + at for at in range(0, int(age) + 1, 10)))
        assert window_of((known,), now, chosen).seconds == shown

    def test_nothing_known_is_a_minute(self) -> None:
        assert window_of((Series(),), 1_000_800.0, 300.0).seconds == 60.0

    def test_an_event_is_always_in_it(self) -> None:
        now = 1_000_800.0
        assert window_of((self.series(now),), now, 300.0, now - 1000).seconds == 3600.0

    def test_its_right_edge_stands_still_for_a_quarter_of_a_minute(self) -> None:
        ends = [window_of((), 1_000_800.0 + at, 300.0).end for at in (1, 7, 14, 15, 16)]
        assert ends == [1_000_815.0] * 4 + [1_000_830.0]

    def test_a_chart_is_drawn_on_every_other_second(self) -> None:
        series = self.series(*(1_000_800.0 + at for at in range(13)))
        drawn = [area("x", series, window_of((series,), 1_000_800.0 + at, 300.0)) for at in (10, 11, 12)]
        assert drawn[0] == drawn[1]
        assert drawn[1] != drawn[2]
        assert sum(value is not None for value in drawn[1].values) == 10


class TestCharts:
    """Curves and their cells."""

    def test_peaks_are_drawn_from_half_an_hour_on(self) -> None:
        [found] = Machine().look("driver").pictures.gpus()
        long = Window(found.at, 1800.0, found.at)
        assert [bool(chart.series[0].maxima) for chart in gpu_charts(found, long)] == 4 * [True]
        less = gpu_charts(found, long._replace(seconds=1799.0))
        assert [bool(chart.series[0].maxima) for chart in less] == 4 * [False]

    @pytest.mark.parametrize(("seconds", "cells"), [(60.0, 60), (150.0, 150), (300.0, 150)])
    def test_a_cell_is_never_shorter_than_a_second(self, seconds: float, cells: int) -> None:
        [found] = Machine().look("driver").pictures.gpus()
        charts = gpu_charts(found, Window(found.at, seconds, found.at))
        assert len(charts[0].series[0].values) == cells

    def test_means_and_peaks_are_of_the_same_samples(self) -> None:
        machine = Machine(card := Gpu(utilization=10)).look("driver")
        card.utilization = 30
        [found] = machine.look("driver", at=0.5).pictures.gpus()
        line = gpu_charts(found, Window(found.at + 60, 3600.0, found.at + 60))[1].series[0]
        assert (newest(line.values), newest(line.maxima)) == (20.0, 30)

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
