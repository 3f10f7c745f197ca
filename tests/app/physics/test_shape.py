"""Geometry from the facts of a file: which layers keep what, and when nothing can be said."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.app.physics import model_facts as models
from tests.app.physics.model_facts import GIB, facts, heads, pattern, shape, state_space

from gpumon.app.physics import architectures
from gpumon.app.physics.geometry import Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.memory import kv_cache_bytes, memory_need
from gpumon.app.physics.shape import geometry_of
from gpumon.collectors.samples import ModelFacts, ModelWeights


def kinds(model: ModelFacts) -> dict[str, int]:
    return dict(Counter(layer.kind for layer in shape(model).layers))


def reason(model: ModelFacts, file_bytes: int | None = GIB) -> str:
    found = geometry_of(model, file_bytes)
    assert isinstance(found, NoGeometry), found
    return found.reason


EXAONE4 = heads(40, 8) | {"attention.sliding_window": 4096}
NEMOTRON = facts(
    "nemotron_h",
    6,
    4096,
    heads(32, (0, 0, 8, 0, 0, 8))
    | state_space(8192, 128, 8)
    | {"feed_forward_length": (0, 21_504, 0, 0, 21_504, 0)},
)
LFM2 = facts("lfm2", 4, 1024, heads(16, (0, 8, 0, 8), 64) | {"shortconv.l_cache": 3})


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (models.LLAMA_31_8B, {"full": 32}),
        (models.MISTRAL_7B, {"full": 32}),
        (models.GEMMA_2_2B, {"sliding_window": 13, "full": 13}),
        (models.GEMMA_3_27B, {"sliding_window": 52, "full": 10}),
        (models.GEMMA_4_12B, {"sliding_window": 40, "full": 8}),
        (models.GPT_OSS_20B, {"sliding_window": 12, "full": 12}),
        (
            facts("cohere2", 32, 4096, heads(32, 8) | {"attention.sliding_window": 4096}),
            {"sliding_window": 24, "full": 8},
        ),
        (facts("llama4", 48, 5120, heads(40, 8)), {"sliding_window": 36, "full": 12}),
        (facts("llama4", 48, 5120, heads(40, 8) | {"attention.sliding_window": 0}), {"full": 48}),
        (facts("olmo2", 32, 4096, heads(32, 32)), {"full": 32}),
        (
            facts("olmo3", 32, 4096, heads(32, 32) | {"attention.sliding_window": 4096}),
            {"sliding_window": 24, "full": 8},
        ),
        (facts("exaone4", 64, 5120, EXAONE4), {"sliding_window": 48, "full": 16}),
        (facts("exaone4", 30, 2048, EXAONE4), {"full": 30}),
        (facts("phi3", 32, 3072, heads(32, 32, 96) | {"attention.sliding_window": 2047}), {"full": 32}),
        (
            facts("gemma3n", 35, 2048, heads(8, 2, 256) | {"attention.sliding_window": 512}),
            {"sliding_window": 16, "full": 4, "stateless": 15},
        ),
        (models.DEEPSEEK_V2_LITE, {"mla": 27}),
        (models.DEEPSEEK_V2_LITE_OLD, {"full": 27}),
        (models.GLM_47_FLASH_EARLY, {"mla": 47}),
        (models.QWEN35_27B, {"recurrent": 48, "full": 16}),
        (models.QWEN35_27B_WITH_MTP, {"recurrent": 48, "full": 16}),
        (NEMOTRON, {"recurrent": 2, "stateless": 2, "full": 2}),
        (LFM2, {"recurrent": 2, "full": 2}),
        (facts("mamba2", 64, 2560, state_space(5120, 128, 1)), {"recurrent": 64}),
        (facts("falcon-h1", 44, 3072, heads(12, 2) | state_space(3072, 256, 1)), {"full": 44}),
        (facts("bert", 12, 768, {"attention.head_count": 12}, context=512), {"stateless": 12}),
        (facts("gemma3", 24, 768, heads(3, 1, 256) | {"pooling_type": 1}), {"stateless": 24}),
    ],
)
def test_the_layers_of(model: ModelFacts, expected: dict[str, int]) -> None:
    assert kinds(model) == expected


def test_the_full_layer_is_the_last_of_its_period() -> None:
    layers = shape(models.GEMMA_3_12B).layers
    assert [index for index, layer in enumerate(layers) if layer.kind == "full"] == list(range(5, 48, 6))


def test_the_full_layer_of_some_is_the_first() -> None:
    layers = shape(facts("laguna", 8, 2048, heads(48, 8) | {"attention.sliding_window": 512})).layers
    assert [layer.kind for layer in layers][:4] == ["full"] + ["sliding_window"] * 3


def test_a_list_in_the_file_beats_the_usual_pattern() -> None:
    model = facts(
        "gemma3",
        4,
        640,
        heads(4, 1, 256)
        | {"attention.sliding_window": 512, "attention.sliding_window_pattern": (False, True, True, True)},
    )
    assert [layer.kind for layer in shape(model).layers] == ["full"] + ["sliding_window"] * 3


def test_sliding_layers_have_heads_of_their_own_length() -> None:
    sliding, *_, full = shape(models.GEMMA_4_12B).layers
    assert (sliding.head_dimension, sliding.kv_head_count) == (256, 8)
    assert (full.head_dimension, full.kv_head_count) == (512, 1)


def test_layers_that_share_a_cache_keep_nothing() -> None:
    model = facts(
        "gemma4",
        35,
        1536,
        heads(8, 1, 512)
        | {
            "attention.sliding_window": 512,
            "attention.sliding_window_pattern": pattern(5, 35),
            "attention.shared_kv_layers": 20,
        },
    )
    assert kinds(model) == {"sliding_window": 12, "full": 3, "stateless": 20}


def test_a_hybrid_with_both_in_a_layer_keeps_both() -> None:
    layer = shape(facts("falcon-h1", 44, 3072, heads(12, 2) | state_space(3072, 256, 1))).layers[0]
    assert layer.k_elements_per_token == 256
    assert layer.state_bytes == 4 * (3 * (3072 + 512) + 256 * 3072)


def test_zeros_in_the_heads_of_an_interval_hybrid_are_not_those_of_its_attention() -> None:
    listed = tuple(2 if (layer + 1) % 4 == 0 else 0 for layer in range(40))
    model = facts("qwen35moe", 40, 2048, heads(16, listed, 256) | state_space(4096, 128, 16))
    plain = LoadOptions(32_768)
    assert kv_cache_bytes(shape(model), plain) == kv_cache_bytes(shape(models.QWEN36_35B_A3B), plain)


def test_early_names_of_ollama_mean_the_same_architecture() -> None:
    early = facts("gptoss", 24, 2880, heads(64, 8, 64) | {"attention.sliding_window": 128})
    assert shape(early).architecture == "gpt-oss"
    assert kinds(early) == kinds(models.GPT_OSS_20B)


def test_weights_come_from_the_tensors() -> None:
    weights = ModelWeights(
        layer_bytes=(100, 110),
        expert_bytes=(60, 70),
        token_embedding_bytes=50,
        output_bytes=40,
        other_bytes=5,
        projector_bytes=30,
        element_count=670,
        host_bytes=7,
        vocabulary_size=1000,
    )
    model = facts("llama", 2, 64, heads(4, 2) | {"expert_count": 8, "expert_used_count": 2}, weights=weights)
    geometry = shape(model, None)
    assert [layer.weights_bytes for layer in geometry.layers] == [100, 110]
    assert [layer.expert_bytes for layer in geometry.layers] == [60, 70]
    assert (geometry.token_embedding_bytes, geometry.output_bytes, geometry.other_bytes) == (50, 40, 5)
    assert (geometry.projector_bytes, geometry.host_bytes, geometry.vocabulary_size) == (30, 7, 1000)
    assert geometry.file_bytes == 312
    assert geometry.weights_measured
    assert geometry.is_moe
    assert not geometry.is_tied


def test_blocks_for_drafting_are_not_loaded() -> None:
    weights = ModelWeights(layer_bytes=(100,) * 65, expert_bytes=(0,) * 65, element_count=1)
    geometry = shape(replace_weights(models.QWEN35_27B_WITH_MTP, weights))
    assert (len(geometry.layers), geometry.draft_bytes) == (64, 100)
    assert memory_need(geometry, LoadOptions(4096)).weights_bytes == 6400


def replace_weights(model: ModelFacts, weights: ModelWeights) -> ModelFacts:
    return msgspec.structs.replace(model, weights=weights)


def test_without_tensors_the_file_is_spread_evenly() -> None:
    geometry = shape(models.LLAMA_31_8B, 3203)
    assert sum(layer.weights_bytes for layer in geometry.layers) == 3203
    assert geometry.file_bytes == 3203
    assert not geometry.weights_measured


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (facts("rwkv9", 32, 4096), "architecture rwkv9 is not known to gpumon"),
        (facts("deepseek32", 61, 7168), "deepseek32 keeps an index beside its cache, of unknown size"),
        (msgspec.structs.replace(models.LLAMA_31_8B, architecture=None), "does not say which architecture"),
        (msgspec.structs.replace(models.LLAMA_31_8B, layer_count=None), "how many layers"),
        (msgspec.structs.replace(models.LLAMA_31_8B, layer_count=10**9), "how many layers"),
        (facts("llama", 32, 4096), "names no attention heads"),
        (facts("llama", 32, 0, {"attention.head_count": 32}), "how long its keys are"),
        (facts("gemma4", 4, 640, heads(4, 1) | {"attention.sliding_window": 512}), "which layers slide"),
        (facts("qwen35", 4, 640, heads(4, 1)), "how large its states are"),
        (facts("mamba", 4, 640), "how large its states are"),
        (facts("rwkv7", 4, 640), "how large its states are"),
    ],
)
def test_what_is_not_known_says_so(model: ModelFacts, words: str) -> None:
    assert words in reason(model)


def test_without_any_size_nothing_is_computed() -> None:
    assert "nor the size of its file" in reason(models.LLAMA_31_8B, None)


def test_a_file_that_lacks_layers_says_so() -> None:
    short = replace_weights(models.LLAMA_31_8B, ModelWeights(layer_bytes=(1,) * 12, element_count=1))
    assert reason(short) == "the file holds 12 of 32 layers"


VALUES = (
    st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 300)
    | st.booleans()
    | st.text(max_size=5)
    | st.lists(st.integers(-1, 300) | st.booleans(), max_size=8).map(tuple)
)
KEYS = [
    "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
    "attention.sliding_window", "attention.sliding_window_pattern", "attention.shared_kv_layers",
    "attention.key_length_mla", "attention.value_length_mla", "attention.kv_lora_rank",
    "rope.dimension_count", "attention.recurrent_layers", "full_attention_interval", "feed_forward_length",
    "nextn_predict_layers", "ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.group_count",
    "shortconv.l_cache", "wkv.head_size", "kda.head_dim", "expert_count", "pooling_type",
]  # fmt: skip
NAMES = sorted(architectures.FULL | architectures.RECURRENT | architectures.STATELESS) + sorted(
    architectures.SLIDING.keys() | architectures.HYBRID_BY_HEADS | architectures.HYBRID_BY_INTERVAL
)


@given(
    st.sampled_from(NAMES),
    st.integers(1, 8),
    st.integers(0, 5000) | st.none(),
    st.dictionaries(st.sampled_from(KEYS), VALUES),
)
def test_any_keys_give_a_geometry_or_a_reason(
    name: str, layers: int, width: int | None, keys: dict[str, int | str]
) -> None:
    model = msgspec.structs.replace(facts(name, layers, 0), embedding_length=width)
    geometry = {f"{name}.{key}": value for key, value in keys.items()}
    found = geometry_of(msgspec.structs.replace(model, geometry=geometry), GIB)
    if isinstance(found, NoGeometry):
        assert found.reason
        assert "\n" not in found.reason
    else:
        assert isinstance(found, Geometry)
        assert kv_cache_bytes(found, LoadOptions(4096)) >= 0
        assert min(layer.state_bytes for layer in found.layers) >= 0
