"""The cache of each architecture, to within 1 % of what servers have logged."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from tests.app.physics import model_facts as models
from tests.app.physics.model_facts import MIB, shape

from gpumon.app.physics.geometry import CacheType, LoadOptions
from gpumon.app.physics.memory import kv_cache_bytes, recurrent_state_bytes
from gpumon.collectors.samples import ModelFacts


class Logged(NamedTuple):
    """What a server logged as ``KV buffer size``, and as ``RS buffer size``."""

    model: ModelFacts
    options: LoadOptions
    cache_mib: float
    state_mib: float = 0.0


def load(context: int, cache: CacheType = "f16", slots: int = 1, *, unified: bool = False) -> LoadOptions:
    return LoadOptions(context, slots, cache, cache, unified_cache=unified)


def mixed(context: int, k: CacheType, v: CacheType) -> LoadOptions:
    return LoadOptions(context, 1, k, v)


LOGGED = {
    # tests/recordings/logs and its kin: b11434 and b10434, "3 layers" + "15 layers"
    "gemma3-270m-2k": Logged(models.GEMMA_3_270M, load(2048), 6.00 + 15.00),
    "gemma3-270m-32k": Logged(models.GEMMA_3_270M, load(32_768), 96.00 + 15.00),
    "gemma3-270m-q8-4-slots": Logged(models.GEMMA_3_270M, load(32_768, "q8_0", 4), 204.00 + 31.88),
    # ollama log of a load: "size = 1024.00 MiB ( 8192 cells, 32 layers)"
    "llama3.1-8b": Logged(models.LLAMA_31_8B, load(8192), 1024.00),
    # "size = 512.00 MiB (4096 cells, 32 layers, 1/1 seqs)", Ollama, Metal
    "mistral-7b": Logged(models.MISTRAL_7B, load(4096), 512.00),
    # llama.cpp v8247 at 4096, K-only quantisation: 448, 343, 287 MiB
    "llama3.2-3b": Logged(models.LLAMA_32_3B, load(4096), 448.00),
    "llama3.2-3b-k-q8": Logged(models.LLAMA_32_3B, mixed(4096, "q8_0", "f16"), 343.00),
    "llama3.2-3b-k-q4": Logged(models.LLAMA_32_3B, mixed(4096, "q4_0", "f16"), 287.00),
    "llama3.2-3b-k-q41": Logged(models.LLAMA_32_3B, mixed(4096, "q4_1", "f16"), 294.00),
    # Ollama, read back from "llama_kv_cache: size =": 5760, 2560, 576, 8192 and 640 MiB
    "qwen3-8b": Logged(models.QWEN3_8B, load(40_960), 5760.00),
    "qwen3-14b": Logged(models.QWEN3_14B, load(16_384), 2560.00),
    "qwen2.5-3b": Logged(models.QWEN25_3B, load(16_384), 576.00),
    "qwen3.5-9b": Logged(models.QWEN35_9B, load(262_144), 8192.00, 50.25),
    "qwen3.6-35b-a3b": Logged(models.QWEN36_35B_A3B, load(32_768), 640.00, 62.81),
    # llama-server default slots: "size = 251.25 MiB (4 cells, 40 layers, 4 seqs)"
    "qwen3.6-35b-a3b-4-slots": Logged(
        models.QWEN36_35B_A3B, load(262_144, slots=4, unified=True), 5120.00, 251.25
    ),
    # "size = 3072.00 MiB (262144 cells, 6 layers, 4/1 seqs)", "RS buffer size = 77.06 MiB"
    "qwen3.5-2b-unified": Logged(models.QWEN35_2B, load(262_144, slots=4, unified=True), 3072.00, 77.06),
    # "size = 1536.00 MiB (24576 cells, 16 layers)", "size = 149.62 MiB (1 cell, 64 layers)"
    "qwen3.5-27b": Logged(models.QWEN35_27B, load(24_576), 1536.00, 149.62),
    # "size = 8704.00 MiB (262144 cells, 16 layers, 1/1 seqs), K (q8_0): 4352.00 MiB"
    "qwen3.5-27b-q8": Logged(models.QWEN35_27B, load(262_144, "q8_0"), 8704.00, 149.62),
    # "size = 1088.00 MiB (32768 cells, 16 layers, 4/1 seqs)" though blk.64 predicts a token ahead; 4 states
    "qwen3.8-27b-mtp": Logged(
        models.QWEN35_27B_WITH_MTP, load(32_768, "q8_0", 4, unified=True), 1088.00, 4 * 149.62
    ),
    # "CUDA0 KV buffer size = 2304.00 MiB" at 131072, q4_0
    "qwen3.5-27b-q4": Logged(models.QWEN35_27B, load(131_072, "q4_0"), 2304.00, 149.62),
    # "131072 cells, 12 layers: 3072.00 MiB", "768 cells, 12 layers: 18.00 MiB"
    "gpt-oss-20b": Logged(models.GPT_OSS_20B, load(131_072), 3072.00 + 18.00),
    # "65536 cells, 18 layers, 4/1 seqs: 2304.00 MiB", "1024 cells, 18 layers: 36.00 MiB"
    "gpt-oss-120b-unified": Logged(models.GPT_OSS_120B, load(65_536, slots=4, unified=True), 2304.00 + 36.00),
    # "8192 cells, 8 layers, 4/1 seqs: 68.00 MiB", "4608 cells, 40 layers: 765.00 MiB", q8_0
    "gemma4-12b-unified": Logged(models.GEMMA_4_12B, load(8192, "q8_0", 4, unified=True), 68.00 + 765.00),
    # deepseek-coder-v2-16b, "-c 8192 -np 2": K 1296.00, V 864.00; q8_0 688.50, 459.00
    "deepseek2-full-heads": Logged(models.DEEPSEEK_V2_LITE_OLD, load(4096, slots=2), 2160.00),
    "deepseek2-full-heads-q8": Logged(models.DEEPSEEK_V2_LITE_OLD, load(4096, "q8_0", slots=2), 1147.50),
    # physics: 576 elements per token and layer, K only: 30 KiB per token
    "deepseek2-latent": Logged(models.DEEPSEEK_V2_LITE, load(8192), 27 * 576 * 2 * 8192 / MIB),
    "glm-4.7-flash-early": Logged(models.GLM_47_FLASH_EARLY, load(8192), 47 * 576 * 2 * 8192 / MIB),
}


@pytest.mark.parametrize("case", LOGGED.values(), ids=LOGGED)
def test_the_cache_is_what_the_server_logged(case: Logged) -> None:
    computed = kv_cache_bytes(shape(case.model), case.options) / MIB
    assert computed == pytest.approx(case.cache_mib, rel=0.01)


@pytest.mark.parametrize("case", LOGGED.values(), ids=LOGGED)
def test_the_recurrent_state_is_what_the_server_logged(case: Logged) -> None:
    computed = recurrent_state_bytes(shape(case.model), case.options) / MIB
    assert computed == pytest.approx(case.state_mib, rel=0.01)


PER_TOKEN = [
    (models.LLAMA_31_8B, 131_072, 69_632, 36_864),
    (models.QWEN3_8B, 147_456, 78_336, 41_472),
    (models.QWEN25_14B, 196_608, 104_448, 55_296),
    (models.QWEN3_14B, 163_840, 87_040, 46_080),
    (models.GEMMA_3_12B, 65_536, 34_816, 18_432),
    (models.GPT_OSS_20B, 24_576, 13_056, 6_912),
    (models.QWEN3_30B_A3B, 98_304, 52_224, 27_648),
    (models.QWEN35_27B, 65_536, 34_816, 18_432),
    (models.GEMMA_3_27B, 81_920, 43_520, 23_040),
    (models.QWEN36_35B_A3B, 20_480, 10_880, 5_760),
    (models.DEEPSEEK_V2_LITE_OLD, 276_480, 146_880, 77_760),
    (models.LLAMA_2_7B, 524_288, 278_528, 147_456),
]


@pytest.mark.parametrize(("model", "f16", "q8_0", "q4_0"), PER_TOKEN)
def test_a_token_of_context_takes(model: ModelFacts, f16: int, q8_0: int, q4_0: int) -> None:
    geometry = shape(model)
    sizes: dict[CacheType, int] = {"f16": f16, "q8_0": q8_0, "q4_0": q4_0}
    for cache, size in sizes.items():
        longer, shorter = load(65_536 + 256, cache), load(65_536, cache)
        grown = kv_cache_bytes(geometry, longer) - kv_cache_bytes(geometry, shorter)
        assert grown == 256 * size, cache


@pytest.mark.parametrize(
    ("model", "mib"),
    [(models.GEMMA_3_12B, 480), (models.GEMMA_3_27B, 624), (models.GPT_OSS_20B, 18)],
)
def test_sliding_layers_take_the_same_at_any_context(model: ModelFacts, mib: int) -> None:
    geometry = shape(model)
    sliding = [layer for layer in geometry.layers if layer.kind == "sliding_window"]
    assert sum(layer.k_elements_per_token + layer.v_elements_per_token for layer in sliding) > 0
    at_32k, at_64k = (kv_cache_bytes(geometry, load(context)) for context in (32_768, 65_536))
    assert (2 * at_32k - at_64k) / MIB == pytest.approx(mib)


def test_a_context_is_padded_to_whole_blocks_of_cells() -> None:
    geometry = shape(models.LLAMA_31_8B)
    assert kv_cache_bytes(geometry, load(4000)) == kv_cache_bytes(geometry, load(4096))


def test_without_flash_attention_values_are_padded_to_the_widest_layer() -> None:
    geometry = shape(models.GEMMA_4_12B)
    plain = LoadOptions(8192, flash_attention=False)
    assert kv_cache_bytes(geometry, plain) > kv_cache_bytes(geometry, load(8192))
