"""The tensors that a file of a model holds, by the keys of its configuration.

Names are those of gguf-py (``TENSOR_NAMES``), shapes what llama.cpp loads (src/models), the fastest dimension
first. A few vectors that weigh nothing (sinks, biases of experts) are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpumon.app.physics.architectures import GgufKeys
from gpumon.app.physics.caches import layer_caches
from gpumon.app.physics.geometry import NoGeometry


class Matrix(NamedTuple):
    """One tensor, of whatever type."""

    name: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many weights it holds."""
        count = 1
        for length in self.shape:
            count *= length
        return count


class Traits(NamedTuple):
    """In what the blocks of an architecture differ from those of llama."""

    norms: int = 2
    biased_norms: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    feed_forward_bias: bool = False
    head_norms: bool = False
    """A scale for Q and for K, as long as one head."""
    wide_norms: bool = False
    """The same as long as all heads together."""
    fused_qkv: bool = False
    fused_gate: bool = False
    """Gate and up are one tensor."""
    is_gated: bool = True
    gated_attention: bool = False
    """Q holds as many numbers again, which scale the output."""


_QK = Traits(head_norms=True)
_GATED_DELTA = Traits(head_norms=True, gated_attention=True)
TRAITS: dict[str, Traits] = {
    "bert": Traits(
        biased_norms=True, qkv_bias=True, output_bias=True, feed_forward_bias=True, is_gated=False
    ),
    "cohere2": Traits(norms=1),
    "command-r": Traits(norms=1),
    "exaone4": _QK,
    "gemma-embedding": Traits(norms=4, head_norms=True),
    "gemma2": Traits(norms=4),
    "gemma3": Traits(norms=4, head_norms=True),
    "gemma3n": Traits(norms=4, head_norms=True),
    "gemma4": Traits(norms=4, head_norms=True),
    "glm4": Traits(norms=4, qkv_bias=True, fused_gate=True),
    "chatglm": Traits(qkv_bias=True, fused_qkv=True, fused_gate=True),
    "glm4moe": Traits(qkv_bias=True),
    "gpt-oss": Traits(qkv_bias=True, output_bias=True),
    "hunyuan-dense": _QK,
    "hunyuan-moe": _QK,
    "minimax-m2": Traits(wide_norms=True),
    "nomic-bert": Traits(biased_norms=True, fused_qkv=True),
    "olmo2": Traits(wide_norms=True),
    "phi3": Traits(fused_qkv=True, fused_gate=True),
    "qwen2": Traits(qkv_bias=True),
    "qwen2vl": Traits(qkv_bias=True),
    "qwen3": _QK,
    "qwen35": _GATED_DELTA,
    "qwen35moe": _GATED_DELTA,
    "qwen3moe": _QK,
    "qwen3next": _GATED_DELTA,
    "qwen3vl": _QK,
    "qwen3vlmoe": _QK,
    "seed_oss": Traits(qkv_bias=True),
    "starcoder2": Traits(
        biased_norms=True, qkv_bias=True, output_bias=True, feed_forward_bias=True, is_gated=False
    ),
}
"""Those that are not here have the blocks of llama."""


