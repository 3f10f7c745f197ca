"""Where layers go, byte by byte: each limit just met and just missed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.physics import model_facts as models
from tests.app.physics.model_facts import GIB, MIB, shape

from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.memory import compute_bytes, memory_need, overhead_bytes
from gpumon.app.physics.placement import (
    LONGEST_CONTEXT,
    RUNTIME_MARGIN_BYTES,
    largest_context,
    place,
    placement_of_claim,
)

OPTIONS = LoadOptions(4096)
BLOCK = 500 * MIB


def uniform(blocks: int = 8, *, experts_mib: int = 0, tied: bool = False) -> Geometry:
    """Return a model whose blocks weigh 500 MiB each, in all but its caches."""
    geometry = shape(models.QWEN3_30B_A3B if experts_mib else models.QWEN25_7B)
    block = replace(geometry.layers[0], weights_bytes=BLOCK, expert_bytes=experts_mib * MIB)
    return replace(geometry, layers=(block,) * blocks, **({"output_bytes": None} if tied else {}))


def unit_bytes(geometry: Geometry) -> int:
    """Return what one block takes with its cache."""
    deeper = replace(geometry, layers=(*geometry.layers, geometry.layers[0]))
    return memory_need(deeper, OPTIONS).total_bytes - memory_need(geometry, OPTIONS).total_bytes


def need_bytes(geometry: Geometry, options: LoadOptions = OPTIONS) -> int:
    return memory_need(geometry, options).total_bytes


def fixed_bytes(geometry: Geometry) -> int:
    return compute_bytes(geometry, OPTIONS) + overhead_bytes()


def layers(geometry: Geometry, *free: int, gpu_layers: int | None = None) -> tuple[int, ...]:
    """Return the layers on all GPUs, and the bytes on each, without a margin."""
    placed = place(geometry, replace(OPTIONS, gpu_layers=gpu_layers), free, margin_bytes=0)
    return placed.layers_on_gpu, *placed.vram_bytes_by_gpu


def test_the_constants_are_those_of_the_sources() -> None:
    assert RUNTIME_MARGIN_BYTES == 457 * 1024**2
    assert LONGEST_CONTEXT == 1048576


def test_without_a_gpu_everything_is_in_ram() -> None:
    model = uniform()
    placed = place(model, OPTIONS, [])
    assert (placed.layers_on_gpu, placed.vram_bytes, placed.vram_bytes_by_gpu) == (0, 0, ())
    assert not placed.output_on_gpu


def test_free_memory_below_the_margin_is_none() -> None:
    assert place(uniform(), OPTIONS, [RUNTIME_MARGIN_BYTES - 5]).layers_on_gpu == 0


@pytest.mark.parametrize("wanted", [0, 1, 5])
def test_a_split_holds_its_layers_and_what_is_fixed(wanted: int) -> None:
    model = uniform()
    placed = place(model, replace(OPTIONS, gpu_layers=wanted), [40 * GIB], margin_bytes=0)
    output = need_bytes(model) - fixed_bytes(model) - 8 * unit_bytes(model)
    split = fixed_bytes(model)
    held = (wanted - 1) * unit_bytes(model) + output + split if wanted else 0
    assert placed.layers_on_gpu == wanted
    assert placed.vram_bytes == held
    in_ram = model.token_embedding_bytes + model.host_bytes + (8 - max(0, wanted - 1)) * unit_bytes(model)
    assert placed.ram_bytes == in_ram + (0 if wanted else output)


@pytest.mark.parametrize(("wanted", "given"), [(-3, 0), (0, 0), (9, 9), (12, 9)])
def test_layers_by_hand_are_between_none_and_all(wanted: int, given: int) -> None:
    assert layers(uniform(), 40 * GIB, gpu_layers=wanted)[0] == given


def test_a_tied_output_is_no_second_copy_where_nothing_is_on_a_gpu() -> None:
    tied = uniform(tied=True)
    copies = [place(one, OPTIONS, []).ram_bytes for one in (uniform(), tied)]
    whole = memory_need(uniform(), OPTIONS).total_bytes - memory_need(tied, OPTIONS).total_bytes
    assert copies[0] - copies[1] == tied.token_embedding_bytes + whole


def test_the_emptiest_gpu_takes_it_all_where_it_can() -> None:
    model = uniform()
    need = need_bytes(model)
    assert layers(model, need, need + 1) == (9, 0, need)
    assert layers(model, need, need) == (9, need, 0)


def test_where_none_can_alone_layers_are_spread_by_free_memory() -> None:
    model = uniform()
    placed = place(model, OPTIONS, [4 * GIB, 4 * GIB], margin_bytes=0)
    first, second = placed.vram_bytes_by_gpu
    assert placed.fits
    assert first == 5 * unit_bytes(model) + fixed_bytes(model)
    output = need_bytes(model) - fixed_bytes(model) - 8 * unit_bytes(model)
    assert second == 3 * unit_bytes(model) + output + fixed_bytes(model)


def test_where_the_shares_do_not_fit_gpus_are_filled_from_the_last_layer_back() -> None:
    model = uniform()
    unit, fixed = unit_bytes(model), fixed_bytes(model)
    output = need_bytes(model) - fixed - 8 * unit
    rooms = [3 * unit + fixed, 5 * unit + output + fixed]
    placed = place(model, OPTIONS, rooms, margin_bytes=0)
    assert placed.fits
    assert placed.vram_bytes_by_gpu == tuple(rooms)
    short = place(model, OPTIONS, [rooms[0] - 1, rooms[1]], margin_bytes=0)
    assert not short.fits


def test_of_a_split_as_many_layers_go_there_as_fit_to_the_byte() -> None:
    model = uniform()
    output = need_bytes(model) - fixed_bytes(model) - 8 * unit_bytes(model)
    four = 3 * unit_bytes(model) + output + fixed_bytes(model)
    assert layers(model, four) == (4, four)
    assert layers(model, four - 1) == (3, four - unit_bytes(model))


def test_a_gpu_too_small_for_any_layer_is_passed_over() -> None:
    model = uniform()
    output = need_bytes(model) - fixed_bytes(model) - 8 * unit_bytes(model)
    four = 3 * unit_bytes(model) + output + fixed_bytes(model)
    assert layers(model, 100 * MIB, four) == (4, 0, four)


class TestByHandOnSeveral:
    def test_they_go_to_the_emptiest_where_they_fit(self) -> None:
        count, first, second = layers(uniform(), 10 * GIB, 12 * GIB, gpu_layers=4)
        assert (count, first) == (4, 0)
        assert second > 0

    def test_else_they_are_spread(self) -> None:
        model = uniform()
        unit, fixed = unit_bytes(model), fixed_bytes(model)
        output = need_bytes(model) - fixed - 8 * unit
        placed = place(model, replace(OPTIONS, gpu_layers=4), [2 * GIB, 2 * GIB], margin_bytes=0)
        assert placed.layers_on_gpu == 4
        assert placed.vram_bytes_by_gpu == (
            2 * unit + fixed,
            unit + output + fixed,
        )

    def test_without_any_room_they_are_spread_evenly(self) -> None:
        count, first, second = layers(uniform(), 0, 0, gpu_layers=4)
        assert count == 4
        assert first > 0
        assert second > 0


class TestExperts:
    """Of a model with experts only those of the first blocks go to RAM."""

    MODEL = uniform(experts_mib=400)

    def room(self, whole: int) -> int:
        """Return what holds so many whole blocks, and all others without their experts."""
        model = self.MODEL
        output = need_bytes(model) - fixed_bytes(model) - 8 * unit_bytes(model)
        rest = (8 - whole) * (unit_bytes(model) - 400 * MIB)
        return whole * unit_bytes(model) + rest + output + fixed_bytes(model)

    @pytest.mark.parametrize("whole", [0, 1, 5])
    def test_as_few_blocks_as_must_leave_theirs_in_ram(self, whole: int) -> None:
        placed = place(self.MODEL, OPTIONS, [self.room(whole)], margin_bytes=0)
        assert placed.layers_on_gpu == whole + 1
        assert placed.overflowing_layers == 8 - whole
        assert placed.vram_bytes == self.room(whole)
        always = self.MODEL.token_embedding_bytes + self.MODEL.host_bytes
        assert placed.ram_bytes == always + (8 - whole) * 400 * MIB

    def test_a_byte_less_leaves_those_of_one_block_more(self) -> None:
        placed = place(self.MODEL, OPTIONS, [self.room(5) - 1], margin_bytes=0)
        assert placed.overflowing_layers == 4

    def test_where_not_even_the_rest_fits_whole_blocks_stay_in_ram(self) -> None:
        model = self.MODEL
        output = need_bytes(model) - fixed_bytes(model) - 8 * unit_bytes(model)
        without = self.room(0) - output
        placed = place(model, OPTIONS, [without - 1], margin_bytes=0)
        assert placed.overflowing_layers == 0
        assert placed.layers_on_gpu < 9


class TestLargestContext:
    def test_it_is_the_last_multiple_of_256_that_fits(self) -> None:
        model = uniform()
        free = need_bytes(model, LoadOptions(2560))
        assert largest_context(model, OPTIONS, [free], "f16", margin_bytes=0) == 2560
        assert largest_context(model, OPTIONS, [free - 1], "f16", margin_bytes=0) == 2304

    def test_it_is_none_where_not_even_the_least_fits(self) -> None:
        model = uniform()
        free = need_bytes(model, LoadOptions(256))
        assert largest_context(model, OPTIONS, [free], "f16", margin_bytes=0) == 256
        assert largest_context(model, OPTIONS, [free - 1], "f16", margin_bytes=0) is None

    def test_it_is_at_most_what_the_model_was_trained_with(self) -> None:
        model = replace(uniform(), trained_context_length=8192)
        assert largest_context(model, OPTIONS, [99 * GIB], "f16") == 8192
        short = replace(uniform(), trained_context_length=100)
        assert largest_context(short, OPTIONS, [99 * GIB], "f16") == 256

    def test_without_that_it_is_at_most_a_mebi_of_tokens(self) -> None:
        model = replace(uniform(1), trained_context_length=None)
        assert largest_context(model, OPTIONS, [9999 * GIB], "q4_0") == 1048576

    def test_layers_by_hand_and_the_type_at_hand_do_not_count(self) -> None:
        model = uniform()
        free = need_bytes(model, LoadOptions(2560))
        asked = LoadOptions(99, gpu_layers=3, cache_type_k="q4_0", cache_type_v="q4_0")
        assert largest_context(model, asked, [free], "f16", margin_bytes=0) == 2560

    def test_the_runtime_leaves_its_margin_free(self) -> None:
        model = uniform()
        free = need_bytes(model, LoadOptions(2560)) + RUNTIME_MARGIN_BYTES
        assert largest_context(model, OPTIONS, [free], "f16") == 2560


class TestOfAClaim:
    """The layers that claimed bytes stand for."""

    @pytest.mark.parametrize(
        ("ram_bytes", "in_ram"),
        [(-5, 0), (0, 0), (1, 1), (GIB, 1), (GIB + 1, 2), (2 * GIB, 2), (9 * GIB, 9)],
    )
    def test_a_part_of_a_layer_in_ram_is_a_layer(self, ram_bytes: int, in_ram: int) -> None:
        placed = placement_of_claim(uniform(), OPTIONS, (0, 9 * GIB - max(0, ram_bytes)), ram_bytes)
        assert (placed.layers_on_gpu, placed.layer_count) == (9 - in_ram, 9)
        assert placed.output_on_gpu is (in_ram < 9)
        assert placed.vram_bytes_by_gpu == (0, placed.vram_bytes)
        assert (placed.vram_bytes, placed.ram_bytes) == (9 * GIB - max(0, ram_bytes), ram_bytes)
        assert placed.overflowing_layers == 0

    @pytest.mark.parametrize(
        ("experts_mib", "blocks"), [(0, 1), (1, 1), (400, 1), (401, 2), (800, 2), (3200, 8), (9000, 8)]
    )
    def test_of_experts_they_are_the_fewest_blocks_that_hold_as_much(
        self, experts_mib: int, blocks: int
    ) -> None:
        model = replace(uniform(experts_mib=400), token_embedding_bytes=300 * MIB, host_bytes=50 * MIB)
        placed = placement_of_claim(model, OPTIONS, (4 * GIB,), (350 + experts_mib) * MIB)
        assert placed.overflowing_layers == blocks
        assert placed.layers_on_gpu == 9 - blocks

    def test_what_is_always_in_ram_is_no_expert(self) -> None:
        model = replace(uniform(experts_mib=400), token_embedding_bytes=300 * MIB)
        assert placement_of_claim(model, OPTIONS, (4 * GIB,), 300 * MIB).overflowing_layers == 1
        assert placement_of_claim(model, OPTIONS, (0,), 300 * MIB).overflowing_layers == 0
        chosen = replace(OPTIONS, gpu_layers=5)
        assert placement_of_claim(model, chosen, (4 * GIB,), 300 * MIB).overflowing_layers == 0
        assert placement_of_claim(model, OPTIONS, (4 * GIB,), 0).overflowing_layers == 0
