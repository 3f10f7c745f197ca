"""From which figures on less of a model is on the GPU than its server claims, and when that is sure."""

from __future__ import annotations

import pytest
from tests.fakes.samples import GIB, START
from tests.scene import Gpu, Machine, Model, loaded

from gpumon.app.insight.loaded import Loaded, may_load, shortfall
from gpumon.app.insight.loaded import loaded as seen_together
from gpumon.app.state.holders.measured import TOLERANCE_BYTES

LEAST_GIB = TOLERANCE_BYTES / GIB


def looked_at(model: Model, seconds: float = 3.0) -> Loaded:
    model.machine.run(seconds)
    return seen_together(model.record, model.machine.state)


def missing(model: Model) -> str:
    return shortfall(looked_at(model))


def held(measured_gib: float, claimed_gib: float = 10.0, kind: str = "llama_server") -> Model:
    """Return a model of which so much is claimed and measured, on a GPU that holds nothing else."""
    return loaded(Model(gpu_gib=claimed_gib, measured_gib=measured_gib, kind=kind, cpu_percent=0.0))


@pytest.mark.parametrize(
    ("measured_gib", "found"),
    [
        (10.0, "none"),
        (7.0, "hidden_spill"),
        (2.5, "hidden_spill"),
        (2.49, "silent_fallback"),
        (0.3, "silent_fallback"),
    ],
)
def test_a_quarter_of_the_claim_parts_a_hidden_spill_from_a_fallback(measured_gib: float, found: str) -> None:
    assert missing(held(measured_gib)) == found


@pytest.mark.parametrize(
    ("measured_gib", "found"),
    [(7.0, "none"), (2.5, "none"), (2.4, "none"), (LEAST_GIB, "none"), (LEAST_GIB - 0.01, "silent_fallback")],
)
def test_an_estimate_must_be_far_off_to_count(measured_gib: float, found: str) -> None:
    model = held(measured_gib, kind="legacy_runner")
    model.works(processing=False)
    assert missing(model) == found


@pytest.mark.parametrize(
    ("claimed_gib", "found"), [(LEAST_GIB - 0.01, "none"), (2.5 * LEAST_GIB, "silent_fallback")]
)
def test_a_claim_within_the_tolerance_has_nothing_missing(claimed_gib: float, found: str) -> None:
    assert missing(held(0.001, claimed_gib)) == found


def test_memory_without_an_owner_may_be_the_models() -> None:
    model = held(3.0)
    model.machine.gpus[0].unowned_gib = 7.0
    assert missing(model) == "unknown"


def test_what_the_driver_will_not_list_is_not_known() -> None:
    model = held(3.0)
    model.machine.gpus[0].lists_processes = False
    assert missing(model) == "unknown"


def test_without_a_process_nothing_is_known() -> None:
    model = held(3.0)
    model.is_running = False
    assert missing(model) == "unknown"


@pytest.mark.parametrize("state", ["starting", "loading", "asleep"])
def test_a_runner_whose_memory_need_not_be_there_is_left_alone(state: str) -> None:
    model = held(3.0)
    model.port = state  # type: ignore[assignment]
    assert missing(model) == "unknown"


def test_one_look_is_not_enough() -> None:
    model = held(3.0)
    model.machine.look()
    assert shortfall(seen_together(model.record, model.machine.state)) == "unknown"
    model.machine.now = 1.0
    model.machine.look()
    assert shortfall(seen_together(model.record, model.machine.state)) == "hidden_spill"


class TestMayLoad:
    def test_a_llama_server_is_claimed_when_it_is_loaded(self) -> None:
        assert not may_load(looked_at(held(3.0)))

    def test_an_older_runner_may_load_for_a_minute_after_its_claim(self) -> None:
        model = held(3.0, kind="legacy_runner")
        assert may_load(looked_at(model, 59.0))
        model.machine.now = 60.0
        model.machine.look()
        assert not may_load(seen_together(model.record, model.machine.state))

    def test_the_minute_can_be_another_time(self) -> None:
        found = looked_at(held(3.0, kind="legacy_runner"), 10.0)
        assert may_load(found, 10.1)
        assert not may_load(found, 10.0)

    def test_one_that_says_that_it_is_ready_does_not(self) -> None:
        model = held(3.0, kind="legacy_runner")
        model.works(processing=False)
        assert not may_load(looked_at(model))

    def test_without_a_process_there_is_nothing_that_loads(self) -> None:
        model = held(3.0, kind="legacy_runner")
        model.is_running = False
        assert not may_load(looked_at(model))


def test_the_parts_of_a_loaded_model_are_each_in_their_place() -> None:
    model = held(7.0)
    model.cpu_percent, model.settings = 100.0, {"gpu_layers": 0}
    model.machine.ollama("http://127.0.0.1:11500", 11)
    found = looked_at(model)
    assert found.model is model.record
    assert found.runner is not None
    assert (found.runner.key.pid, found.runner.key.started) == (model.pid, model.started)
    assert (found.gpu_known, found.by_choice) == (True, True)
    assert (found.agreement.kind, found.activity, found.left_out) == ("driver_sees_less", "busy", None)
    assert found.measured_bytes == 7 * GIB
    assert found.label == "llama3:70b"
    named = seen_together(model.record, model.machine.state, frozenset({"llama3:70b"}))
    assert named.label == "llama3:70b @ 127.0.0.1:11434"


def test_a_machine_without_a_gpu_is_known_for_it() -> None:
    machine = Machine(Gpu())
    machine.gpus.clear()
    found = looked_at(loaded(Model(gpu_gib=0.0, ram_gib=5.0), machine))
    assert not found.gpu_known
    assert not found.by_choice
    assert found.model.seen >= START
