"""Whether a model fits, what makes room for it, and what the report says in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.app.physics.published import GIB, GPT_OSS_20B, LLAMA3_8B, LLAMA3_70B, QWEN2_14B, QWEN35_27B

from gpumon.app.diagnosis.fit.report import FitReport, HostMemory, Resident, fit_of_geometry, with_freed
from gpumon.app.diagnosis.fit.text import fit_lines
from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.hardware import Card, Hardware

RAM = 51.2e9


def card(free_gib: float, total_gib: float = 24.0, name: str = "RTX 4090") -> Card:
    return Card(name, round(total_gib * GIB), round(free_gib * GIB), 1008e9, "nvidia_gddr6")


def report(
    geometry: Geometry,
    *cards: Card,
    context: int = 4096,
    ram: float | None = RAM,
    loaded: tuple[Resident, ...] = (),
) -> FitReport:
    return fit_of_geometry("m", geometry, LoadOptions(context), Hardware(cards, ram), loaded)


def test_a_small_model_fits_on_a_large_card() -> None:
    found = report(LLAMA3_8B, card(23))
    assert found.fits
    assert found.placement is not None
    assert found.placement.spill_fraction == 0


def test_a_large_model_does_not_fit_and_says_how_much_spills() -> None:
    found = report(LLAMA3_70B, card(23))
    assert found.fits is False
    assert found.placement is not None
    assert 0.3 < found.placement.spill_fraction < 0.7


def test_without_a_gpu_it_is_not_known_whether_it_fits_but_what_it_needs_is() -> None:
    found = report(LLAMA3_8B)
    assert found.fits is None
    assert found.available_vram_bytes is None
    assert found.need.total_bytes > LLAMA3_8B.file_bytes * 0.9


def test_a_split_is_slower_than_what_would_fit() -> None:
    found = report(QWEN2_14B, card(8))
    assert found.decode is not None
    assert found.decode_fitting is not None
    assert found.decode.expected < 0.5 * found.decode_fitting.expected


def test_the_rate_of_a_split_is_not_known_without_the_bandwidth_of_ram() -> None:
    found = report(QWEN2_14B, card(8), ram=None)
    assert found.decode is None
    assert found.decode_fitting is not None


def test_what_fits_on_one_card_is_put_on_the_emptiest_one() -> None:
    found = report(LLAMA3_8B, card(8, name="full"), card(20, name="empty"))
    assert [one.name for one in found.hardware.cards] == ["empty"]
    assert found.available_vram_bytes == 20 * GIB


def test_what_fits_on_no_card_alone_is_spread_over_all() -> None:
    found = report(LLAMA3_70B, card(23.5), card(23.5))
    assert found.fits
    assert len(found.hardware.cards) == 2


def test_fewer_layers_by_hand_do_not_fit_however_much_is_free() -> None:
    found = fit_of_geometry("m", LLAMA3_8B, LoadOptions(4096, gpu_layers=10), Hardware((card(23),), RAM))
    assert found.fits is False
    assert "because of PARAMETER num_gpu 10" in text(found)


def test_more_layers_by_hand_than_there_is_memory_for_do_not_fit() -> None:
    found = fit_of_geometry("m", LLAMA3_70B, LoadOptions(4096, gpu_layers=99), Hardware((card(23),), RAM))
    assert found.fits is False


def test_a_close_fit_that_the_runtime_may_split_says_so() -> None:
    need = report(LLAMA3_8B, card(20)).need.total_bytes / GIB
    close, ample = report(LLAMA3_8B, card(need + 0.7)), report(LLAMA3_8B, card(need + 1.1))
    assert close.fits
    assert "PARAMETER num_gpu 33" in text(close)
    assert max(map(len, fit_lines(close))) <= 80
    assert "num_gpu" not in text(ample)


def test_a_smaller_cache_leaves_room_for_more_context() -> None:
    contexts = report(QWEN2_14B, card(12), context=4096).max_context
    assert contexts is not None
    f16, q8, q4 = (contexts[kind] or 0 for kind in ("f16", "q8_0", "q4_0"))
    assert 0 < f16 < q8 < q4


def test_the_smallest_model_whose_memory_is_enough_is_to_be_unloaded() -> None:
    loaded = (Resident("tiny", GIB), Resident("medium", 9 * GIB), Resident("large", 12 * GIB))
    found = report(QWEN2_14B, card(2), loaded=loaded)
    assert found.unload == (loaded[1],)


def test_several_models_are_to_be_unloaded_where_one_is_not_enough() -> None:
    loaded = (Resident("a", 5 * GIB), Resident("b", 6 * GIB), Resident("c", 4 * GIB))
    found = report(QWEN2_14B, card(2), loaded=loaded)
    assert {one.name for one in found.unload} == {"a", "b"}


def test_nothing_is_to_be_unloaded_where_all_of_it_would_not_be_enough() -> None:
    assert report(LLAMA3_70B, card(10), loaded=(Resident("a", 10 * GIB),)).unload == ()


def test_nothing_is_to_be_unloaded_where_it_fits() -> None:
    assert report(LLAMA3_8B, card(20), loaded=(Resident("a", 3 * GIB),)).unload == ()


def test_memory_that_comes_back_never_makes_a_card_larger_than_it_is() -> None:
    freed = with_freed((card(20), card(4)), 30 * GIB)
    assert [one.vram_free_bytes for one in freed] == [24 * GIB, 24 * GIB]


def test_memory_comes_back_on_the_fullest_card_first() -> None:
    freed = with_freed((card(20), card(4)), 5 * GIB)
    assert [one.vram_free_bytes for one in freed] == [20 * GIB, 9 * GIB]


@given(st.sampled_from([LLAMA3_8B, QWEN2_14B, QWEN35_27B]), st.floats(1, 48), st.floats(0, 24))
def test_more_free_memory_never_hurts(geometry: Geometry, free: float, more: float) -> None:
    before, after = report(geometry, card(free, 96)), report(geometry, card(free + more, 96))
    assert before.placement is not None
    assert after.placement is not None
    assert after.placement.layers_on_gpu >= before.placement.layers_on_gpu
    assert after.fits or not before.fits


@given(st.lists(st.floats(0.5, 12), max_size=5))
def test_what_is_to_be_unloaded_makes_it_fit(sizes: list[float]) -> None:
    loaded = tuple(Resident(f"m{index}", round(size * GIB)) for index, size in enumerate(sizes))
    cards = (card(3, 48),)
    found = report(QWEN2_14B, *cards, loaded=loaded)
    if found.unload:
        freed = with_freed(cards, sum(one.vram_bytes for one in found.unload))
        assert report(QWEN2_14B, *freed).fits


# In words


def text(found: FitReport) -> str:
    return "\n".join(fit_lines(found))


def test_the_words_fit_into_80_columns() -> None:
    loaded = tuple(
        Resident(f"registry/somebody/a-long-model-name-{index}:70b", 9 * GIB) for index in range(3)
    )
    found = replace(report(LLAMA3_70B, card(10)), unload=loaded, name="x" * 300)
    assert max(map(len, fit_lines(found))) <= 80


def test_the_verdict_comes_first_with_its_arithmetic() -> None:
    assert fit_lines(report(LLAMA3_8B, card(23)))[1].startswith("fits: needs ")
    assert fit_lines(report(LLAMA3_70B, card(23)))[1].startswith("does not fit: needs ")


def test_without_a_gpu_the_words_say_what_to_give() -> None:
    assert "--gpu NAME or --vram SIZE" in text(report(LLAMA3_8B))


def test_rates_are_marked_as_estimates_with_their_range() -> None:
    line = next(line for line in fit_lines(report(LLAMA3_8B, card(23))) if "decode" in line)
    assert "estimated" in line
    assert "about" in line
    assert " to " in line


def test_an_unknown_rate_says_what_would_make_it_known() -> None:
    assert "gpumon calibrate" in text(report(QWEN2_14B, card(8), ram=None))
    unnamed = replace(card(20), bandwidth_bytes_per_second=None)
    assert "--gpu NAME" in text(report(LLAMA3_8B, unnamed))


def test_of_a_model_that_is_all_in_ram_the_bandwidth_of_the_gpu_is_not_asked_for() -> None:
    unnamed = replace(card(0.5), bandwidth_bytes_per_second=None)
    assert "gpumon calibrate" in text(report(LLAMA3_8B, unnamed, ram=None))


def test_a_control_character_in_a_name_is_shown() -> None:
    assert "\x1b" not in text(replace(report(LLAMA3_8B, card(23)), name="\x1b[31mred"))


@pytest.mark.parametrize("line", ["weights", "KV cache", "CUDA itself", "together"])
def test_each_part_of_the_memory_has_its_line(line: str) -> None:
    assert any(row.strip().startswith(line) for row in fit_lines(report(LLAMA3_8B, card(23))))


def test_a_part_of_next_to_nothing_has_no_line() -> None:
    assert "recurrent" not in text(report(LLAMA3_8B, card(23)))


def test_experts_in_ram_are_told_as_the_runtime_logs_them() -> None:
    found = report(GPT_OSS_20B, card(9))
    line = next(line for line in fit_lines(found) if line.strip().startswith("on GPU"))
    assert found.placement is not None
    assert found.placement.overflowing_layers > 0
    assert f"25 of 25 layers, experts of {found.placement.overflowing_layers} in RAM;" in line


def test_a_split_of_whole_layers_names_no_experts() -> None:
    line = next(line for line in fit_lines(report(LLAMA3_70B, card(23))) if line.strip().startswith("on GPU"))
    assert "experts" not in line


def test_nothing_is_said_of_the_rate_of_a_model_that_writes_no_tokens() -> None:
    layers = tuple(replace(layer, kind="stateless") for layer in LLAMA3_8B.layers)
    found = fit_of_geometry(
        "m", replace(LLAMA3_8B, layers=layers), LoadOptions(512), Hardware((card(23),), RAM)
    )
    assert (found.decode, found.generates) == (None, False)
    assert "tok/s" not in text(found)


IDLE = Resident("small:8b", 6 * GIB, makes_room=True)
BY_HAND = Resident("other:8b", 6 * GIB)


def test_what_a_server_unloads_by_itself_comes_with_how_the_model_is_loaded_then() -> None:
    found = report(LLAMA3_8B, card(0.5), loaded=(IDLE, BY_HAND))
    assert found.fits is False
    assert found.evicted == (IDLE,)
    assert found.in_the_end.fits
    assert "spills 100% now; after unloading small:8b (6.0 GiB) fits" in text(found)
    assert "its server does so by itself" in text(found)


def test_what_only_a_user_unloads_is_not_counted_as_gone() -> None:
    found = report(LLAMA3_8B, card(2), loaded=(BY_HAND,))
    assert (found.evicted, found.after, found.in_the_end) == ((), None, found)
    assert "unload other:8b, 6.00 GiB" in text(found)
    assert "by itself" not in text(found)


def test_room_that_is_not_enough_still_leaves_less_in_ram() -> None:
    found = report(LLAMA3_70B, card(2), loaded=(IDLE, replace(IDLE, name="b:8b")))
    assert found.after is not None
    assert found.after.placement is not None
    share = f"{found.after.placement.spill_fraction:.0%}"
    assert f"after unloading 2 models (12.0 GiB) spills {share}" in text(found)
    assert found.unload == ()


def test_nothing_is_unloaded_for_what_fits_or_for_no_gain() -> None:
    assert report(LLAMA3_8B, card(20), loaded=(IDLE,)).evicted == ()
    assert report(LLAMA3_8B, card(1, 1.0), loaded=(IDLE,)).evicted == ()


@pytest.mark.parametrize(("ram_gib", "runs"), [(8, False), (64, True)])
def test_what_neither_gpus_nor_ram_can_hold_does_not_run(ram_gib: int, runs: bool) -> None:
    found = replace(report(LLAMA3_70B, card(10)), host=HostMemory(ram_gib * GIB))
    assert found.lacks_ram is not runs
    words = text(found)
    assert ("does not run: needs " in words) is not runs
    assert (f"GiB of RAM, {ram_gib} here" in words) is not runs


def test_swap_counts_and_is_named() -> None:
    found = replace(report(LLAMA3_70B, card(10)), host=HostMemory(8 * GIB, 2 * GIB))
    assert "GiB of RAM, 10 here with swap" in text(found)
    assert not replace(found, host=HostMemory(8 * GIB, 60 * GIB)).lacks_ram


def test_whether_ram_is_enough_is_not_asked_where_it_is_not_known() -> None:
    assert not report(LLAMA3_70B, card(10)).lacks_ram
