from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.app.diagnosis.scenes import LOADED, NAME, Other, Scene, diagnosed, remedy

from gpumon.app.diagnosis.arithmetic import TIGHT_MARGIN_BYTES, Arithmetic, arithmetic_of
from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.diagnosis.remedies.elsewhere import smaller_files
from gpumon.app.insight import shapes as load_options
from gpumon.app.insight.loaded import loaded
from gpumon.app.insight.shapes import shape_of
from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.collectors.samples import LogEvent

LARGE_CONTEXT = Scene(context=65536)


def advised(scene: Scene, action: str) -> Remedy:
    found = remedy(scene, action)
    assert found is not None, f"{action} is not advised"
    return found


def test_a_smaller_context_is_advised_with_the_line_to_type() -> None:
    found = advised(LARGE_CONTEXT, "shrink_context")
    assert re.fullmatch(r"/set parameter num_ctx \d+", found.command or "")
    assert found.where == "in ollama run"
    assert re.fullmatch(r"needs \d+\.\d of \d+\.\d GiB free", found.arithmetic)


def test_a_smaller_type_of_cache_is_advised_where_it_fits() -> None:
    found = advised(Scene(context=65536, total_gib=11.5), "quantize_cache")
    assert found.command == "OLLAMA_KV_CACHE_TYPE=q8_0"


def test_the_smallest_type_is_advised_where_only_that_fits() -> None:
    found = advised(Scene(context=98304, total_gib=10.5), "quantize_cache")
    assert found.command == "OLLAMA_KV_CACHE_TYPE=q4_0"


def test_a_smaller_type_needs_flash_attention() -> None:
    found = advised(Scene(context=65536, total_gib=11.5, flash_attention="off"), "quantize_cache")
    assert found.command == "OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE=q8_0"


def test_a_smaller_type_and_a_shorter_context_are_advised_together_where_one_costs_more() -> None:
    found = advised(Scene(context=131072, total_gib=11.5), "combine_settings")
    assert found.command == "OLLAMA_KV_CACHE_TYPE=q8_0"
    shorter = re.fullmatch(
        r"in the server's environment, and /set parameter num_ctx (\d+) in ollama run", found.where or ""
    )
    alone = advised(Scene(context=131072, total_gib=11.5), "shrink_context").command or ""
    assert shorter is not None
    assert int(shorter[1]) > 1.5 * int(alone.rpartition(" ")[2])


def test_settings_are_not_combined_where_one_is_enough() -> None:
    assert remedy(Scene(context=65536, total_gib=11.5), "combine_settings") is None


def test_a_second_gpu_is_reckoned_with() -> None:
    assert advised(Scene(context=131072, total_gib=6.0, second_gib=8.0), "shrink_context").command


def test_fewer_slots_are_advised_as_many_as_fit() -> None:
    assert advised(Scene(context=16384, parallel=4), "reduce_parallel").command == "OLLAMA_NUM_PARALLEL=2"


def test_all_layers_are_advised_where_only_the_margin_is_in_the_way() -> None:
    found = advised(Scene(total_gib=6.8, on_gpu_gib=5.0, in_ram_gib=1.0), "raise_gpu_layers")
    assert (found.command, found.where) == ("PARAMETER num_gpu 33", "in its Modelfile")


def test_all_layers_are_advised_where_fewer_were_set_by_hand() -> None:
    assert advised(Scene(gpu_layers=20, on_gpu_gib=4.0), "raise_gpu_layers").command == "PARAMETER num_gpu 33"


def test_loading_it_again_is_advised_where_it_fits_now() -> None:
    gone = Scene(on_gpu_gib=4.0)
    assert advised(gone, "reload_model").command == f"ollama stop {NAME}"


def test_another_model_is_advised_to_be_unloaded() -> None:
    found = advised(Scene(others=[Other("qwen3:8b", 7.0)], on_gpu_gib=4.0), "unload_model")
    assert found.command == f"ollama stop qwen3:8b && ollama stop {NAME}"


def test_a_name_from_outside_is_quoted() -> None:
    found = advised(Scene(others=[Other("x:8b; rm -rf ~", 7.0)], on_gpu_gib=4.0), "unload_model")
    assert found.command == f"ollama stop 'x:8b; rm -rf ~' && ollama stop {NAME}"


@pytest.mark.parametrize("name", ["--help:1", "a:\x1b[2J"])
def test_a_name_that_cannot_be_typed_gets_no_line(name: str) -> None:
    assert advised(Scene(others=[Other(name, 7.0)], on_gpu_gib=4.0), "unload_model").command is None


def test_a_process_is_advised_to_be_closed_and_nothing_is_typed() -> None:
    found = advised(Scene(others=[Other("blender", 7.0)], on_gpu_gib=4.0), "free_process")
    assert found.command is None
    assert found.sentence == "close blender (7.0 GiB, pid 200), then load it again"


def test_the_desktop_is_never_advised_to_be_ended() -> None:
    desktop = [Other("Xorg", 1.6, group="desktop")]
    scene = Scene(context=2048, cache_type="q4_0", total_gib=6.7, others=desktop, on_gpu_gib=4.0)
    assert remedy(scene, "free_process") is None


def test_a_smaller_file_is_advised_with_its_size() -> None:
    found = advised(Scene(layer_mib=400, on_gpu_gib=11.0), "smaller_quantization")
    assert re.search(r"IQ3_XXS: about \d+\.\d GiB", found.sentence)
    assert found.expected_tokens_per_second is not None


