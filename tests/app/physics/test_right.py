"""Whether an answer is right at all: broken files, models that do not write, cards by name."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.physics import model_facts as models
from tests.app.physics.measured.rows import GRAPHS, GraphRow, shape_of
from tests.app.physics.model_facts import facts, heads, shape, weights

from gpumon.app.physics.geometry import LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Card, Generation, Hardware
from gpumon.app.physics.memory import Placement
from gpumon.app.physics.shape import geometry_of
from gpumon.app.physics.speed import decode_tokens_per_second, used_experts_share
from gpumon.collectors.samples import ModelFacts, ModelWeights

GIB = 2**30


def reason(model: ModelFacts, file_bytes: int = GIB) -> str:
    found = geometry_of(model, file_bytes)
    assert isinstance(found, NoGeometry)
    return found.reason


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attention.head_count", 4_000_000),
        ("attention.head_count_kv", (8, 8, 2_000_000)),
        ("attention.key_length", 1 << 20),
        ("attention.value_length", 1 << 20),
    ],
)
def test_nothing_is_said_of_a_file_with_absurd_heads(key: str, value: int | tuple[int, ...]) -> None:
    model = facts("llama", 3, 4096, heads(32, 8) | {key: value})
    assert f"as {key}, which no model has" in reason(model)


def test_nothing_is_said_of_a_file_without_tensors() -> None:
    empty = ModelWeights(
        layer_bytes=(0,) * 32,
        expert_bytes=(0,) * 32,
        token_embedding_bytes=0,
        output_bytes=0,
        element_count=0,
    )
    assert reason(facts("llama", 32, 4096, heads(32, 8), weights=empty)).startswith(
        "the file holds no tensors"
    )


@pytest.mark.parametrize(
    "keys", [{"pooling_type": 3}, {"pooling_type": 1}], ids=["as a decoder's last token", "as a mean"]
)
def test_no_decode_rate_is_said_of_an_embedding_model(keys: dict[str, int]) -> None:
    embedder = facts("qwen3", 28, 1024, heads(16, 8) | keys, weights=weights(GIB, 28, 1e8, None))
    geometry = shape(embedder)
    assert not geometry.writes
    assert shape(models.QWEN3_8B).writes
    card = Card("RTX 3060", 12 * GIB, 11 * GIB, 360e9, "nvidia_gddr6")
    whole = Placement(29, 29, GIB, 0, (GIB,), output_on_gpu=True)
    assert decode_tokens_per_second(geometry, LoadOptions(4096), Hardware((card,)), whole, 0) is None


def test_experts_are_told_from_the_keys_where_a_server_lists_no_tensors() -> None:
    """Qwen3-30B-A3B: 128 experts of 768 in 48 blocks are 29.0 of 30.5 billion parameters."""
    named = models.QWEN3_30B_A3B.geometry | {"qwen3moe.expert_feed_forward_length": 768}
    model = replace(models.QWEN3_30B_A3B, geometry=named, parameter_count=30_532_122_624)
    geometry = shape(model, 18 * GIB)
    share = sum(layer.expert_bytes for layer in geometry.layers) / geometry.file_bytes
    assert share == pytest.approx(0.95, abs=0.01)
    assert used_experts_share(geometry) == pytest.approx(8 / 128)
    assert not geometry.weights_measured


def test_without_their_width_a_usual_share_is_taken() -> None:
    geometry = shape(models.QWEN3_30B_A3B, 18 * GIB)
    assert sum(one.expert_bytes for one in geometry.layers) == pytest.approx(0.92 * 18 * GIB, rel=0.01)


def test_a_dense_model_without_a_list_has_no_experts() -> None:
    assert not any(layer.expert_bytes for layer in shape(models.LLAMA_31_8B, 5 * GIB).layers)


@pytest.mark.parametrize(("quant", "gigabytes"), [("MXFP4_MOE", 12.1), ("Q4_K_M", 11.6), ("F16", 13.8)])
def test_gpt_oss_keeps_its_experts_in_mxfp4_whatever_a_file_is_called(quant: str, gigabytes: float) -> None:
    """Sizes that the hub lists of ggml-org/gpt-oss-20b-GGUF and unsloth/gpt-oss-20b-GGUF."""
    assert shape_of("gpt-oss:20b", quant).file_bytes / 1e9 == pytest.approx(gigabytes, rel=0.03)


@pytest.mark.parametrize("row", GRAPHS, ids=lambda row: f"{row.model}-{row.context}-{row.micro_batch}")
def test_a_compute_buffer_is_what_llama_cpp_reserves(row: GraphRow) -> None:
    assert row.predicted_mib == pytest.approx(row.mib, rel=0.015)


@pytest.mark.parametrize(
    ("name", "card_class", "generation"),
    [
        ("NVIDIA GeForce RTX 2080 Ti", "nvidia_gddr6", "nvidia_turing"),
        ("Tesla T4", "nvidia_gddr6", "nvidia_turing"),
        ("NVIDIA GeForce GTX 1660 Ti", "nvidia_gddr6", "nvidia_turing"),
        ("NVIDIA GeForce RTX 3090", "nvidia_gddr6", "nvidia_gddr6"),
        ("NVIDIA RTX A4000", "nvidia_gddr6", "nvidia_gddr6"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "nvidia_gddr6", "nvidia_ada"),
        ("NVIDIA RTX 4000 Ada Generation", "nvidia_gddr6", "nvidia_ada"),
        ("NVIDIA L40S", "nvidia_gddr6", "nvidia_ada"),
        ("NVIDIA L4", "nvidia_gddr6", "nvidia_ada"),
        ("Quadro RTX 4000", "nvidia_gddr6", "nvidia_turing"),
        ("Tesla V100-SXM2-16GB", "nvidia_hbm", "nvidia_volta"),
        ("NVIDIA A100-SXM4-80GB", "nvidia_hbm", "nvidia_hbm"),
        ("NVIDIA GeForce GTX 1050 Ti", "nvidia_pascal", "nvidia_gtx1050"),
        ("NVIDIA GeForce GTX 1080", "nvidia_pascal", "nvidia_pascal"),
        ("an unknown card", "nvidia_gddr7", "nvidia_gddr7"),
    ],
)
def test_neighbours_are_told_apart_by_name(name: str, card_class: Generation, generation: Generation) -> None:
    assert Card(name, 1, 1, 1.0, card_class).generation == generation  # type: ignore[arg-type]


def test_a_radeon_by_hip_is_slower_than_by_vulkan_and_what_is_not_known_lies_between() -> None:
    geometry = shape_of("llama3.1:8b", "Q4_K_M")
    whole = Placement(33, 33, GIB, 0, (GIB,), output_on_gpu=True)
    card = Card("RX 7900 XTX", 24 * GIB, 24 * GIB, 960e9, "amd")
    rates = []
    for backend in ("vulkan", None, "hip"):
        hardware = Hardware((replace(card, backend=backend),))
        band = decode_tokens_per_second(geometry, LoadOptions(4096), hardware, whole, 0)
        assert band is not None
        rates.append(band.expected)
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 1.1 * rates[2]
