"""Bytes of a recurrent layer's state, per sequence, f32 (llama.cpp: ``n_embd_r`` + ``n_embd_s``)."""

from __future__ import annotations

from gpumon.app.physics.geometry import NoGeometry
from gpumon.app.physics.gguf_keys import GgufKeys

BYTES_PER_ELEMENT = 4
_RWKV_TOKEN_SHIFTS = 2
_RWKV_WITH_ONE_SHIFT = {"arwkv7", "rwkv6qwen2"}


def state_bytes(keys: GgufKeys, architecture: str) -> int | NoGeometry:
    """Return what one layer keeps of one sequence, whatever its length, or that it cannot be known."""
    elements = _elements(keys, architecture)
    if elements is None:
        return NoGeometry(f"the file of this {architecture} model does not say how large its states are")
    return BYTES_PER_ELEMENT * elements


def _elements(keys: GgufKeys, architecture: str) -> int | None:
    if architecture.startswith("lfm2"):
        return _short_convolution(keys)
    if "rwkv" in architecture:
        return _rwkv(keys, architecture)
    if architecture == "kimi-linear":
        return _delta_attention(keys)
    return _state_space(keys)


def _state_space(keys: GgufKeys) -> int | None:
    """Mamba and gated delta net: the last columns of the convolution, and the state."""
    kernel, inner, state = (keys.size(f"ssm.{key}") for key in ("conv_kernel", "inner_size", "state_size"))
    if kernel is None or inner is None or state is None:
        return None
    groups = keys.count("ssm.group_count") or 0
    return (kernel - 1) * (inner + 2 * groups * state) + state * inner


def _short_convolution(keys: GgufKeys) -> int | None:
    columns, width = keys.size("shortconv.l_cache"), keys.facts.embedding_length
    return None if columns is None or not width else width * (columns - 1)


def _rwkv(keys: GgufKeys, architecture: str) -> int | None:
    head, width = keys.size("wkv.head_size"), keys.facts.embedding_length
    if head is None or not width:
        return None
    usual = 1 if architecture in _RWKV_WITH_ONE_SHIFT else _RWKV_TOKEN_SHIFTS
    return width * ((keys.size("token_shift_count") or usual) + head)


def _delta_attention(keys: GgufKeys) -> int | None:
    """Kimi's: convolutions of Q, K and V, and a square state per head."""
    head, kernel, heads = keys.size("kda.head_dim"), keys.size("ssm.conv_kernel"), _query_heads(keys)
    if head is None or kernel is None or heads is None:
        return None
    return 3 * (kernel - 1) * heads * head + head * head * heads


def _query_heads(keys: GgufKeys) -> int | None:
    heads = keys.by_layer("attention.head_count")
    return heads[0] if heads and heads[0] else None
