"""Weights that are on no GPU, of a llama-server that claims nothing: an estimate, and when there is none."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import holding, processes
from tests.fakes.samples import GIB, claim, gpu, nvml, ollama
from tests.fakes.served_samples import FACTS, alone, served, statistics
from tests.scene import Gpu, Machine, after

from gpumon.app.insight.agreement import placement_of
from gpumon.app.insight.left_out import LeftOut, left_out
from gpumon.app.state.records.model import UNKNOWN_SPLIT, Split
from gpumon.app.state.state import State

WEIGHTS = 5 * GIB
NAME = "llama-3-8b"


def seen(measured_bytes: float, *, unowned_gib: float = 0.0, ready: bool = True) -> State:
    """Return what is known of a llama-server whose process holds so much of a GPU."""
    machine = Machine(Gpu(unowned_gib=unowned_gib))
    server = machine.llama_server(measured_bytes / GIB, is_asked=True)
    server.port = "ready" if ready else "loading"
    return machine.run(2).state


def found(state: State) -> LeftOut | None:
    [model] = state.models.values()
    return left_out(model, state)


@pytest.mark.parametrize(
    ("missing", "told"),
    [(0, 0), (WEIGHTS // 10 - 1, 0), (WEIGHTS // 10, WEIGHTS // 10), (3 * GIB, 3 * GIB)],
)
def test_weights_count_as_left_out_from_a_tenth_on(missing: int, told: int) -> None:
    measured = WEIGHTS - missing
    assert found(seen(measured)) == LeftOut(bytes=told, weights_bytes=WEIGHTS, measured_bytes=measured)


def test_all_of_them_can_be_missing() -> None:
    assert found(seen(0)) in {LeftOut(WEIGHTS, WEIGHTS, 0), None}


def test_memory_without_an_owner_may_be_the_models() -> None:
    half = WEIGHTS / 2
    assert found(seen(half, unowned_gib=0.3)) is not None
    assert found(seen(half, unowned_gib=4.0)) is None


def test_it_matters_only_where_something_is_missing() -> None:
    assert found(seen(WEIGHTS, unowned_gib=4.0)) == LeftOut(0, WEIGHTS, WEIGHTS)


def test_while_it_loads_nothing_is_settled() -> None:
    assert found(seen(2 * GIB, ready=False)) is None


def test_of_weights_of_unknown_size_nothing_is_told() -> None:
    bare = replace(FACTS, weights_bytes=None)
    looks = (processes(0, alone(), servers=()), served(0, NAME), statistics(0, facts=bare))
    measured = nvml(1, holding(gpu(used_gib=2.0), {500: 2.0}))
    assert found(after(*looks, measured, processes(2, alone(), servers=()), measured).state) is None


def test_without_a_measurement_nothing_is_told() -> None:
    looks = (processes(0, alone(), servers=()), served(0, NAME), statistics(0, facts=FACTS))
    assert found(after(*looks, nvml(1, gpu())).state) is None


def test_its_split_is_what_the_figures_amount_to() -> None:
    state = seen(2 * GIB)
    [model] = state.models.values()
    assert placement_of(model, state) == Split(2 * GIB, 3 * GIB, 0.6)


def test_its_split_is_unknown_where_there_is_no_estimate() -> None:
    state = seen(2 * GIB, ready=False)
    [model] = state.models.values()
    assert placement_of(model, state) == UNKNOWN_SPLIT


def test_ollama_tells_itself() -> None:
    state = after(ollama(0, [claim(gpu_gib=6.0, ram_gib=2.0)])).state
    [model] = state.models.values()
    assert left_out(model, state) is None
    assert placement_of(model, state) == Split(6 * GIB, 2 * GIB, 0.25)
