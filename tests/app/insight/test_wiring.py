"""What is known of a model reaches the comparison with its claim, and the account of its unloading."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import BLOB, OTHER_BLOB, blob_names, facts, holding, processes, runner
from tests.fakes.samples import GIB, OLLAMA, START, claim, gpu, nvml, ollama
from tests.scene import Model, after, loaded

from gpumon.app.insight.activity import activity
from gpumon.app.insight.agreement import agreement_of, logged_in_ram
from gpumon.app.insight.unloading import unload_outcome, unloading_of
from gpumon.collectors.samples import MeteredModel, MeterSample


class TestAgreementOfAModel:
    """Each piece of evidence reaches the comparison: two GiB too many are explained by it."""

    @pytest.mark.parametrize(
        ("change", "cause"),
        [
            (lambda model: setattr(model, "weights", None), None),
            (
                lambda model: setattr(model, "settings", {"draft_path": "/m/draft"}),
                "draft model, whose buffers Ollama mistakes for the model's",
            ),
            (
                lambda model: setattr(model, "settings", {"projector_path": "/m/mmproj"}),
                "projector, which Ollama does not count",
            ),
            (
                lambda model: setattr(model, "shape", facts(0, "llama3:70b", BLOB, OTHER_BLOB)),
                "projector, which Ollama does not count",
            ),
            (
                lambda model: setattr(model, "shape", facts(0, architecture="gemma3")),
                "context of a sliding-window model, which Ollama counts in part",
            ),
        ],
    )
    def test_more_than_claimed_is_explained(self, change: Callable[[Model], None], cause: str | None) -> None:
        model = loaded(Model(gpu_gib=6.0, measured_gib=8.0))
        change(model)
        model.machine.run(2)
        found = agreement_of(model.record, model.machine.state)
        assert (found.kind, found.difference_bytes, found.cause) == ("driver_sees_more", 2 * GIB, cause)

    def test_less_than_an_older_runner_claims_is_explained(self) -> None:
        model = loaded(Model(gpu_gib=6.0, measured_gib=3.0, kind="legacy_runner"))
        model.machine.run(2)
        assert agreement_of(model.record, model.machine.state).cause == (
            "this version of Ollama claims an estimate, often too high"
        )

    def test_the_contexts_of_every_gpu_are_counted(self) -> None:
        state = after(
            processes(0, runner()),
            ollama(0, [claim(gpu_gib=2)]),
            facts(0),
            nvml(1, *(holding(gpu(index), {100: 0.8}) for index in range(4))),
        ).state
        [model] = state.models.values()
        assert agreement_of(model, state).cause == "CUDA context on 4 GPUs"

    def test_a_log_that_says_nothing_contradicts_no_claim(self) -> None:
        model = loaded()
        model.machine.look()
        assert not logged_in_ram(model.record, model.machine.state)


class TestUnloading:
    def test_what_is_known_of_the_model_is_noted(self) -> None:
        model = loaded(Model(gpu_gib=5.0))
        model.machine.now = 7.0
        model.machine.look()
        asked = unloading_of(model.record, model.machine.state)
        assert (asked.key, asked.name, asked.asked) == (model.record.key, "llama3:70b", START + 7.0)
        assert asked.runner is not None
        assert (asked.runner.pid, asked.runner.started) == (model.pid, model.started)
        assert asked.vram_by_gpu == (("GPU-0", 5 * GIB),)

    @pytest.mark.parametrize(("seconds", "kind"), [(29.9, None), (30.0, "stays")])
    def test_half_a_minute_is_waited_for_it_to_go(self, seconds: float, kind: str | None) -> None:
        model = loaded(Model(cpu_percent=0.0))
        model.machine.gpus[0].utilization = 0
        model.machine.look()
        asked = unloading_of(model.record, model.machine.state)
        model.machine.now = seconds
        model.machine.look()
        outcome = unload_outcome(asked, model.machine.state)
        assert (outcome.kind if outcome else None) == kind

    @pytest.mark.parametrize(("seconds", "kind"), [(29.9, None), (30.0, "not_returned")])
    def test_half_a_minute_is_waited_for_its_memory(self, seconds: float, kind: str | None) -> None:
        model = loaded(Model(cpu_percent=0.0))
        server = model.machine.servers[0]
        model.machine.look()
        asked = unloading_of(model.record, model.machine.state)
        server.unload(model)
        model.machine.gpus[0].unowned_gib = 10.0
        model.machine.now = 2.0
        model.machine.look()
        model.machine.now = 2.0 + seconds
        model.machine.look()
        outcome = unload_outcome(asked, model.machine.state)
        assert (outcome.kind if outcome else None) == kind


class TestEvidenceWithoutFacts:
    @pytest.mark.parametrize(
        ("family", "cause"),
        [("gemma3", "context of a sliding-window model, which Ollama counts in part"), ("llama", None)],
    )
    def test_the_family_that_the_server_names_stands_for_them(self, family: str, cause: str | None) -> None:
        row = replace(claim(gpu_gib=6.0), family=family)
        names = blob_names(0, {BLOB: ["llama3:70b"]})
        looks = processes(0, runner()), names, ollama(0, [row]), nvml(1, holding(gpu(), {100: 8.0}))
        state = after(*looks).state
        [model] = state.models.values()
        assert agreement_of(model, state).cause == cause


class TestMeteredRequests:
    @pytest.mark.parametrize(("count", "doing"), [(0, "idle"), (1, "busy")])
    def test_a_request_through_a_meter_is_work(self, count: int, doing: str) -> None:
        through = replace(ollama(0, [claim("m:latest")]), metered=True)
        counted = MeteredModel(name="m:latest", requests_running=count)
        told = MeterSample(
            time=START + 1, source="meter x", server=OLLAMA, upstream=OLLAMA, models=(counted,)
        )
        idle = processes(0, runner(cpu_percent=0.0)), facts(0, "m:latest")
        state = after(*idle, through, told).state
        [model] = state.models.values()
        assert activity(model, state) == doing
