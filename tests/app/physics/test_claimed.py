"""Where a loaded model lies by what is claimed of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.app.physics.published import GIB, GPT_OSS_20B, LLAMA3_8B

from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.placement import placement_of_claim

OPTIONS = LoadOptions(4096)


def test_a_model_with_nothing_in_ram_is_whole() -> None:
    assert placement_of_claim(LLAMA3_8B, OPTIONS, (5 * GIB,), 0).fits


def test_layers_are_in_ram_in_proportion_to_the_bytes() -> None:
    placed = placement_of_claim(LLAMA3_8B, OPTIONS, (3 * GIB,), 3 * GIB)
    assert (placed.layers_on_gpu, placed.layer_count, placed.overflowing_layers) == (16, 33, 0)


def test_a_model_wholly_in_ram_has_no_layer_on_a_gpu() -> None:
    assert placement_of_claim(LLAMA3_8B, OPTIONS, (0,), 6 * GIB).layers_on_gpu == 0


def test_of_a_model_with_experts_those_of_the_first_blocks_are_in_ram() -> None:
    placed = placement_of_claim(GPT_OSS_20B, OPTIONS, (8 * GIB,), 4 * GIB)
    assert placed.overflowing_layers > 0
    assert placed.blocks_on_gpu + placed.overflowing_layers == len(GPT_OSS_20B.layers)


def test_its_blocks_are_there_as_a_whole_where_layers_were_asked_for() -> None:
    placed = placement_of_claim(GPT_OSS_20B, LoadOptions(4096, gpu_layers=12), (8 * GIB,), 4 * GIB)
    assert placed.overflowing_layers == 0


@given(st.integers(0, 80 * GIB), st.integers(0, 80 * GIB), st.sampled_from([LLAMA3_8B, GPT_OSS_20B]))
def test_more_in_ram_never_leaves_more_layers_on_the_gpu(
    on_gpu: int, in_ram: int, geometry: Geometry
) -> None:
    less = placement_of_claim(geometry, OPTIONS, (on_gpu,), in_ram)
    more = placement_of_claim(geometry, OPTIONS, (on_gpu,), in_ram + GIB)
    assert 0 <= more.layers_on_gpu <= less.layers_on_gpu <= less.layer_count
