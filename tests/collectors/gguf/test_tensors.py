"""Bytes of tensors by type, and where in a model they belong."""

from __future__ import annotations

import importlib
import importlib.util

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.gguf.tensors import (
    BLOCK_SIZES,
    TYPE_NAMES,
    Tensor,
    element_count,
    summarize,
    tensor_bytes,
)

BITS = {
    "Q2_K": 2.625, "Q3_K": 3.4375, "Q4_0": 4.5, "IQ4_NL": 4.5, "Q4_K": 4.5, "IQ4_XS": 4.25, "MXFP4": 4.25,
    "NVFP4": 4.5, "Q4_1": 5.0, "Q5_0": 5.5, "Q5_K": 5.5, "Q6_K": 6.5625, "Q8_0": 8.5, "IQ1_S": 1.5625,
    "IQ1_M": 1.75, "IQ2_XXS": 2.0625, "IQ2_XS": 2.3125, "IQ2_S": 2.5625, "IQ3_XXS": 3.0625, "IQ3_S": 3.4375,
    "TQ1_0": 1.6875, "TQ2_0": 2.0625, "F16": 16, "BF16": 16, "F32": 32, "Q5_1": 6.0, "Q1_0": 1.125,
}  # fmt: skip


@pytest.mark.parametrize(("name", "bits"), BITS.items())
def test_a_weight_of_a_type_takes_its_bits(name: str, bits: float) -> None:
    assert tensor_bytes(name, (4096, 32)) == 4096 * 32 * bits / 8


def test_every_number_has_a_size() -> None:
    assert set(TYPE_NAMES.values()) <= BLOCK_SIZES.keys()


@pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="not installed: gguf")
def test_the_sizes_are_those_of_llama_cpp() -> None:
    sizes = importlib.import_module("gguf").GGML_QUANT_SIZES
    theirs = {kind.name: (kind.value, *size) for kind, size in sizes.items()}
    del theirs["Q8_1"]  # never in a file; gguf-py counts its scales as f32
    ours = {name: (number, *BLOCK_SIZES[name]) for number, name in reversed(TYPE_NAMES.items())}
    assert {name: ours.get(name) for name in theirs} == theirs


@pytest.mark.parametrize("shape", [(-1,), (2**60,), (2**30, 2**30), (1, 1, 1, 1, 1)])
def test_a_shape_that_no_tensor_has_is_unknown(shape: tuple[int, ...]) -> None:
    assert element_count(shape) is None
    assert tensor_bytes("F32", shape) is None


def test_a_type_that_is_not_known_has_no_size() -> None:
    assert tensor_bytes("Q9_X", (256,)) is None


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("token_embd.weight", "token_embedding_bytes"),
        ("output.weight", "output_bytes"),
        ("output_norm.weight", "other_bytes"),
        ("rope_freqs.weight", "other_bytes"),
        ("per_layer_token_embd.weight", "host_bytes"),
        ("position_embd.weight", "host_bytes"),
        ("v.blk.0.attn_q.weight", "projector_bytes"),
        ("mm.input_projection.weight", "projector_bytes"),
        ("a.blk.3.ffn_up.weight", "projector_bytes"),
        ("mtp.fc.weight", "draft_bytes"),
        ("blk.99999.attn_q.weight", "other_bytes"),
    ],
)
def test_a_tensor_belongs_to_its_part(name: str, part: str) -> None:
    found = summarize([Tensor(name, "F32", (10, 3))])
    assert found is not None
    assert getattr(found, part) == 120
    assert found.layer_bytes == ()
    assert found.element_count == 30


@pytest.mark.parametrize(
    ("name", "is_expert"),
    [
        ("blk.1.ffn_gate_exps.weight", True),
        ("blk.1.ffn_gate_up_exps.weight", True),
        ("blk.1.ffn_down_exps.bias", True),
        ("blk.1.ffn_up.7.weight", True),
        ("blk.1.ffn_up_shexp.weight", False),
        ("blk.1.ffn_gate_inp.weight", False),
        ("blk.1.ffn_up.weight", False),
        ("blk.1.exp_probs_b.bias", False),
    ],
)
def test_routed_experts_are_told_from_the_rest_of_a_block(name: str, *, is_expert: bool) -> None:
    found = summarize([Tensor(name, "F32", (10,))])
    assert found is not None
    assert found.layer_bytes == (0, 40)
    assert found.expert_bytes == (0, 40 if is_expert else 0)


def test_without_an_output_matrix_the_embedding_is_tied() -> None:
    found = summarize([Tensor("token_embd.weight", "F16", (64, 1000))])
    assert found is not None
    assert (found.output_bytes, found.vocabulary_size) == (None, 1000)


def test_one_tensor_of_unknown_size_makes_the_sums_unknown() -> None:
    assert summarize([Tensor("blk.0.a", "F32", (10,)), Tensor("blk.0.b", "unknown", (10,))]) is None


def test_no_tensors_are_no_weights() -> None:
    assert summarize([]) is None


@given(
    st.lists(
        st.builds(
            Tensor,
            st.sampled_from(["blk.0.x", "blk.7.ffn_up_exps.weight", "output.weight", "v.x", "mtp.y", "z"])
            | st.text(),
            st.sampled_from(sorted(BLOCK_SIZES)),
            st.lists(st.integers(0, 5000), max_size=3),
        )
    )
)
def test_no_byte_is_lost_or_counted_twice(tensors: list[Tensor]) -> None:
    found = summarize(tensors)
    if found is not None:
        whole = sum(found.layer_bytes) + found.token_embedding_bytes + (found.output_bytes or 0)
        whole += found.other_bytes + found.projector_bytes + found.host_bytes + found.draft_bytes
        assert whole == sum(tensor_bytes(tensor.type_name, tensor.shape) or 0 for tensor in tensors)
        assert all(part <= layer for part, layer in zip(found.expert_bytes, found.layer_bytes, strict=True))
