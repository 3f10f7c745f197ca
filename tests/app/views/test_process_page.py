"""What the page of a model says of its process, of requests, and of a server that claims no memory."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from msgspec.structs import replace
from tests.app.views.changed import changed
from tests.fakes.samples import GIB
from tests.fakes.served_samples import FACTS
from tests.scene import Gpu, Machine, Model, loaded

from gpumon.app.insight.agreement import Agreement
from gpumon.app.insight.left_out import LeftOut
from gpumon.app.picture.details import ModelDetails
from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates
from gpumon.app.views.model_process import REQUESTS_SHOWN, meter_facts, runner_facts, served_facts
from gpumon.collectors.samples import LoadFacts, MeteredModel, MeteredRequest, RunnerSettings
from gpumon.widgets.views import Fact

INDICES = {"GPU-0": 0, "GPU-1": 1}


def details_of(model: Model | None = None) -> ModelDetails:
    model = model or loaded()
    model.machine.run(3)
    details = model.monitor.pictures.details(model.record.key)
    assert details is not None
    return details


def pictured(**fields: object) -> ModelDetails:
    """Return the details of a model whose picture has these fields."""
    details = details_of()
    return changed(details, **fields)


def said(facts: Iterable[Fact]) -> dict[str, Fact]:
    return {fact.label: fact for fact in facts}


def of_process(details: ModelDetails) -> dict[str, Fact]:
    return said(runner_facts(details, INDICES))


def with_process(**fields: object) -> dict[str, Fact]:
    process = details_of().picture.process
    assert process is not None
    return of_process(pictured(process=replace(process, **fields)))


def with_settings(**fields: object) -> dict[str, Fact]:
    return with_process(settings=RunnerSettings(**fields))  # type: ignore[arg-type]


class TestProcess:
    """The process that holds a model."""

    def test_its_kind_its_number_and_its_user_are_named(self) -> None:
        assert with_process(user="ollama")["process"].value == "llama-server 100 of ollama"

    def test_without_a_user_nobody_is_named(self) -> None:
        assert with_process(user=None)["process"].value == "llama-server 100"

    def test_what_it_costs_the_machine_is_told(self) -> None:
        found = with_process(rss_bytes=3 * GIB, file_bytes=2 * GIB, cpu_percent=150.0)
        assert found["RAM resident"].value == "3.0 GiB"
        assert found["  of it mapped from files"].value == "2.0 GiB"
        assert found["CPU (one core is 100%)"].value == "150%"

    def test_what_could_not_be_read_is_told(self) -> None:
        assert with_process(unreadable=("io: permission denied",))["not readable"].value == (
            "io: permission denied"
        )

    def test_one_that_cannot_be_told_says_so_and_keeps_rates_and_requests(self) -> None:
        rates = RunnerRates(running=1, sources=("/slots",))
        found = of_process(pictured(process=None, rates=rates))
        assert found["process"].value == "cannot be told from here"
        assert found["requests running"].value == "1"
        assert "RAM resident" not in found

    def test_why_there_is_no_rate_is_told_where_nobody_tells_one(self) -> None:
        silent = replace(
            details_of(), statistics_detail="in a container: its port cannot be reached from here"
        )
        words = "not known: in a container: its port cannot be reached from here"
        assert of_process(silent)["decode rate"].value == words
        told = pictured(rates=RunnerRates(running=1, sources=("log",)))
        assert (
            "not known" not in of_process(replace(told, statistics_detail="/slots: off"))["decode rate"].value
        )


class TestSettings:
    """What its command line says."""

    def test_they_are_told_as_they_are(self) -> None:
        found = with_settings(parallel=4, gpu_layers=20, flash_attention="on", batch_size=512)
        assert [
            found[name].value for name in ("slots", "GPU layers asked for", "flash attention", "batch")
        ] == [
            "4",
            "20",
            "on",
            "512",
        ]

    def test_no_layers_at_all_are_a_number_and_not_left_to_the_server(self) -> None:
        assert with_settings(gpu_layers=0)["GPU layers asked for"].value == "0"
        assert with_settings()["GPU layers asked for"].value == "as many as fit"

    @pytest.mark.parametrize(
        ("keys", "values", "words"),
        [
            (None, None, "f16 (default)"),
            ("q8_0", "q8_0", "q8_0"),
            ("q8_0", None, "q8_0"),
            (None, "q4_0", "q4_0"),
            ("q8_0", "q4_0", "q4_0, q8_0"),
        ],
    )
    def test_the_cache_has_the_types_of_keys_and_values(
        self, keys: str | None, values: str | None, words: str
    ) -> None:
        assert with_settings(cache_type_k=keys, cache_type_v=values)["KV cache type"].value == words


class TestMeasured:
    """What the driver sees of it."""

    def test_where_it_cannot_measure_that_is_said_in_place_of_a_figure(self) -> None:
        assert of_process(pictured(measurable=False))["VRAM measured"].value == "not known (MIG)"
        assert of_process(pictured(measured_vram_bytes=2 * GIB))["VRAM measured"].value == "2.0 GiB"

    def test_each_gpu_is_told_where_there_are_two(self) -> None:
        found = of_process(pictured(measured_vram_by_gpu={"GPU-0": 3 * GIB, "GPU-1": GIB}))
        assert (found["  on GPU 0"].value, found["  on GPU 1"].value) == ("3.0 GiB", "1.0 GiB")

    def test_one_gpu_alone_is_not_told_again(self) -> None:
        found = of_process(pictured(measured_vram_by_gpu={"GPU-0": 3 * GIB}))
        assert "  on GPU 0" not in found

    def test_a_gpu_that_is_not_listed_is_left_out(self) -> None:
        found = of_process(pictured(measured_vram_by_gpu={"GPU-0": GIB, "GPU-9": GIB}))
        assert [label for label in found if label.startswith("  on GPU")] == ["  on GPU 0"]

    @pytest.mark.parametrize(
        ("agreement", "words"),
        [
            (Agreement("unknown"), "cannot be compared"),
            (Agreement("agrees", 0), "agree (0 KiB apart)"),
            (Agreement("driver_sees_less", -2 * GIB), "driver sees less (2.0 GiB apart)"),
            (Agreement("driver_sees_more", GIB, "a draft"), "driver sees more (1.0 GiB apart): a draft"),
        ],
    )
    def test_claim_and_driver_are_compared(self, agreement: Agreement, words: str) -> None:
        found = of_process(pictured(agreement=agreement))["claim and driver"]
        assert (found.value, found.origin) == (words, "NVML, /api/ps")

    def test_a_server_that_claims_nothing_is_not_compared(self) -> None:
        assert "claim and driver" not in of_process(pictured(claims_memory=False))


class TestRates:
    """How fast it works, and on how much."""

    def test_all_of_them_are_told_with_where_they_come_from(self) -> None:
        rates = RunnerRates(
            decode_tokens_per_second=40.0,
            prefill_tokens_per_second=900.0,
            running=2,
            waiting=3,
            context_tokens=1000,
            context_length=4096,
            decoded_total=77,
            sources=("/slots", "/metrics"),
        )
        found = of_process(pictured(rates=rates))
        assert found["decode rate"] == Fact("decode rate", "40 tok/s", "/slots, /metrics")
        assert found["prefill rate"] == Fact("prefill rate", "900 tok/s", "/slots, /metrics")
        assert (found["requests running"].value, found["requests waiting"].value) == ("2", "3")
        assert found["context in use"].value == "1000 of 4096 tokens"
        assert found["tokens generated"].value == "77"

    def test_an_estimate_and_a_lower_bound_are_marked(self) -> None:
        rates = RunnerRates(
            decode_tokens_per_second=40.0,
            is_estimate=True,
            decoded_total=77,
            decoded_total_is_lower_bound=True,
            sources=("meter",),
        )
        found = of_process(pictured(rates=rates))
        assert found["decode rate"].value == "~40 tok/s"
        assert found["tokens generated"].value == "at least 77"
        assert found["context in use"].value == "-"

    def test_where_nobody_tells_them_nothing_is_said(self) -> None:
        assert "decode rate" not in of_process(pictured(rates=RunnerRates(decode_tokens_per_second=40.0)))


def ended(number: int = 1, **fields: object) -> FinishedRequest:
    request = FinishedRequest(0, number, 10.0, 14.0, decoded_tokens=number)
    return replace(request, **fields)


class TestRequests:
    """The requests that have ended."""

    def requests(self, *newest_first: FinishedRequest) -> list[Fact]:
        facts = runner_facts(replace(pictured(process=None), requests=newest_first), INDICES)
        return facts[1:]

    def test_one_is_told_with_its_figures(self) -> None:
        request = ended(
            100,
            decode_tokens_per_second=25.0,
            prefill_tokens_per_second=800.0,
            first_token_seconds=2.0,
            source="log",
        )
        assert self.requests(request) == [
            Fact(
                "last request",
                "100 tokens in 4s, decode 25 tok/s, prefill 800 tok/s, first token 2s",
                "log",
            )
        ]

    def test_what_is_not_known_of_it_is_left_out(self) -> None:
        assert [fact.value for fact in self.requests(ended(7))] == ["7 tokens in 4s"]

    def test_one_whose_end_was_not_seen_generated_at_least_so_much(self) -> None:
        assert [fact.value for fact in self.requests(ended(7, decoded_is_lower_bound=True))] == [
            ">= 7 tokens in 4s"
        ]

    def test_five_are_told_the_newest_first(self) -> None:
        found = self.requests(*(ended(number) for number in range(7, 0, -1)))
        assert [fact.label for fact in found] == ["last request", *4 * ["  the one before"]]
        assert [fact.value[0] for fact in found] == ["7", "6", "5", "4", "3"]


def metered(number: int = 1, **fields: object) -> MeteredRequest:
    return replace(MeteredRequest(ended_seconds_ago=1.0, seconds=4.0, decoded_tokens=number), **fields)


class TestMeter:
    """What the meter before its server has counted."""

    def test_without_a_meter_nothing_is_said(self) -> None:
        assert meter_facts(None) == []

    def test_its_totals_are_told(self) -> None:
        model = MeteredModel(requests_ended=3, decoded_tokens_total=100, prompt_tokens_total=50)
        assert [(fact.label, fact.value, fact.origin) for fact in meter_facts(model)] == [
            ("requests ended, metered", "3", "meter"),
            ("tokens generated, metered", "100", "meter"),
            ("prompt tokens, metered", "50", "meter"),
        ]

    def test_a_total_that_was_estimated_is_marked(self) -> None:
        model = MeteredModel(decoded_tokens_total=100, decoded_total_is_estimate=True)
        assert said(meter_facts(model))["tokens generated, metered"].value == "~100"

    def test_the_newest_five_are_told_the_last_one_first(self) -> None:
        model = MeteredModel(requests=tuple(metered(number) for number in range(1, 8)))
        found = meter_facts(model)[3:]
        assert [fact.value[0] for fact in found] == ["7", "6", "5", "4", "3"]
        assert found[0].label == "last metered request"
        assert len(found) == REQUESTS_SHOWN

    @pytest.mark.parametrize(
        ("request_", "words"),
        [
            (metered(9), "9 tokens in 4s"),
            (metered(9, decoded_is_estimate=True), "~9 tokens in 4s"),
            (metered(9, decode_tokens_per_second=30.0), "9 tokens in 4s, decode 30 tok/s"),
            (
                metered(9, decode_tokens_per_second=30.0, decode_rate_is_estimate=True),
                "9 tokens in 4s, decode ~30 tok/s",
            ),
            (metered(9, prefill_tokens_per_second=700.0), "9 tokens in 4s, prefill 700 tok/s"),
            (metered(9, first_token_seconds=1.0), "9 tokens in 4s, first token 1s"),
            (metered(9, outcome="failed"), "9 tokens in 4s, failed"),
        ],
    )
    def test_a_request_is_told_by_what_is_known_of_it(self, request_: MeteredRequest, words: str) -> None:
        [fact] = meter_facts(MeteredModel(requests=(request_,)))[3:]
        assert (fact.value, fact.origin) == (words, "meter")


class TestServed:
    """A server that tells file, slots and context, and claims no memory."""

    def details(self, facts: LoadFacts | None = FACTS, **fields: object) -> ModelDetails:
        machine = Machine(Gpu())
        machine.llama_server()
        machine.run(4)
        [key] = machine.state.models
        details = machine.monitor.pictures.details(key)
        assert details is not None
        return changed(replace(details, server_facts=facts), **fields)

    def test_its_figures_are_told_with_where_they_come_from(self) -> None:
        facts = replace(FACTS, trained_context_length=8192)
        found = [(fact.label, fact.value, fact.origin) for fact in served_facts(self.details(facts))]
        assert found == [
            ("server", "llama-server at 127.0.0.1:8080", "gpumon"),
            ("build", "b11434", "/props"),
            ("file", "/models/llama-3-8b.gguf", "/props"),
            ("weights", "5.0 GiB", "/v1/models"),
            ("in RAM (estimate)", "none seen", "weights less VRAM measured"),
            ("context", "4096 tokens per slot", "/props"),
            ("trained context", "8192 tokens", "/v1/models"),
            ("slots", "2", "/props"),
            ("quantisation", "Q4_K_M", "/v1/models"),
            ("parameters", "8.0B", "/v1/models"),
        ]

    def test_a_context_that_only_the_command_line_tells_says_so(self) -> None:
        assert said(served_facts(self.details(None)))["context"].origin == "command line"

    @pytest.mark.parametrize(
        ("estimate", "words"),
        [
            (None, "-"),
            (LeftOut(0, 5 * GIB, 5 * GIB), "none seen"),
            (LeftOut(2 * GIB, 5 * GIB, 3 * GIB), "at least 2.0 GiB"),
        ],
    )
    def test_what_is_in_ram_is_an_estimate(self, estimate: LeftOut | None, words: str) -> None:
        found = said(served_facts(self.details(left_out=estimate)))
        assert found["in RAM (estimate)"].value == words

    def test_why_its_statistics_are_not_told_is_said_where_they_are_not(self) -> None:
        details = self.details()
        assert "statistics" not in said(served_facts(details))
        without = replace(details, statistics_detail="/slots is turned off")
        assert said(served_facts(without))["statistics"].value == "/slots is turned off"

    def test_what_it_does_not_tell_is_a_dash(self) -> None:
        found = said(served_facts(self.details(None)))
        assert [
            found[name].value for name in ("build", "file", "weights", "trained context", "slots")
        ] == 5 * ["-"]
