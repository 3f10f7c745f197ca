"""The split of a model as ``ollama ps`` prints it (cmd/cmd.go: ListRunningHandler)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.state.records.model import UNKNOWN_SPLIT, Split, go_round, processor_words, split_of

sizes = st.integers(1, 2**45)


@pytest.mark.parametrize(
    ("size", "size_vram", "words"),
    [
        (10, 0, "100% CPU"),
        (0, 0, "100% CPU"),  # the first case wins though the size is 0
        (10, 10, "100% GPU"),
        (10, 11, "Unknown"),
        (0, 5, "Unknown"),
        (100, 52, "48%/52% CPU/GPU"),
        (1000, 995, "1%/99% CPU/GPU"),  # 0.5 is rounded away from zero
        (1000, 975, "3%/97% CPU/GPU"),  # 2.5 too: not to the even 2
        (1000, 996, "0%/100% CPU/GPU"),
        (1000, 4, "100%/0% CPU/GPU"),
        (None, 5, "Unknown"),
        (5, None, "Unknown"),
        (None, None, "Unknown"),
    ],
)
def test_the_processor_column_reads_as_ollama_prints_it(
    size: int | None, size_vram: int | None, words: str
) -> None:
    assert processor_words(size, size_vram) == words


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (0.0, 0),
        (0.5, 1),
        (1.5, 2),
        (2.5, 3),
        (-0.5, -1),
        (-2.5, -3),
        (-2.4, -2),
        (0.49999999999999994, 0),
        (4503599627370495.5, 4503599627370496),
    ],
)
def test_rounding_is_that_of_go(value: float, rounded: int) -> None:
    assert go_round(value) == rounded


@given(st.floats(-1e12, 1e12))
def test_rounding_goes_to_a_nearest_integer(value: float) -> None:
    assert abs(go_round(value) - value) <= 0.5


@given(sizes, st.data())
def test_the_parts_add_up_to_the_whole(size: int, data: st.DataObject) -> None:
    size_vram = data.draw(st.integers(0, size))
    split = split_of(size, size_vram)
    assert split.gpu_bytes == size_vram
    assert split.ram_bytes == size - size_vram
    assert split.spill_fraction is not None
    assert 0 <= split.spill_fraction <= 1


@pytest.mark.parametrize(("size", "vram"), [(None, 1), (1, None), (0, 0), (-1, -1), (5, 6), (5, -1)])
def test_a_claim_that_makes_no_sense_is_unknown(size: int | None, vram: int | None) -> None:
    assert split_of(size, vram) == UNKNOWN_SPLIT == Split(None, None, None)


@given(st.none() | st.integers(-5, 50), st.none() | st.integers(-5, 50))
def test_what_is_split_is_never_printed_as_unknown(size: int | None, vram: int | None) -> None:
    if split_of(size, vram) != UNKNOWN_SPLIT:
        assert processor_words(size, vram) != "Unknown"
