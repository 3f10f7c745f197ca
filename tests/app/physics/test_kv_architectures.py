"""The cache and the states of every architecture that llama.cpp loads, to within 1 % of what it allocates."""

from __future__ import annotations

import pytest
from tests.app.physics.allocated import ALLOCATED, LOADS, Allocated
from tests.app.physics.model_facts import GEMMA_2_2B, GEMMA_4_12B, MIB, facts, shape

from gpumon.app.physics.geometry import LoadOptions
from gpumon.app.physics.memory import kv_cache_bytes, recurrent_state_bytes
from gpumon.collectors.samples import ModelFacts

ROUNDING_MIB = 0.01
"""Of the log."""


@pytest.mark.parametrize("case", ALLOCATED.values(), ids=ALLOCATED)
def test_the_cache_is_what_llama_cpp_allocates(case: Allocated) -> None:
    geometry = shape(case.model)
    for load, mib in zip(LOADS, case.cache_mib, strict=False):
        if mib is not None:
            computed = kv_cache_bytes(geometry, load) / MIB
            assert computed == pytest.approx(mib, rel=0.01, abs=ROUNDING_MIB), load


@pytest.mark.parametrize("case", ALLOCATED.values(), ids=ALLOCATED)
def test_the_states_are_what_llama_cpp_allocates(case: Allocated) -> None:
    geometry = shape(case.model)
    for load in LOADS:
        computed = recurrent_state_bytes(geometry, load) / MIB
        assert computed == pytest.approx(load.parallel * case.state_mib, rel=0.01, abs=4 * ROUNDING_MIB)


def test_latent_heads_count_as_many_times_as_the_file_says() -> None:
    """Of a file that names 32 heads for its latent K llama.cpp b11549 allocates 2016 MiB."""
    keys = dict(ALLOCATED["kimi-linear 48b"].model.geometry)
    kept = {name.removeprefix("kimi-linear."): value for name, value in keys.items()}
    listed = kept["attention.head_count_kv"]
    assert isinstance(listed, tuple)
    kept["attention.head_count_kv"] = tuple(32 * count for count in listed)
    many = facts("kimi-linear", 27, 2304, kept)  # type: ignore[arg-type]
    assert kv_cache_bytes(shape(many), LOADS[0]) / MIB == pytest.approx(2016.0)


LOGGED = {
    # servers with 4 slots: "8192 cells, 13 layers: 416.00 MiB" twice, window 4096 and more than the context
    "gemma2-2b": (GEMMA_2_2B, LoadOptions(8192, 4, unified_cache=True), 416.00 + 416.00),
    # "SWA KV cache, size = 6144 cells", micro-batch 2048: 128.00 and 1920.00 MiB
    "gemma4-12b": (
        GEMMA_4_12B,
        LoadOptions(8192, 4, unified_cache=True, micro_batch_size=2048),
        128.00 + 1920.00,
    ),
    # github.com/qualcomm/GenieX/pull/1346: 64.00 and, for 1536 cells, 60.00 MiB
    "gemma4-e4b": (ALLOCATED["gemma4 e4b"].model, LoadOptions(4096, micro_batch_size=1024), 64.00 + 60.00),
    # github.com/ggml-org/llama.cpp/issues/14604: "32768 cells, 4 layers: 256,00 MiB"; the rest computed
    "gemma3n-e4b": (ALLOCATED["gemma3n e4b"].model, LoadOptions(32_768), 256.00 + 32.00),
    # "131072 cells, 12 layers, K 1536 + V 1536 MiB"
    "qwen3-next": (ALLOCATED["qwen3next 80b"].model, LoadOptions(131_072), 3072.00),
}


@pytest.mark.parametrize(("model", "load", "mib"), LOGGED.values(), ids=LOGGED)
def test_the_cache_is_what_servers_have_logged(model: ModelFacts, load: LoadOptions, mib: float) -> None:
    assert kv_cache_bytes(shape(model), load) / MIB == pytest.approx(mib, rel=0.01)
