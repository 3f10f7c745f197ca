"""Which type each tensor has in a file of a quantisation, as llama-quantize chooses.

llama.cpp: src/llama-quant.cpp, ``llama_tensor_get_type``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from gpumon.app.physics.catalog.tensors import Matrix
from gpumon.collectors.gguf.tensors import BLOCK_SIZES, Tensor

Where = Literal["all", "more", "first_8th", "first_16th", "first_2", "first_4", "middle", "few_kv"]
"""Blocks that have another type: ``more`` are first and last eighth and every third between, ``few_kv`` all
where four heads or more share one of K."""


class Mix(NamedTuple):
    """The types of one quantisation."""

    base: str
    exceptions: Mapping[str, tuple[tuple[Where, str], ...]] = MappingProxyType({})
    """By part of a block: the first of them that holds for a block."""
    output: str = "Q6_K"
    embedding: str | None = None
    """``None``: the base; where the output is tied the embedding has its type."""


_EIGHT_EXPERTS = ("Q2_K", "Q3_K", "Q4_K", "IQ3_S", "IQ3_XXS", "IQ4_XS", "IQ4_NL")
_MORE_Q6: tuple[tuple[Where, str], ...] = (("more", "Q6_K"),)
_Q4_IF_FEW: tuple[tuple[Where, str], ...] = (("few_kv", "Q4_K"),)


def _all(kind: str) -> tuple[tuple[Where, str], ...]:
    return (("all", kind),)


def _tiny(base: str, output: str | None, rest: str, embedding: str) -> Mix:
    """Return a mix of two bits and fewer."""
    exceptions = {"attn_v": (*_Q4_IF_FEW, *_all(rest)), "ffn_down": (("first_8th", rest),)}
    outputs = {"attn_output": _all(output)} if output else {}
    return Mix(base, {**exceptions, **outputs}, output="Q5_K", embedding=embedding)


MIXES: dict[str, Mix] = {
    "F32": Mix("F32", output="F32"),
    "F16": Mix("F16", output="F16"),
    "BF16": Mix("BF16", output="BF16"),
    "Q8_0": Mix("Q8_0", output="Q8_0"),
    "Q6_K": Mix("Q6_K"),
    "Q5_K_M": Mix("Q5_K", {"attn_v": _MORE_Q6, "ffn_down": _MORE_Q6, "attn_qkv": _all("Q6_K")}),
    "Q5_K_S": Mix("Q5_K"),
    "Q5_1": Mix("Q5_1"),
    "Q5_0": Mix("Q5_0"),
    "Q4_K_M": Mix("Q4_K", {"attn_v": _MORE_Q6, "ffn_down": _MORE_Q6, "attn_qkv": _all("Q5_K")}),
    "Q4_K_S": Mix("Q4_K", {"attn_v": (("first_4", "Q5_K"),), "ffn_down": (("first_8th", "Q5_K"),)}),
    "Q4_1": Mix("Q4_1"),
    "Q4_0": Mix("Q4_0"),
    "IQ4_NL": Mix("IQ4_NL", {"attn_v": (("few_kv", "Q5_K"),), "ffn_down": (("first_8th", "Q5_K"),)}),
    "IQ4_XS": Mix("IQ4_XS", {"attn_v": (("few_kv", "Q5_K"),), "ffn_down": (("first_8th", "Q5_K"),)}),
    "Q3_K_L": Mix(
        "Q3_K",
        {
            "attn_v": _all("Q5_K"),
            "ffn_down": _all("Q5_K"),
            "attn_output": _all("Q5_K"),
            "attn_qkv": _all("Q4_K"),
        },
    ),
    "Q3_K_M": Mix(
        "Q3_K",
        {
            "attn_v": (("first_2", "Q5_K"), ("all", "Q4_K")),
            "ffn_down": (("first_16th", "Q5_K"), ("all", "Q4_K")),
            "attn_output": _all("Q4_K"),
            "attn_qkv": _all("Q4_K"),
        },
    ),
    "Q3_K_S": Mix("Q3_K"),
    "IQ3_M": Mix(
        "IQ3_S",
        {
            "attn_v": _all("Q4_K"),
            "ffn_down": (("first_8th", "Q4_K"),),
            "attn_output": _all("Q4_K"),
            "attn_qkv": _all("Q4_K"),
        },
    ),
    "IQ3_S": Mix("IQ3_S", {"attn_v": _Q4_IF_FEW}),
    "IQ3_XS": Mix(
        "IQ3_S",
        {
            "attn_v": _Q4_IF_FEW,
            "attn_k": _all("IQ3_XXS"),
            "attn_q": _all("IQ3_XXS"),
            "ffn_gate": (("middle", "IQ3_XXS"),),
            "ffn_up": (("middle", "IQ3_XXS"),),
        },
    ),
    "IQ3_XXS": Mix(
        "IQ3_XXS",
        {
            "attn_v": _Q4_IF_FEW,
            "attn_k": _all("IQ2_S"),
            "attn_q": _all("IQ2_S"),
            "attn_output": _all("IQ3_S"),
        },
        output="Q5_K",
        embedding="IQ3_S",
    ),
    "Q2_K": Mix(
        "Q2_K",
        {
            "attn_v": (*_Q4_IF_FEW, *_all("Q3_K")),
            "ffn_down": _all("Q3_K"),
            "attn_output": _all("Q3_K"),
        },
    ),
    "IQ2_M": _tiny("IQ2_S", "IQ3_S", "IQ3_S", "IQ3_S"),
    "IQ2_S": _tiny("IQ2_XS", "IQ3_S", "IQ3_S", "IQ3_S"),
    "IQ2_XS": _tiny("IQ2_XS", None, "Q2_K", "Q2_K"),
    "IQ2_XXS": _tiny("IQ2_XXS", None, "Q2_K", "Q2_K"),
    "IQ1_M": _tiny("IQ1_M", "IQ2_XXS", "Q2_K", "Q2_K"),
    "IQ1_S": _tiny("IQ1_S", "IQ2_XXS", "Q2_K", "Q2_K"),
    "MXFP4": Mix("BF16", {"experts": _all("MXFP4")}, output="BF16"),
    "MXFP4_MOE": Mix("Q8_0", {"experts": _all("MXFP4")}, output="Q8_0"),
}
MIXES |= {
    name: MIXES[of]._replace(output="Q8_0", embedding="Q8_0")
    for name, of in (
        ("Q2_K_L", "Q2_K"),
        ("Q3_K_XL", "Q3_K_L"),
        ("Q4_K_L", "Q4_K_M"),
        ("Q5_K_L", "Q5_K_M"),
        ("Q6_K_L", "Q6_K"),
    )
}
"""Embedding and output in eight bits: Q4_K_L, Q3_K_XL."""

_FALLBACK = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
"""For rows that are no multiple of 256; all smaller types fall back to IQ4_NL."""
_BLOCK = re.compile(r"blk\.([0-9]+)\.(.+)\.weight")
_PLAIN = re.compile(r"norm|ffn_gate_inp|ssm_conv1d|ssm_a\.|altup|laurel|position_embd|token_types|\.bias")
"""Not quantised."""


class Model(NamedTuple):
    """What the types depend on besides the tensor."""

    layer_count: int
    attending_count: int
    """Layers that have a V of their own."""
    heads_per_kv: int
    expert_count: int = 0
    is_70b: bool = False
    is_tied: bool = False
    table_type: str | None = None
    """Of Gemma's embeddings for each layer, where it is not the mix's."""
    plain: frozenset[str] = frozenset()
    """Parts that stay in F16."""


VALUES = frozenset({"attn_v", "attn_qkv"})
ATTENTION = VALUES | {"attn_q", "attn_k", "attn_gate", "attn_output", "ssm_out"}
"""What Ollama's own quantiser has left in F16, by the sizes that its library lists."""