def test_experts_of_some_layers_are_advised_to_stay_in_ram() -> None:
    log = [
        LogEvent(kind="load_started", blob="sha256-" + 64 * "a", port=40001, at=LOADED),
        LogEvent(kind="layers_offloaded", count=20, total=33),
    ]
    scene = Scene(layer_mib=600, experts=64, architecture="qwen3moe", on_gpu_gib=11.0, in_ram_gib=8, log=log)
    assert re.fullmatch(r"LLAMA_ARG_N_CPU_MOE=\d+", advised(scene, "experts_to_cpu").command or "")


def test_experts_are_left_alone_where_the_log_says_nothing() -> None:
    scene = Scene(layer_mib=600, experts=64, architecture="qwen3moe", on_gpu_gib=11.0, in_ram_gib=8)
    assert remedy(scene, "experts_to_cpu") is None


def test_a_server_without_its_gpu_is_advised_to_be_started_again_and_nothing_else() -> None:
    found = diagnosed(Scene(on_gpu_gib=0.0, in_ram_gib=5.0, log=[LogEvent(kind="no_gpu_found")])).remedies
    assert [one.action for one in found] == ["restart_server"]


def test_a_model_that_fits_needs_no_remedy() -> None:
    assert diagnosed(Scene(in_ram_gib=0.0)).remedies == ()


def test_without_geometry_nothing_is_advised() -> None:
    assert diagnosed(Scene(described=False)).remedies == ()


def test_remedies_that_cost_nothing_come_first_and_a_smaller_file_last() -> None:
    actions = [one.action for one in diagnosed(Scene(context=65536, total_gib=11.5)).remedies]
    assert actions.index("quantize_cache") < actions.index("shrink_context")
    assert actions[0] != "smaller_quantization"


def test_the_rate_after_it_is_told_as_a_band() -> None:
    band = advised(LARGE_CONTEXT, "shrink_context").expected_tokens_per_second
    assert band is not None
    assert 0 < band.low < band.expected < band.high


@given(
    context=st.sampled_from([4096, 16384, 32768, 65536, 131072]),
    parallel=st.integers(1, 4),
    total=st.floats(3.0, 26.0),
    model=st.floats(0.3, 4.0),
    process=st.floats(0.3, 4.0),
    layer_mib=st.integers(40, 700),
    cache_type=st.sampled_from([None, "f32", "q8_0"]),
    second=st.just(0.0) | st.floats(2.0, 26.0),
)
def test_what_is_advised_makes_the_model_fit(
    context: int,
    parallel: int,
    total: float,
    model: float,
    process: float,
    layer_mib: int,
    cache_type: str | None,
    second: float,
) -> None:
    scene = Scene(
        second_gib=second,
        context=context,
        parallel=parallel,
        total_gib=total + model + process,
        layer_mib=layer_mib,
        cache_type=cache_type,
        others=[Other("qwen3:8b", model, pid=201), Other("blender", process, pid=202)],
        on_gpu_gib=0.5,
        in_ram_gib=1.0,
    )
    arithmetic = reckoned(scene)
    for one in diagnosed(scene).remedies:
        assert fits_after(one, arithmetic), one


def reckoned(scene: Scene) -> Arithmetic:
    state = scene.state()
    own = next(one for one in state.models.values() if one.claim.name == scene.name)
    found = arithmetic_of(loaded(own, state), state, shape_of(own, state))
    assert isinstance(found, Arithmetic)
    return found


def fits_after(one: Remedy, arithmetic: Arithmetic) -> bool:
    """Tell whether the model fits when what is typed, ended or taken has been."""
    free, options, number = arithmetic.room.free_bytes, arithmetic.options, _number(one.command)
    kind = load_options.cache_type_named((one.command or "").rpartition("=")[2]) or "f32"
    freed = one.frees_bytes or 0
    checks = {
        "shrink_context": lambda: arithmetic.fits(free, replace(options, context_length=number)),
        "reduce_parallel": lambda: arithmetic.fits(free, replace(options, parallel=number)),
        "quantize_cache": lambda: arithmetic.fits(
            free, replace(options, cache_type_k=kind, cache_type_v=kind)
        ),
        "raise_gpu_layers": lambda: arithmetic.fits(free, margin_bytes=TIGHT_MARGIN_BYTES),
        "reload_model": lambda: arithmetic.fits(free),
        "unload_model": lambda: arithmetic.fits([free[0] + freed, *free[1:]]),
        "free_process": lambda: arithmetic.fits([free[0] + freed, *free[1:]]),
        "smaller_quantization": lambda: arithmetic.fits(free, geometry=_smaller_file(one, arithmetic)),
        "combine_settings": lambda: arithmetic.fits(free, _combined(one, options)),
    }
    return checks[one.action]()


def _smaller_file(one: Remedy, arithmetic: Arithmetic) -> Geometry:
    files = smaller_files(arithmetic.geometry, "Q4_K_M")
    return next(file.geometry for file in files if f"of it, {file.name}:" in one.sentence)


def _combined(one: Remedy, present: LoadOptions) -> LoadOptions:
    """Return the options with everything that is to be typed."""
    typed = f"{one.command} {one.where}"
    context, slots = re.search(r"num_ctx (\d+)", typed), re.search(r"PARALLEL=(\d+)", typed)
    smaller = "OLLAMA_KV_CACHE_TYPE=q8_0" in typed
    return replace(
        present,
        context_length=int(context[1]) if context else present.context_length,
        parallel=int(slots[1]) if slots else present.parallel,
        cache_type_k="q8_0" if smaller else present.cache_type_k,
        cache_type_v="q8_0" if smaller else present.cache_type_v,
    )


def _number(command: str | None) -> int:
    found = re.findall(r"(?<![a-z_0-9])\d+$", command or "")
    return int(found[0]) if found else 0
