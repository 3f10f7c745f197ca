"""What the page of a model says at once, section by section."""

from __future__ import annotations

from msgspec.structs import replace
from tests.app.views.changed import changed
from tests.fakes.samples import GIB, START
from tests.scene import Gpu, Machine, Model, Weights, loaded

from gpumon.app.diagnosis.diagnosis import Cause, Diagnosis, Evidence, Remedy, Verdict
from gpumon.app.insight.left_out import LeftOut
from gpumon.app.insight.wording import model_id
from gpumon.app.physics.hardware import Band
from gpumon.app.picture.details import ModelDetails
from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates, SlotRates
from gpumon.app.state.records import Placement
from gpumon.app.state.records.log import BufferKey
from gpumon.app.views.model_now import now
from gpumon.app.views.model_page import model_page
from gpumon.app.views.model_sections import cures, memory, requests, why
from gpumon.app.views.page import (
    PageView,
)
from gpumon.collectors.samples import LoadFacts, MeteredModel, MeteredRequest
from gpumon.text import units
from gpumon.widgets.views import BarRow, CureRow, Fact, RequestRow, Section


def details_of(model: Model | None = None) -> ModelDetails:
    model = model or loaded(Model("a", gpu_gib=10.0, quantization="Q4_K_M"))
    model.machine.run(3)
    details = model.monitor.pictures.details(model.record.key)
    assert details is not None
    return details


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

    def test_what_is_in_ram_by_choice_is_told_from_what_is_beyond_it(self) -> None:
        estimate = LeftOut(GIB, 9 * GIB, 4 * GIB, chosen_bytes=3 * GIB)
        details = changed(details_of(), claims_memory=False, ram_bytes=None, left_out=estimate)
        rows = {row.label: (row.figure, row.note) for row in memory(details, None, ()).bars}
        assert rows["in RAM"] == ("~3.0", "by choice")
        assert rows["spilled"] == ("~1.0", "")

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
            "leaves in 5m if not used",
        ]

    def test_the_context_is_a_bar_and_what_was_kept_of_it_is_told_apart(self) -> None:
        rates = RunnerRates(context_tokens=2048, context_length=32768, context_cached_tokens=1024)
        [bar] = now(changed(details_of(), rates=rates)).bars
        assert (bar.figure, bar.note, bar.scale) == ("2k", "of 32k, 1k kept from before", 32768.0)
        assert [(part.size, part.role) for part in bar.parts] == [(1024.0, "model"), (1024.0, "model2")]

    def test_where_it_is_not_told_what_was_kept_nothing_is_said_of_it(self) -> None:
        rates = RunnerRates(context_tokens=2048, context_length=32768)
        [bar] = now(changed(details_of(), rates=rates)).bars
        assert (bar.note, [part.role for part in bar.parts]) == ("of 32k", ["model2"])

    def test_a_full_context_is_marked(self) -> None:
        rates = RunnerRates(context_tokens=8190, context_length=8192)
        [fact] = [one for one in now(changed(details_of(), rates=rates)).facts if "context" in one.value]
        assert (fact.value, fact.level) == ("context 8.0k of 8k tokens: full", "watch")

    def test_a_full_context_says_for_how_much_the_model_was_trained(self) -> None:
        rates = RunnerRates(context_tokens=8190, context_length=8192)
        details = changed(details_of(), rates=rates)
        for length, words in ((131072, "; trained for 128k"), (8192, "")):
            known = replace(details, facts=None, server_facts=LoadFacts(trained_context_length=length))
            assert f"context 8.0k of 8k tokens: full{words}" in [fact.value for fact in now(known).facts]

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
