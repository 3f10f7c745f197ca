"""Where layers go on given free memory, and how much context fits."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.app.physics import model_facts as models
from tests.app.physics.geometries import FREE, geometries, loads
from tests.app.physics.model_facts import GIB, MIB, shape, weights

from gpumon.app.physics.geometry import CacheType, Geometry, LoadOptions
from gpumon.app.physics.memory import memory_need
from gpumon.app.physics.placement import RUNTIME_MARGIN_BYTES, largest_context, place
from gpumon.collectors.samples import ModelFacts, ModelWeights

OPTIONS = LoadOptions(4096)
MODEL = shape(models.QWEN25_7B)
NEED = memory_need(MODEL, OPTIONS).total_bytes


def with_weights(model: ModelFacts, measured: ModelWeights) -> Geometry:
    return shape(msgspec.structs.replace(model, weights=measured))


def test_a_model_that_has_room_is_wholly_on_the_gpu() -> None:
    placed = place(MODEL, OPTIONS, [NEED + RUNTIME_MARGIN_BYTES])
    assert placed.fits
    assert (placed.layers_on_gpu, placed.layer_count) == (29, 29)
    assert placed.vram_bytes == NEED
    assert placed.ram_bytes == MODEL.token_embedding_bytes
    assert placed.spill_fraction == 0


def test_a_byte_too_little_spills() -> None:
    placed = place(MODEL, OPTIONS, [NEED + RUNTIME_MARGIN_BYTES - 1])
    assert not placed.fits
    assert placed.spill_fraction > 0


def test_the_margin_can_be_given() -> None:
    assert place(MODEL, OPTIONS, [NEED], margin_bytes=0).fits
    assert not place(MODEL, OPTIONS, [NEED + GIB - 1], margin_bytes=GIB).fits


def test_a_spilled_model_keeps_its_output_and_last_blocks_on_the_gpu() -> None:
    placed = place(MODEL, OPTIONS, [4 * GIB])
    assert placed.output_on_gpu
    assert 0 < placed.blocks_on_gpu == placed.layers_on_gpu - 1 < 28
    assert placed.vram_bytes <= 4 * GIB - RUNTIME_MARGIN_BYTES


def moe(experts: int) -> Geometry:
    geometry = shape(models.QWEN3_30B_A3B)
    block = replace(geometry.layers[0], weights_bytes=500 * MIB, expert_bytes=experts * MIB)
    return replace(geometry, layers=(block,) * 48)


def test_of_a_model_with_experts_only_experts_are_in_ram() -> None:
    geometry = moe(experts=460)
    placed = place(geometry, OPTIONS, [12 * GIB])
    assert placed.blocks_on_gpu + placed.overflowing_layers == 48
    assert placed.ram_bytes == placed.overflowing_layers * 460 * MIB
    assert not placed.fits
    assert 0 < placed.blocks_on_gpu < 48


def test_experts_go_with_their_block_where_layers_were_asked_for() -> None:
    placed = place(moe(experts=460), replace(OPTIONS, gpu_layers=20), [12 * GIB])
    assert (placed.blocks_on_gpu, placed.overflowing_layers) == (19, 0)
    assert placed.ram_bytes > 29 * 500 * MIB


def test_blocks_go_whole_where_not_even_the_rest_of_them_fits() -> None:
    placed = place(moe(experts=10), OPTIONS, [12 * GIB])
    assert placed.overflowing_layers == 0
    assert 0 < placed.blocks_on_gpu < 48


def test_layers_that_are_asked_for_are_counted_from_the_output() -> None:
    # logged: "offloading output layer to GPU", "offloading 7 repeating layers", "offloaded 8/19 layers"
    placed = place(shape(models.GEMMA_3_270M), replace(OPTIONS, gpu_layers=8), [GIB])
    assert (placed.layers_on_gpu, placed.layer_count, placed.blocks_on_gpu) == (8, 19, 7)


@pytest.mark.parametrize(("asked", "on_gpu"), [(0, 0), (5, 5), (29, 29), (999, 29), (-1, 0)])
def test_layers_that_are_asked_for_go_there_whether_they_fit_or_not(asked: int, on_gpu: int) -> None:
    placed = place(MODEL, replace(OPTIONS, gpu_layers=asked), [MIB])
    assert placed.layers_on_gpu == on_gpu


@pytest.mark.parametrize("free", [[], [0], [100 * MIB], [0, 0]])
def test_without_room_everything_is_in_ram(free: list[int]) -> None:
    placed = place(MODEL, OPTIONS, free)
    assert (placed.layers_on_gpu, placed.vram_bytes, placed.output_on_gpu) == (0, 0, False)
    assert placed.vram_bytes_by_gpu == (0,) * len(free)
    assert placed.spill_fraction == 1


def test_one_gpu_that_has_room_is_preferred() -> None:
    placed = place(MODEL, OPTIONS, [4 * GIB, 12 * GIB])
    assert placed.vram_bytes_by_gpu == (0, NEED)


def test_a_model_too_large_for_one_gpu_is_spread_by_free_memory() -> None:
    placed = place(MODEL, OPTIONS, [4 * GIB, 3 * GIB])
    first, second = placed.vram_bytes_by_gpu
    assert placed.fits
    assert first > second > 0
    assert placed.vram_bytes == memory_need(MODEL, OPTIONS, 2).total_bytes


def test_what_is_in_ram_and_on_gpus_is_the_whole_model() -> None:
    fixed = place(MODEL, OPTIONS, [4 * GIB])
    cache = memory_need(MODEL, OPTIONS).kv_cache_bytes
    assert fixed.vram_bytes + fixed.ram_bytes > MODEL.file_bytes + cache


LLAMA = with_weights(
    models.LLAMA_31_8B, weights(4_912_900_000, 32, 128_256 * 4096 * 0.5625, 128_256 * 4096 * 0.8203)
)
QWEN3_14B = with_weights(
    models.QWEN3_14B, weights(8_995_000_000, 40, 151_936 * 5120 * 0.5625, 151_936 * 5120 * 0.8203)
)


@pytest.mark.parametrize(
    ("geometry", "free_gib", "cache", "expected"),
    [
        (LLAMA, 11.2, "f16", 54_000),
        (LLAMA, 11.2, "q8_0", 101_000),
        (LLAMA, 15.3, "f16", 87_000),
        (LLAMA, 23.2, "f16", 131_072),
        (QWEN3_14B, 11.2, "f16", 19_000),
        (QWEN3_14B, 23.2, "f16", 40_960),
        (shape(models.QWEN25_14B), 11.2, "f16", 16_000),
        (shape(models.QWEN25_14B), 15.3, "q8_0", 72_000),
        (shape(models.QWEN25_14B), 23.2, "f16", 81_000),
    ],
)
def test_the_largest_context_of(geometry: Geometry, free_gib: float, cache: CacheType, expected: int) -> None:
    found = largest_context(geometry, OPTIONS, [round(free_gib * GIB)], cache, margin_bytes=0)
    assert found == pytest.approx(expected, rel=0.03)


def test_there_is_no_context_for_a_model_that_does_not_fit() -> None:
    assert largest_context(MODEL, OPTIONS, [4 * GIB], "f16") is None


@given(geometries(), loads(), FREE, st.integers(0, 2**30))
def test_what_fits_is_within_the_free_memory(
    geometry: Geometry, options: LoadOptions, free: list[int], margin: int
) -> None:
    placed = place(geometry, replace(options, gpu_layers=None), free, margin)
    assert min(placed.vram_bytes, placed.ram_bytes, placed.layers_on_gpu) >= 0
    assert placed.vram_bytes == sum(placed.vram_bytes_by_gpu)
    for held, room in zip(placed.vram_bytes_by_gpu, free, strict=True):
        assert held <= max(0, room - margin)
    if placed.fits:
        used = sum(held > 0 for held in placed.vram_bytes_by_gpu)
        assert placed.vram_bytes == memory_need(geometry, options, used).total_bytes


@given(geometries(), loads(), FREE, st.integers(0, 2**33))
def test_more_free_memory_never_holds_fewer_layers(
    geometry: Geometry, options: LoadOptions, free: list[int], more: int
) -> None:
    auto, dense = replace(options, gpu_layers=None), replace(geometry, expert_count=0)
    richer = [room + more for room in free]
    few, many = (place(dense, auto, rooms).layers_on_gpu for rooms in (free, richer))
    assert many >= few


@given(geometries(), loads(), FREE)
def test_a_placement_has_as_many_layers_as_were_asked_for(
    geometry: Geometry, options: LoadOptions, free: list[int]
) -> None:
    placed = place(geometry, replace(options, gpu_layers=3), free)
    assert placed.layers_on_gpu == (min(3, placed.layer_count) if free else 0)
    assert 0 <= placed.spill_fraction <= 1


@given(geometries(), loads(), FREE, st.sampled_from(["f16", "q8_0", "q4_0"]))
def test_the_largest_context_fits_and_a_longer_one_does_not(
    geometry: Geometry, options: LoadOptions, free: list[int], cache: CacheType
) -> None:
    found = largest_context(geometry, options, free, cache)
    trained = geometry.trained_context_length or 2**20
    asked = replace(options, cache_type_k=cache, cache_type_v=cache, gpu_layers=None)
    if found is not None:
        assert found % 256 == 0
        assert found <= trained
        assert place(geometry, replace(asked, context_length=found), free).fits
    longer = (found or 0) + 256
    if longer <= trained:
        assert not place(geometry, replace(asked, context_length=longer), free).fits
