"""Models as their files describe them, as far as memory depends on it (the GGUF files on Hugging Face)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gpumon.app.physics.geometry import Geometry
from gpumon.app.physics.shape import geometry_of
from gpumon.collectors.samples import ModelFacts, ModelWeights

Value = int | str | bool | tuple[int | bool, ...]

MIB = 2**20
GIB = 2**30


def facts(
    architecture: str,
    layers: int,
    width: int,
    keys: Mapping[str, Value] = MappingProxyType({}),
    context: int = 131_072,
    weights: ModelWeights | None = None,
) -> ModelFacts:
    """Return a model's facts; keys without the prefix that the architecture gives them."""
    return ModelFacts(
        time=0.0,
        source="file",
        name=architecture,
        digest="",
        architecture=architecture,
        trained_context_length=context,
        layer_count=layers,
        embedding_length=width,
        geometry={f"{architecture}.{key}": value for key, value in keys.items()},
        weights=weights,
    )


def heads(query: int, kv: int | tuple[int, ...], length: int = 128) -> dict[str, Value]:
    """Return the keys of a common attention."""
    return {
        "attention.head_count": query,
        "attention.head_count_kv": kv,
        "attention.key_length": length,
        "attention.value_length": length,
    }


def state_space(inner: int, state: int, groups: int, kernel: int = 4) -> dict[str, Value]:
    """Return the keys of a recurrent layer."""
    return {
        "ssm.conv_kernel": kernel,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.group_count": groups,
    }


def pattern(full_every: int, layers: int) -> tuple[bool, ...]:
    """Return which layers slide, as a file lists it."""
    return tuple((layer + 1) % full_every != 0 for layer in range(layers))


def shape(model: ModelFacts, file_bytes: int | None = GIB) -> Geometry:
    """Return a geometry that has to be known."""
    found = geometry_of(model, file_bytes)
    assert isinstance(found, Geometry), found
    return found


def weights(file_bytes: float, layers: int, embedding: float, output: float | None) -> ModelWeights:
    """Return a file's bytes with blocks that are alike."""
    block = round((file_bytes - embedding - (output or 0)) / layers)
    return ModelWeights(
        layer_bytes=(block,) * layers,
        expert_bytes=(0,) * layers,
        token_embedding_bytes=round(embedding),
        output_bytes=None if output is None else round(output),
        element_count=round(file_bytes * 8 / 4.85),
    )


LLAMA_31_8B = facts("llama", 32, 4096, heads(32, 8))
LLAMA_32_3B = facts("llama", 28, 3072, heads(24, 8))
LLAMA_2_7B = facts("llama", 32, 4096, {"attention.head_count": 32}, context=4096)
MISTRAL_7B = facts("llama", 32, 4096, heads(32, 8) | {"attention.sliding_window": 4096}, context=32_768)
QWEN25_3B = facts(
    "qwen2", 36, 2048, {"attention.head_count": 16, "attention.head_count_kv": 2}, context=32_768
)
QWEN25_7B = facts(
    "qwen2",
    28,
    3584,
    {"attention.head_count": 28, "attention.head_count_kv": 4},
    weights=weights(4_677_120_000, 28, 152_064 * 3584 * 0.5625, 152_064 * 3584 * 0.8203),
)
QWEN25_14B = facts(
    "qwen2",
    48,
    5120,
    {"attention.head_count": 40, "attention.head_count_kv": 8},
    weights=weights(8_982_000_000, 48, 152_064 * 5120 * 0.5625, 152_064 * 5120 * 0.8203),
)
QWEN3_8B = facts("qwen3", 36, 4096, heads(32, 8), context=40_960)
QWEN3_14B = facts("qwen3", 40, 5120, heads(40, 8), context=40_960)
QWEN3_30B_A3B = facts(
    "qwen3moe", 48, 2048, heads(32, 4) | {"expert_count": 128, "expert_used_count": 8}, context=40_960
)
GEMMA_2_2B = facts("gemma2", 26, 2304, heads(8, 4, 256) | {"attention.sliding_window": 4096}, context=8192)
GEMMA_3_270M = facts("gemma3", 18, 640, heads(4, 1, 256) | {"attention.sliding_window": 512}, context=32_768)
GEMMA_3_4B = facts(
    "gemma3",
    34,
    2560,
    heads(8, 4, 256) | {"attention.sliding_window": 1024},
    weights=weights(2_484_000_000, 34, 262_144 * 2560 * 0.8203, None),
)
GEMMA_3_12B = facts("gemma3", 48, 3840, heads(16, 8, 256) | {"attention.sliding_window": 1024})
GEMMA_3_27B = facts("gemma3", 62, 5376, heads(32, 16) | {"attention.sliding_window": 1024})
GEMMA_4_12B = facts(
    "gemma4",
    48,
    3840,
    heads(16, tuple(8 if slides else 1 for slides in pattern(6, 48)), 512)
    | {
        "attention.key_length_swa": 256,
        "attention.value_length_swa": 256,
        "attention.sliding_window": 1024,
        "attention.sliding_window_pattern": pattern(6, 48),
    },
)
GPT_OSS_20B = facts(
    "gpt-oss",
    24,
    2880,
    heads(64, 8, 64) | {"attention.sliding_window": 128, "expert_count": 32, "expert_used_count": 4},
)
GPT_OSS_120B = facts("gpt-oss", 36, 2880, heads(64, 8, 64) | {"attention.sliding_window": 128})
_DELTA_NET_27B = state_space(6144, 128, 16)
QWEN35_27B = facts("qwen35", 64, 5120, heads(24, 4, 256) | _DELTA_NET_27B, context=262_144)
QWEN35_27B_WITH_MTP = facts(
    "qwen35", 65, 5120, heads(24, 4, 256) | _DELTA_NET_27B | {"nextn_predict_layers": 1}, context=262_144
)
QWEN35_9B = facts("qwen35", 32, 4096, heads(16, 4, 256) | state_space(4096, 128, 16), context=262_144)
QWEN35_2B = facts("qwen35", 24, 2048, heads(8, 2, 256) | state_space(2048, 128, 16), context=262_144)
QWEN36_35B_A3B = facts("qwen35moe", 40, 2048, heads(16, 2, 256) | state_space(4096, 128, 16), context=262_144)
_V2_LITE: dict[str, Value] = {
    "attention.head_count": 16,
    "attention.head_count_kv": 16,
    "attention.key_length": 192,
    "attention.value_length": 128,
    "attention.kv_lora_rank": 512,
    "rope.dimension_count": 64,
}
DEEPSEEK_V2_LITE_OLD = facts("deepseek2", 27, 2048, _V2_LITE, context=163_840)
DEEPSEEK_V2_LITE = facts(
    "deepseek2",
    27,
    2048,
    _V2_LITE
    | {"attention.head_count_kv": 1, "attention.key_length": 576, "attention.value_length": 512}
    | {"attention.key_length_mla": 192, "attention.value_length_mla": 128},
    context=163_840,
)
GLM_47_FLASH_EARLY = facts(
    "glm4moelite",
    47,
    2048,
    heads(20, 20, 256)
    | {
        "attention.kv_lora_rank": 512,
        "rope.dimension_count": 64,
        "attention.key_length_mla": 576,
        "attention.value_length_mla": 512,
    },
    context=202_752,
)