def typed(matrices: Iterable[Matrix], mix: Mix, model: Model) -> Iterator[Tensor]:
    """Yield the tensors with their types."""
    values = 0
    for matrix in matrices:
        kind = _type(matrix, mix, model, values)
        values += ".attn_v." in matrix.name
        yield Tensor(matrix.name, _fitting(kind, matrix.shape[0]), matrix.shape)


def _type(matrix: Matrix, mix: Mix, model: Model, values: int) -> str:
    if _PLAIN.search(matrix.name) or len(matrix.shape) == 1:
        return "F32"
    if matrix.name == "output.weight" or (model.is_tied and matrix.name == "token_embd.weight"):
        return mix.output
    if matrix.name == "per_layer_token_embd.weight":
        return model.table_type or mix.embedding or mix.base
    if matrix.name == "token_embd.weight":
        return mix.embedding or mix.base
    found = _BLOCK.match(matrix.name)
    return _type_in_block(found[2], int(found[1]), mix, model, values) if found else mix.base


def _type_in_block(part: str, layer: int, mix: Mix, model: Model, values: int) -> str:
    is_expert = part.endswith("_exps")
    if is_expert and "experts" in mix.exceptions:
        return mix.exceptions["experts"][0][1]
    name = re.sub(r"_(?:exps|shexp)$", "", part)
    if name in model.plain:
        return "F16"
    index, count = (values, model.attending_count) if name == "attn_v" else (layer, model.layer_count)
    rules = mix.exceptions.get(name, ())
    kind = next((kind for where, kind in rules if _holds(where, index, count, model)), mix.base)
    return _of_few_experts(name, kind, mix, model)


def _of_few_experts(name: str, kind: str, mix: Mix, model: Model) -> str:
    """Return the type with what is otherwise for eight experts, and for 70B."""
    is_quantised = mix.base not in {"F16", "BF16", "F32"}
    if model.expert_count == 8 and is_quantised and name in {"attn_v", "attn_k"}:
        return "Q8_0"
    if model.expert_count == 8 and name == "attn_output" and mix.base in _EIGHT_EXPERTS:
        return "Q5_K"
    return "Q5_K" if model.is_70b and name == "attn_v" and kind in {"Q3_K", "Q4_K"} else kind


def _holds(where: Where, index: int, count: int, model: Model) -> bool:
    first, last = index < count // 8, index >= 7 * count // 8
    return {
        "all": True,
        "more": first or last or (index - count // 8) % 3 == 2,
        "first_8th": first,
        "first_16th": index < count // 16,
        "first_2": index < 2,
        "first_4": index < 4,
        "middle": not first and not last,
        "few_kv": model.heads_per_kv >= 4 or model.expert_count >= 4,
    }[where]


def _fitting(kind: str, row: int) -> str:
    """Return the type, or the one that is taken instead where a row cannot be cut into its blocks."""
    if row % BLOCK_SIZES[kind].elements == 0:
        return kind
    if BLOCK_SIZES[kind].elements < 256 or row % 32:
        return "F16"
    return _FALLBACK.get(kind, "IQ4_NL")
