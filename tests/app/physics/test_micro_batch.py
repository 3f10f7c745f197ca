"""The micro-batch that Ollama takes where nobody asks for one."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.physics.published import GIB, LLAMA3_8B

from gpumon.app.physics.geometry import LoadOptions
from gpumon.app.physics.memory import automatic_micro_batch, predicted_bytes

LLAMA = replace(
    LLAMA3_8B,
    embedding_length=4096,
    head_count=32,
    layers=tuple(replace(layer, kv_head_count=8) for layer in LLAMA3_8B.layers),
)


@pytest.mark.parametrize(
    ("context", "expected"), [(4096, 512), (4097, 1024), (32768, 1024), (32769, 2048), (65536, 2048)]
)
def test_a_longer_context_has_a_larger_one(context: int, expected: int) -> None:
    assert automatic_micro_batch(LLAMA, LoadOptions(context), (80 * GIB,)) == expected


def test_slots_count_as_context() -> None:
    assert automatic_micro_batch(LLAMA, LoadOptions(4096, parallel=4), (80 * GIB,)) == 1024


@pytest.mark.parametrize(("share", "expected"), [(0.59, 2048), (0.61, 1024), (0.74, 1024), (0.76, 512)])
def test_it_steps_down_where_memory_is_short(share: float, expected: int) -> None:
    free = round(predicted_bytes(LLAMA, 40960) / share)
    assert automatic_micro_batch(LLAMA, LoadOptions(40960), (free,)) == expected


def test_without_flash_attention_or_a_gpu_it_is_the_least() -> None:
    assert automatic_micro_batch(LLAMA, LoadOptions(40960, flash_attention=False), (80 * GIB,)) == 512
    assert automatic_micro_batch(LLAMA, LoadOptions(40960), ()) == 512


def test_the_prediction_counts_the_file_and_the_cache_in_f16() -> None:
    cache = 2 * 32 * 8 * 128 * 4096 * 2
    assert predicted_bytes(LLAMA, 4096) == LLAMA.file_bytes + cache
