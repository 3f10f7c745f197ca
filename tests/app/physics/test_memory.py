"""What a model needs of the GPUs: the parts, published totals, and what must hold for any model."""

from __future__ import annotations

from statistics import median
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.app.physics import model_facts as models
from tests.app.physics.geometries import CACHE_TYPES, geometries, loads
from tests.app.physics.model_facts import GIB, MIB, shape, weights

from gpumon.app.cuda import CUDA_CONTEXT_BYTES
from gpumon.app.physics import memory
from gpumon.app.physics.geometry import BYTES_PER_ELEMENT, CacheType, Geometry, LoadOptions
from gpumon.app.physics.memory import kv_cache_bytes, memory_need
from gpumon.collectors.samples import ModelFacts


class Measured(NamedTuple):
    """What the driver counted for one process, everything on one GPU."""

    model: ModelFacts
    options: LoadOptions
    gib: float


DEEPSEEK_LITE = msgspec.structs.replace(
    models.DEEPSEEK_V2_LITE_OLD,
    weights=weights(10.364e9, 27, 102_400 * 2048 * 0.5625, 102_400 * 2048 * 0.8203),
)


def qwen38_27b(file_bytes: float) -> ModelFacts:
    table = 248_320 * 5120
    blocks = weights(file_bytes, 65, table * 0.5625, table * 0.8203)
    return msgspec.structs.replace(models.QWEN35_27B_WITH_MTP, weights=blocks)


def q4_0(context: int) -> LoadOptions:
    return LoadOptions(context, cache_type_k="q4_0", cache_type_v="q4_0")


MEASURED = {
    # driver, Q4_K_M, flash attention: 4.45 GiB at 2k, 6.1 at 32k, +1710 MiB from one to the other
    "qwen2.5-7b-2k": Measured(models.QWEN25_7B, LoadOptions(2048), 4.45),
    "qwen2.5-7b-32k": Measured(models.QWEN25_7B, LoadOptions(32_768), 6.10),
    # github.com/ollama/ollama/issues/7965: 13,880,772 K of a 14B Q4_K_M at 88000 with q4_0
    "qwen2.5-14b-88k": Measured(
        models.QWEN25_14B, LoadOptions(88_000, cache_type_k="q4_0", cache_type_v="q4_0"), 13.24
    ),
    # github.com/ollama/ollama/issues/16763: 5.2 GiB of buffers, to which the CUDA context comes
    "gemma3-4b-128k": Measured(models.GEMMA_3_4B, LoadOptions(131_072), 5.2 + CUDA_CONTEXT_BYTES / GIB),
    # nvidia-smi, "alone": DeepSeek-Coder-V2-Lite Q4_K_M, full heads, without flash attention
    "deepseek-lite-8k": Measured(DEEPSEEK_LITE, LoadOptions(8192, flash_attention=False), 12_496 / 1024),
    "deepseek-lite-16k": Measured(DEEPSEEK_LITE, LoadOptions(16_384, flash_attention=False), 14_928 / 1024),
    "deepseek-lite-32k": Measured(DEEPSEEK_LITE, LoadOptions(32_768, flash_attention=False), 19_792 / 1024),
    # github.com/sudoingX/qwen38-mtp, sweeps/cmp-170hx.md: Q4_K_M of 15.93 GiB, "spec off", 18,864 MiB
    "qwen3.8-27b-131k": Measured(qwen38_27b(15.93 * GIB), q4_0(131_072), 18_864 / 1024),
    # the same, sweeps/rtx-5060-ti.md: 14.03 GiB at 32K, and rtx-5090.md: 16.68 GiB at 131K
    "qwen3.8-27b-32k": Measured(qwen38_27b(14.03 * GIB), q4_0(32_768), 14_514 / 1024),
    "qwen3.8-27b-xl-131k": Measured(qwen38_27b(16.68 * GIB), q4_0(131_072), 19_926 / 1024),
    # "model 6390 MiB (+540 MiB kept on host) + KV 833 + compute 135 + ~153 CUDA context. Measured 7512"
    "gemma4-12b-4-slots": Measured(
        msgspec.structs.replace(models.GEMMA_4_12B, weights=weights(6390 * MIB, 48, 540 * MIB, None)),
        LoadOptions(8192, 4, "q8_0", "q8_0", unified_cache=True),
        7512 / 1024,
    ),
}


def error(case: Measured) -> float:
    return abs(memory_need(shape(case.model), case.options).total_bytes / GIB / case.gib - 1)


@pytest.mark.parametrize("case", MEASURED.values(), ids=MEASURED)
def test_a_total_is_near_what_was_measured(case: Measured) -> None:
    assert error(case) < 0.08


def test_totals_are_near_at_the_median() -> None:
    assert median(error(case) for case in MEASURED.values()) < 0.03


def test_nine_of_ten_totals_are_within_8_percent() -> None:
    errors = sorted(error(case) for case in MEASURED.values())
    assert errors[int(0.9 * (len(errors) - 1))] < 0.08


@pytest.mark.parametrize("case", MEASURED.values(), ids=MEASURED)
def test_a_band_is_around_the_sum(case: Measured) -> None:
    need = memory_need(shape(case.model), case.options)
    assert need.total.low < need.total.expected < need.total.high
    assert need.total_bytes == (
        need.weights_bytes
        + need.kv_cache_bytes
        + need.recurrent_state_bytes
        + need.compute_bytes
        + need.overhead_bytes
        + need.projector_bytes
    )


