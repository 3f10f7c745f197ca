from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.app.diagnosis.scenes import LOADED, Other, Scene, cause, diagnosed
from tests.fakes.samples import OLLAMA, claim
from tests.scene import after

from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.collectors.samples import LogEvent, ServerSample, SourceHealth

LARGE_CONTEXT = Scene(context=65536)
TIGHT = Scene(total_gib=6.8, on_gpu_gib=5.0, in_ram_gib=1.0)
"""Needs 5.9 GiB of 6.55: it would fit, but not with a margin of 1 GiB."""


def test_a_request_for_more_context_than_fits_is_to_blame() -> None:
    found = cause(LARGE_CONTEXT)
    assert found.kind == "context_request"
    assert found.sentence == "its context is too large: a request asked for 65536 tokens"


def test_a_modelfile_that_asks_for_the_context_is_named() -> None:
    found = cause(Scene(context=65536, parameters={"num_ctx": "65536"}))
    assert (found.kind, found.evidence[0].source) == ("context_request", "Modelfile")


def test_the_default_for_this_much_vram_is_named() -> None:
    found = cause(Scene(total_gib=24, layer_mib=640, context=32768, on_gpu_gib=15, in_ram_gib=8))
    assert found.kind == "context_default"
    assert "32768 tokens are Ollama's default for 24 GiB of VRAM" in found.sentence


def test_the_default_that_the_log_names_is_named() -> None:
    log = [LogEvent(kind="default_context", count=65536)]
    found = cause(Scene(context=65536, log=log))
    assert (found.kind, found.evidence[0].source) == ("context_default", "server log")


def test_the_variable_that_sets_the_default_is_named() -> None:
    log = [LogEvent(kind="server_config", settings={"OLLAMA_CONTEXT_LENGTH": "65536"})]
    assert "OLLAMA_CONTEXT_LENGTH" in cause(Scene(context=65536, log=log)).sentence


def test_the_variable_is_named_from_the_servers_environment_where_there_is_no_log() -> None:
    found = cause(Scene(context=65536, environment={"OLLAMA_CONTEXT_LENGTH": "65536"}))
    assert (found.kind, found.evidence[0].source) == ("context_default", "environment")
    assert "OLLAMA_CONTEXT_LENGTH is 65536 tokens" in found.sentence


def test_a_variable_that_says_otherwise_explains_nothing() -> None:
    found = cause(Scene(context=65536, environment={"OLLAMA_CONTEXT_LENGTH": "8192"}))
    assert found.kind == "context_request"


def test_several_slots_are_to_blame_where_one_would_fit() -> None:
    found = cause(Scene(context=16384, parallel=4))
    assert found.kind == "slots"
    assert "4 slots of 16384 tokens" in found.sentence


def test_a_cache_of_full_precision_is_to_blame() -> None:
    assert cause(Scene(context=32768, total_gib=13, cache_type="f32")).kind == "cache_type"


def test_a_small_context_that_fits_only_in_a_smaller_type_is_no_large_context() -> None:
    found = cause(Scene(context=4096, kv_heads=32, total_gib=7.25, on_gpu_gib=4.0))
    assert found.kind == "cache_type"


def test_a_model_that_was_there_before_is_to_blame() -> None:
    found = cause(Scene(others=[Other("qwen3:8b", 7.0)], on_gpu_gib=4.0))
    assert found.kind == "other_model"
    assert found.sentence == "qwen3:8b (7.0 GiB) was on the GPU before it"


def test_a_process_is_named_with_its_bytes() -> None:
    found = cause(Scene(others=[Other("blender", 7.0)], on_gpu_gib=4.0))
    assert found.kind == "foreign_process"
    assert found.sentence == "blender (7.0 GiB) was on the GPU before it"


def test_the_desktop_is_to_blame_only_where_nothing_else_is() -> None:
    desktop = [Other("Xorg", 1.6, group="desktop")]
    assert cause(Scene(context=65536, others=desktop)).kind == "context_request"
    small = Scene(context=2048, cache_type="q4_0", total_gib=6.7, others=desktop, on_gpu_gib=4.0)
    found = cause(small)
    assert (found.kind, found.sentence) == ("foreign_process", "Xorg (1.6 GiB) was on the GPU before it")


