from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.process_samples import BLOB, OTHER_BLOB, facts
from tests.fakes.samples import GIB
from tests.scene import Gpu, Machine, Model, Program, loaded

from gpumon.app.insight.agreement import (
    Agreement,
    AgreementKind,
    Evidence,
    agreement,
    agreement_of,
)
from gpumon.app.state.holders.measured import TOLERANCE_BYTES, tolerance_bytes
from gpumon.collectors.samples import RunnerSettings
from gpumon.collectors.servers.registry import runner_named

WINDOW = "context of a sliding-window model, which Ollama counts in part"
PROJECTOR = "projector, which Ollama does not count"
DRAFT = "draft model, whose buffers Ollama mistakes for the model's"
ESTIMATE = "this version of Ollama claims an estimate, often too high"

GEMMA3 = Evidence(facts=facts(0, architecture="gemma3"), runner_kind=runner_named("llama_server"))
VISION = Evidence(
    facts=facts(0, "v", BLOB, OTHER_BLOB, architecture="qwen25vl"), runner_kind=runner_named("llama_server")
)
DRAFTING = Evidence(
    settings=RunnerSettings(draft_path="/m/draft.gguf"), runner_kind=runner_named("llama_server")
)
ERA_B = Evidence(runner_kind=runner_named("ollama_runner"))
ERA_C = Evidence(runner_kind=runner_named("llama_server"))
MLX = Evidence(runner_kind=runner_named("mlx_runner"))


def gib(amount: float) -> int:
    return int(amount * GIB)


@pytest.mark.parametrize(
    ("claimed_gib", "measured_gib", "evidence", "kind", "cause"),
    [
        pytest.param(14.0, 14.3, ERA_C, "agrees", None, id="experts counted twice are in the RAM part only"),
        pytest.param(3.0, 5.2, GEMMA3, "driver_sees_more", WINDOW, id="gemma3:4b at 128k"),
        pytest.param(22.0, 44.8, GEMMA3, "driver_sees_more", WINDOW, id="gemma4:31b"),
        pytest.param(2.0, 9.0, DRAFTING, "driver_sees_more", DRAFT, id="draft model"),
        pytest.param(5.0, 6.3, VISION, "driver_sees_more", PROJECTOR, id="projector"),
        pytest.param(5.0, 5.45, ERA_C, "agrees", None, id="CUDA context"),
        pytest.param(None, 5.0, ERA_C, "unknown", None, id="a claim that makes no sense"),
        pytest.param(
            22.0, 16.0, ERA_B, "driver_sees_less", ESTIMATE, id="context estimated without its type"
        ),
        pytest.param(52.0, 10.0, ERA_B, "driver_sees_less", ESTIMATE, id="graphs estimated on many GPUs"),
        pytest.param(5.0, 0.0, ERA_C, "driver_sees_less", None, id="no GPU backend"),
        pytest.param(85.0, 41.6, ERA_C, "driver_sees_less", None, id="probes added up, first 0.30"),
        pytest.param(8.0, 8.2, MLX, "agrees", None, id="MLX measures itself"),
    ],
)
def test_each_known_way_in_which_a_claim_is_wrong(
    claimed_gib: float | None, measured_gib: float, evidence: Evidence, kind: AgreementKind, cause: str | None
) -> None:
    claimed = None if claimed_gib is None else gib(claimed_gib)
    found = agreement(claimed, gib(measured_gib), evidence)
    assert (found.kind, found.cause) == (kind, cause)


def test_the_context_of_cuda_on_many_gpus_is_named() -> None:
    found = agreement(gib(2), gib(4.5), Evidence(gpu_count=8))
    assert found == Agreement("driver_sees_more", gib(2.5), "CUDA context on 8 GPUs")


def test_every_cause_that_applies_is_named() -> None:
    vision = Evidence(facts=facts(0, architecture="gemma3", capabilities=("completion", "vision")))
    assert agreement(gib(3), gib(6), vision).cause == f"{WINDOW}, {PROJECTOR}"


@pytest.mark.parametrize(
    "family", ["gemma2", "gemma3", "gemma3n", "gemma4", "gpt-oss", "gptoss", "llama4", "cohere2", "olmo3"]
)
def test_families_with_a_sliding_window(family: str) -> None:
    assert agreement(gib(3), gib(6), Evidence(family=family)).cause == WINDOW


@pytest.mark.parametrize("family", [None, "llama", "qwen3moe", "gemma"])
def test_other_families_explain_nothing(family: str | None) -> None:
    assert agreement(gib(3), gib(6), Evidence(family=family)).cause is None


@pytest.mark.parametrize(("claimed_gib", "limit_bytes"), [(1.0, TOLERANCE_BYTES), (40.0, 4 * GIB)])
def test_the_tolerance_is_a_tenth_and_at_least_700_mib(claimed_gib: float, limit_bytes: int) -> None:
    claimed = gib(claimed_gib)
    assert agreement(claimed, claimed + limit_bytes).kind == "agrees"
    assert agreement(claimed, claimed + limit_bytes + 1).kind == "driver_sees_more"
    assert agreement(claimed, max(0, claimed - limit_bytes)).kind == "agrees"


def test_what_is_not_measured_is_unknown() -> None:
    assert agreement(gib(5), None) == Agreement("unknown")


def test_a_shortfall_that_memory_without_owner_could_fill_is_unknown() -> None:
    enough = 5 * GIB - TOLERANCE_BYTES
    assert agreement(gib(5), gib(0), Evidence(unaccounted_bytes=enough)).kind == "unknown"
    assert agreement(gib(5), gib(0), Evidence(unaccounted_bytes=enough - 1)).kind == "driver_sees_less"


sizes = st.integers(0, 200 * GIB)


@given(sizes, sizes, st.integers(0, 10 * GIB))
def test_the_difference_is_measured_minus_claimed_and_its_sign_is_the_kind(
    claimed: int, measured: int, unaccounted: int
) -> None:
    found = agreement(claimed, measured, Evidence(unaccounted_bytes=unaccounted))
    assert found.difference_bytes == measured - claimed
    if abs(measured - claimed) <= tolerance_bytes(claimed):
        assert found.kind == "agrees"
    elif measured > claimed:
        assert found.kind == "driver_sees_more"
    else:
        assert found.kind in {"driver_sees_less", "unknown"}


class TestOfAModel:
    @staticmethod
    def of(model: Model, *, is_known: bool = True) -> Agreement:
        """Return how it agrees after a look at everything, or after one that leaves out the processes."""
        if is_known:
            model.machine.look("processes", "servers")
        state = model.machine.look("servers").look("driver", at=1).state
        return agreement_of(model.record, state)

    def test_claim_and_measurement_are_compared_over_all_gpus(self) -> None:
        model = loaded(Model(gpu_gib=10, measured_gib={0: 5.2, 1: 5.2}), Machine(Gpu(), Gpu()))
        assert self.of(model).kind == "agrees"

    def test_a_model_whose_process_is_not_known_is_unknown(self) -> None:
        assert self.of(loaded(Model(measured_gib=0.0)), is_known=False).kind == "unknown"

    @pytest.mark.parametrize(("unowned_gib", "kind"), [(10.5, "unknown"), (0.5, "driver_sees_less")])
    def test_a_list_that_leaves_much_of_the_memory_without_owner_proves_nothing(
        self, unowned_gib: float, kind: str
    ) -> None:
        machine = Machine(Gpu(unowned_gib=unowned_gib))
        machine.starts(Program("blender", 0.5, pid=7))
        assert self.of(loaded(Model(gpu_gib=10, measured_gib=0.0), machine)).kind == kind