@pytest.mark.parametrize(
    ("model", "cache", "short", "long", "mib"),
    [
        # measured: +1710 MiB of a 7B from 2k to 32k
        (models.QWEN25_7B, "f16", 2048, 32_768, 1710),
        # measured on two cards: +2944 MiB of a 27B with q4_0 from 131k to 262k
        (models.QWEN35_27B, "q4_0", 131_072, 262_144, 2944),
    ],
)
def test_more_context_takes_what_was_measured(
    model: ModelFacts, cache: CacheType, short: int, long: int, mib: int
) -> None:
    few, many = (
        memory_need(shape(model), LoadOptions(context, cache_type_k=cache, cache_type_v=cache))
        for context in (short, long)
    )
    assert (many.total_bytes - few.total_bytes) / MIB == pytest.approx(mib, rel=0.002)


def test_without_flash_attention_scores_exist_whole() -> None:
    # logged compute buffers: 1.8 GiB (qwen2.5-7b at 32k), 560 MiB (llama3.1-8b at 8k)
    for model, context, mib in ((models.QWEN25_7B, 32_768, 1843), (models.LLAMA_31_8B, 8192, 560)):
        need = memory_need(shape(model), LoadOptions(context, flash_attention=False))
        graph = need.compute_bytes + need.overhead_bytes - CUDA_CONTEXT_BYTES
        assert graph / MIB == pytest.approx(mib, rel=0.1)


def test_the_embedding_is_not_on_the_gpu() -> None:
    geometry = shape(models.QWEN25_7B)
    need = memory_need(geometry, LoadOptions(2048))
    assert need.weights_bytes == geometry.file_bytes - geometry.token_embedding_bytes


def test_a_tied_output_is_a_second_copy() -> None:
    geometry = shape(models.GEMMA_3_4B)
    assert memory_need(geometry, LoadOptions(2048)).weights_bytes == geometry.file_bytes


def test_tables_for_the_host_are_not_on_the_gpu() -> None:
    geometry = replace(shape(models.GEMMA_3_4B), host_bytes=GIB)
    assert memory_need(geometry, LoadOptions(2048)).weights_bytes == geometry.file_bytes - GIB


def test_a_projector_takes_a_buffer_of_its_own() -> None:
    plain = shape(models.GEMMA_3_4B)
    seeing = replace(plain, projector_bytes=800 * MIB)
    more = (
        memory_need(seeing, LoadOptions(2048)).total_bytes - memory_need(plain, LoadOptions(2048)).total_bytes
    )
    assert more == 800 * MIB + memory.PROJECTOR_COMPUTE_BYTES


def test_every_gpu_has_a_context_of_its_own() -> None:
    geometry = shape(models.QWEN25_7B)
    one, two = (memory_need(geometry, LoadOptions(2048), count) for count in (1, 2))
    assert two.overhead_bytes == 2 * one.overhead_bytes
    assert two.weights_bytes == one.weights_bytes


def test_a_guess_of_the_weights_has_a_wider_band() -> None:
    known = shape(models.QWEN25_14B)
    guessed = replace(known, weights_measured=False)
    narrow, wide = (memory_need(geometry, LoadOptions(4096)).total for geometry in (known, guessed))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


@given(geometries(), loads(), st.integers(1, 4))
def test_no_part_is_negative(geometry: Geometry, options: LoadOptions, gpus: int) -> None:
    need = memory_need(geometry, options, gpus)
    assert need.total.low >= 0
    assert min(need.kv_cache_bytes, need.compute_bytes, need.recurrent_state_bytes, need.weights_bytes) >= 0


@given(geometries(), loads(), st.integers(0, 2**17))
def test_more_context_never_needs_less(geometry: Geometry, options: LoadOptions, more: int) -> None:
    longer = replace(options, context_length=options.context_length + more)
    assert kv_cache_bytes(geometry, longer) >= kv_cache_bytes(geometry, options)
    assert memory_need(geometry, longer).total_bytes >= memory_need(geometry, options).total_bytes


@given(geometries(), loads(), st.integers(0, 8))
def test_more_slots_never_need_less(geometry: Geometry, options: LoadOptions, more: int) -> None:
    wider = replace(options, parallel=options.parallel + more)
    assert kv_cache_bytes(geometry, wider) >= kv_cache_bytes(geometry, options)
    assert memory_need(geometry, wider).total_bytes >= memory_need(geometry, options).total_bytes


@given(geometries(), loads(), st.sampled_from(CACHE_TYPES), st.sampled_from(CACHE_TYPES))
def test_more_bits_never_make_a_smaller_cache(
    geometry: Geometry, options: LoadOptions, k: CacheType, v: CacheType
) -> None:
    other = replace(options, cache_type_k=k, cache_type_v=v)
    larger = all(
        BYTES_PER_ELEMENT[new] >= BYTES_PER_ELEMENT[old]
        for new, old in (
            (other.cache_type_k, options.cache_type_k),
            (other.cache_type_v, options.cache_type_v),
        )
    )
    if larger:
        assert kv_cache_bytes(geometry, other) >= kv_cache_bytes(geometry, options)
