from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.demo.models import LIBRARY, place

GIB = 1024**3

models = st.sampled_from(sorted(LIBRARY))
contexts = st.integers(1, 160).map(lambda blocks: blocks * 256)
frees = st.dictionaries(st.integers(0, 7), st.integers(0, 80 * GIB), min_size=1)


@given(models, contexts, frees)
def test_no_gpu_gets_more_than_it_has(name: str, context: int, free: dict[int, int]) -> None:
    placement = place(LIBRARY[name], context, free)
    assert all(size <= free[gpu] for gpu, size in placement.gpu_bytes.items())


@given(models, contexts, frees)
def test_the_parts_of_a_spilled_model_are_all_of_it(name: str, context: int, free: dict[int, int]) -> None:
    llm, placement = LIBRARY[name], place(LIBRARY[name], context, free)
    if not placement.whole:
        assert placement.size_bytes == placement.size_vram_bytes + placement.ram_bytes
        assert placement.size_bytes > llm.file_bytes + llm.kv_bytes(context)


@given(models, contexts, st.integers(0, 80 * GIB))
def test_more_memory_never_spills_more(name: str, context: int, free: int) -> None:
    less = place(LIBRARY[name], context, {0: free}).spill_fraction
    more = place(LIBRARY[name], context, {0: free + GIB}).spill_fraction
    assert more <= less


def test_a_model_that_fits_is_claimed_as_all_on_the_gpu() -> None:
    placement = place(LIBRARY["llama3.1:8b"], 8192, {0: 24 * GIB})
    assert placement.size_bytes == placement.size_vram_bytes
    assert 5.3 * GIB < placement.size_bytes < 5.8 * GIB


def test_a_model_that_fits_one_gpu_is_not_spread() -> None:
    assert len(place(LIBRARY["qwen3:8b"], 4096, {0: 24 * GIB, 1: 24 * GIB}).gpu_bytes) == 1


def test_a_model_too_large_for_one_gpu_is_spread_over_several() -> None:
    placement = place(LIBRARY["llama3.3:70b"], 4096, {0: 24 * GIB, 1: 24 * GIB})
    assert placement.whole
    assert set(placement.gpu_bytes) == {0, 1}


def test_without_a_gpu_all_of_it_is_in_ram() -> None:
    placement = place(LIBRARY["qwen3:8b"], 4096, {})
    assert placement.gpu_bytes == {}
    assert placement.spill_fraction == 1.0