def test_a_model_that_came_later_is_not_blamed() -> None:
    later = Other("qwen3:8b", 7.0, started=LOADED + 30)
    assert cause(Scene(others=[later], on_gpu_gib=4.0)).kind == "unknown", "nobody was there at its load"


def test_a_model_that_has_gone_since_is_to_blame() -> None:
    scene = Scene(on_gpu_gib=4.0)
    before = ServerSample(
        kind="ollama",
        time=LOADED - 10,
        source=OLLAMA,
        health=SourceHealth(state="serving"),
        models=(claim("qwen3:8b", gpu_gib=5.5),),
    )
    state = after(before, *scene.samples(0.0), *scene.samples(1.0)).state
    [model] = state.models.values()
    found = diagnose(model, state).cause
    assert found is not None
    assert found.kind == "other_model"
    assert found.sentence == "qwen3:8b held 5.5 GiB when it was loaded, and has gone since"


def test_the_margin_of_the_runtime_is_to_blame_where_it_would_fit() -> None:
    found = cause(TIGHT)
    assert found.kind == "safety_margin"
    assert "the runtime leaves 1.0 GiB of each GPU free" in found.sentence


def test_layers_set_by_hand_are_to_blame() -> None:
    found = cause(Scene(gpu_layers=20, on_gpu_gib=4.0))
    assert found.kind == "gpu_layers"
    assert found.sentence == "num_gpu 20 was set by hand, of 33 layers"


def test_layers_set_by_hand_are_not_to_blame_where_no_more_would_go_there() -> None:
    assert cause(Scene(layer_mib=600, gpu_layers=19, on_gpu_gib=11.0)).kind == "larger_than_gpu"


def test_a_model_that_no_context_is_small_enough_for_is_larger_than_the_gpu() -> None:
    found = cause(Scene(layer_mib=600, on_gpu_gib=11.0, in_ram_gib=9.0))
    assert found.kind == "larger_than_gpu"
    assert "is larger than GPU 0" in found.sentence


def test_a_gpu_with_room_that_was_not_used_is_told() -> None:
    assert cause(Scene(on_gpu_gib=0.0, in_ram_gib=5.0)).kind == "gpu_not_used"


def test_a_server_that_found_no_gpu_is_told_by_its_log() -> None:
    found = cause(Scene(on_gpu_gib=0.0, in_ram_gib=5.0, log=[LogEvent(kind="no_gpu_found")]))
    assert found.sentence == "the server found no GPU when it started"


@pytest.mark.parametrize("scene", [Scene(described=False), Scene(architecture="rwkv9")])
def test_without_geometry_the_cause_is_unknown_and_nobody_is_blamed(scene: Scene) -> None:
    found = cause(scene)
    assert found.kind == "unknown"
    assert "qwen" not in found.sentence


def test_a_model_on_the_cpu_by_choice_has_no_cause() -> None:
    assert diagnosed(Scene(gpu_layers=0, on_gpu_gib=0.0, in_ram_gib=5.0)).cause is None


def test_a_model_that_fits_has_no_cause() -> None:
    assert diagnosed(Scene(in_ram_gib=0.0)).cause is None


@given(
    context=st.sampled_from([2048, 4096, 16384, 32768, 131072]),
    parallel=st.integers(1, 4),
    total=st.floats(4.0, 26.0),
    other=st.floats(0.0, 3.0),
    later=st.booleans(),
    layer_mib=st.integers(40, 700),
)
def test_whatever_is_blamed_is_there_with_evidence(
    context: int, parallel: int, total: float, other: float, later: bool, layer_mib: int
) -> None:
    started = LOADED + 10 if later else LOADED - 10
    others = [Other("qwen3:8b", other, started=started)] if other > 0.2 else []
    scene = Scene(
        context=context,
        parallel=parallel,
        total_gib=total,
        layer_mib=layer_mib,
        others=others,
        on_gpu_gib=0.5,
        in_ram_gib=1.0,
    )
    found = cause(scene)
    assert found.evidence, "a cause without evidence is a guess"
    if found.kind == "other_model":
        assert others
        assert not later