class Plan:
    """The tensors of one model."""

    def __init__(self, keys: GgufKeys, architecture: str, vocabulary: int, *, is_tied: bool) -> None:
        self._keys, self._traits = keys, TRAITS.get(architecture, Traits())
        self._vocabulary, self._is_tied = vocabulary, is_tied
        self._width = keys.facts.embedding_length or 0
        self._heads = keys.by_layer("attention.head_count") or ()
        caches = layer_caches(keys, architecture)
        self._caches = () if isinstance(caches, NoGeometry) else caches
        self._architecture = architecture

    def tensors(self) -> Iterator[Matrix]:
        """Yield all of them, the embedding first."""
        yield Matrix("token_embd.weight", (self._width, self._vocabulary))
        if not self._is_tied:
            yield Matrix("output.weight", (self._width, self._vocabulary))
        yield Matrix("output_norm.weight", (self._width,))
        yield from self._tables()
        for layer in range(self._count("block_count") or self._keys.layer_count):
            for name, shape in self._block(layer):
                yield Matrix(f"blk.{layer}.{name}", shape)

    def _count(self, key: str) -> int:
        return self._keys.count(key) or 0

    def _tables(self) -> Iterator[Matrix]:
        """Tables that are looked up in RAM: Gemma's embeddings for each layer, positions."""
        per_layer = self._count("embedding_length_per_layer_input")
        if per_layer:
            deep = per_layer * self._keys.layer_count
            yield Matrix("per_layer_token_embd.weight", (deep, self._vocabulary))
            yield Matrix("per_layer_model_proj.weight", (self._width, deep))
        if self._architecture == "gemma3n":
            for name in ("altup_proj.weight", "altup_unembd_proj.weight"):
                yield Matrix(name, (self._width, self._width, self._count("altup.num_inputs") - 1))
        positions = self._count("position_count")
        if positions:
            yield Matrix("position_embd.weight", (self._width, positions))

    def _block(self, layer: int) -> Iterator[Matrix]:
        yield from self._norms()
        yield from self._attention(layer)
        yield from self._feed_forward(layer)
        per_layer = self._count("embedding_length_per_layer_input")
        if per_layer:
            yield Matrix("inp_gate.weight", (self._width, per_layer))
            yield Matrix("proj.weight", (per_layer, self._width))
        if self._architecture == "gemma3n":
            yield Matrix("laurel_l.weight", (self._width, self._count("laurel_rank")))
            yield Matrix("laurel_r.weight", (self._count("laurel_rank"), self._width))
        if layer >= self._keys.layer_count:
            yield Matrix("nextn.eh_proj.weight", (2 * self._width, self._width))

    def _norms(self) -> Iterator[Matrix]:
        for number in range(self._traits.norms):
            yield Matrix(f"norm_{number}.weight", (self._width,))
            if self._traits.biased_norms:
                yield Matrix(f"norm_{number}.bias", (self._width,))

    def _attention(self, layer: int) -> Iterator[Matrix]:
        if self._is_recurrent(layer):
            yield from self._delta_net()
        elif self._count("attention.kv_lora_rank"):
            yield from self._latent(self._query_heads(layer))
        else:
            yield from self._heads_of(layer)

    def _is_recurrent(self, layer: int) -> bool:
        return layer < len(self._caches) and self._caches[layer].kind == "recurrent"

    def _query_heads(self, layer: int) -> int:
        return self._heads[min(layer, len(self._heads) - 1)]

    def _heads_of(self, layer: int) -> Iterator[Matrix]:
        """Q, K, V and the output of common attention."""
        traits, width = self._traits, self._width
        count, kv = self._query_heads(layer), self._kv_heads(layer)
        k, v = self._head_sizes(layer)
        q = count * k * (2 if traits.gated_attention else 1)
        sizes = {"q": q, "k": kv * k, "v": 0 if self._lacks_v(layer) else kv * v}
        if traits.fused_qkv:
            sizes = {"qkv": sum(sizes.values())}
        for part, size in sizes.items():
            if size:
                yield Matrix(f"attn_{part}.weight", (width, size))
            if size and traits.qkv_bias:
                yield Matrix(f"attn_{part}.bias", (size,))
        yield Matrix("attn_output.weight", (count * v, width))
        if traits.output_bias:
            yield Matrix("attn_output.bias", (width,))
        yield from self._head_norms(k, count, kv)

    def _head_norms(self, length: int, count: int, kv: int) -> Iterator[Matrix]:
        if self._traits.head_norms or self._traits.wide_norms:
            times = (count, kv) if self._traits.wide_norms else (1, 1)
            yield Matrix("attn_q_norm.weight", (length * times[0],))
            yield Matrix("attn_k_norm.weight", (length * times[1],))

    def _kv_heads(self, layer: int) -> int:
        heads = self._keys.by_layer("attention.head_count_kv") or self._heads
        return max(heads) if self._traits.gated_attention else heads[min(layer, len(heads) - 1)]

    def _head_sizes(self, layer: int) -> tuple[int, int]:
        """Return how long a head of K and one of V are; some architectures have others where a window is."""
        slides = layer < len(self._caches) and self._caches[layer].kind == "sliding_window"
        shared = layer < len(self._caches) and self._caches[layer].kind == "stateless"
        if shared and self._keys.flags("attention.sliding_window_pattern"):
            slides = (self._keys.flags("attention.sliding_window_pattern") or ())[layer]
        divided = self._width // self._query_heads(layer)
        sizes = []
        for part in ("key", "value"):
            short = self._count(f"attention.{part}_length_swa") if slides else 0
            sizes.append(short or self._count(f"attention.{part}_length") or divided)
        return sizes[0], sizes[1]

    def _lacks_v(self, layer: int) -> bool:
        """Whether K serves as V, as in the full layers of Gemma 4's large models."""
        return bool(self._count("attention.k_is_v")) and self._caches[layer].kind == "full"

    def _delta_net(self) -> Iterator[Matrix]:
        """Gated delta net: Q, K, V and a gate in, convolution, output."""
        inner, heads = self._count("ssm.inner_size"), self._count("ssm.time_step_rank")
        keys = self._count("ssm.group_count") * self._count("ssm.state_size")
        yield Matrix("attn_qkv.weight", (self._width, 2 * keys + inner))
        yield Matrix("attn_gate.weight", (self._width, inner))
        yield Matrix("ssm_ba.weight", (self._width, 2 * heads))
        yield Matrix("ssm_conv1d.weight", (self._count("ssm.conv_kernel"), 2 * keys + inner))
        yield Matrix("ssm_a.weight", (2 * heads + self._count("ssm.state_size"),))
        yield Matrix("ssm_out.weight", (inner, self._width))

    def _latent(self, heads: int) -> Iterator[Matrix]:
        """MLA: Q by way of a low rank or at once, K and V by way of one."""
        width, low = self._width, self._count("attention.q_lora_rank")
        rank, rotary = self._count("attention.kv_lora_rank"), self._count("rope.dimension_count")
        key, value = self._count("attention.key_length_mla"), self._count("attention.value_length_mla")
        if low:
            yield Matrix("attn_q_a.weight", (width, low))
            yield Matrix("attn_q_a_norm.weight", (low,))
        yield Matrix("attn_q_b.weight" if low else "attn_q.weight", (low or width, heads * key))
        yield Matrix("attn_kv_a_mqa.weight", (width, rank + rotary))
        yield Matrix("attn_kv_a_norm.weight", (rank,))
        yield Matrix("attn_k_b.weight", (key - rotary, rank, heads))
        yield Matrix("attn_v_b.weight", (rank, value, heads))
        yield Matrix("attn_output.weight", (heads * value, width))

    def _feed_forward(self, layer: int) -> Iterator[Matrix]:
        width, experts = self._width, self._count("expert_count")
        lengths = self._keys.by_layer("feed_forward_length") or (0,)
        is_sparse = bool(experts) and self._has_experts(layer)
        if not is_sparse or self._architecture == "gemma4":
            yield from self._dense(lengths[min(layer, len(lengths) - 1)])
        if not is_sparse:
            return
        length = self._count("expert_feed_forward_length")
        yield Matrix("ffn_gate_inp.weight", (width, experts))
        for part in ("gate", "up"):
            yield Matrix(f"ffn_{part}_exps.weight", (width, length, experts))
        yield Matrix("ffn_down_exps.weight", (length, width, experts))
        shared = self._count("expert_shared_feed_forward_length")
        if shared:
            for part in ("gate", "up"):
                yield Matrix(f"ffn_{part}_shexp.weight", (width, shared))
            yield Matrix("ffn_down_shexp.weight", (shared, width))

    def _has_experts(self, layer: int) -> bool:
        step = self._count("interleave_moe_layer_step") or 1
        return layer >= self._count("leading_dense_block_count") and (layer + 1) % step == 0

    def _dense(self, length: int) -> Iterator[Matrix]:
        traits, width = self._traits, self._width
        gate = 0 if traits.fused_gate or not traits.is_gated else length
        up = length * (2 if traits.fused_gate else 1)
        for part, size in (("gate", gate), ("up", up)):
            if size:
                yield Matrix(f"ffn_{part}.weight", (width, size))
            if size and traits.feed_forward_bias:
                yield Matrix(f"ffn_{part}.bias", (size,))
        yield Matrix("ffn_down.weight", (length, width))
        if traits.feed_forward_bias:
            yield Matrix("ffn_down.bias", (width,))
