"""What each layer keeps: K and V per token, within a window or not, or a state of fixed size.

Formulas: llama.cpp, src/llama-kv-cache.cpp (cache), src/llama-hparams.cpp (``n_embd_r``, ``n_embd_s``,
``is_swa``).
"""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.physics import architectures as known
from gpumon.app.physics.architectures import SLIDING, GgufKeys, SlidingRule
from gpumon.app.physics.geometry import LayerKind, NoGeometry

_PATTERN = "attention.sliding_window_pattern"


def sliding_layers(keys: GgufKeys, architecture: str) -> tuple[int | None, ...] | NoGeometry:
    """Return each layer's window in tokens, ``None`` where it attends to everything."""
    rule = SLIDING.get(architecture)
    window = None if rule is None else _window(keys, rule)
    if rule is None or window is None:
        return (None,) * keys.layer_count
    slides = keys.flags(_PATTERN) or _by_period(rule, keys.size(_PATTERN) or rule.period, keys.layer_count)
    if slides is None:
        return NoGeometry(f"the file of this {architecture} model does not say which layers slide")
    return tuple(window if is_sliding else None for is_sliding in slides)


def _window(keys: GgufKeys, rule: SlidingRule) -> int | None:
    """Return the window; a file that names 0 has none, whatever its architecture."""
    if rule.layer_count not in {None, keys.layer_count}:
        return None
    named = keys.count("attention.sliding_window")
    if named is None or (named and rule.is_window_fixed):
        return rule.window_tokens
    return named or None


def _by_period(rule: SlidingRule, period: int | None, layer_count: int) -> tuple[bool, ...] | None:
    if not period:
        return None if period is None else (True,) * layer_count
    full = 0 if rule.full_layer_first else period - 1
    return tuple(layer % period != full for layer in range(layer_count))


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


class LayerCache(NamedTuple):
    """What one layer keeps; see ``Layer``."""

    kind: LayerKind
    k_elements_per_token: int = 0
    v_elements_per_token: int = 0
    kv_head_count: int = 0
    head_dimension: int = 0
    window_tokens: int | None = None
    state_bytes: int = 0


class _Heads(NamedTuple):
    """Numbers kept per head, of K and of V."""

    k: int
    v: int


STATELESS = LayerCache("stateless")


def layer_caches(keys: GgufKeys, architecture: str) -> tuple[LayerCache, ...] | NoGeometry:
    """Return what every layer keeps, or which key is missing; ``architecture`` is the canonical name."""
    if architecture in known.STATELESS or _is_embedding_gemma(keys, architecture):
        return (STATELESS,) * keys.layer_count
    if architecture in known.RECURRENT:
        return _recurrent(keys, architecture)
    attending = _attention(keys, architecture)
    if isinstance(attending, NoGeometry):
        return attending
    return _with_states(attending, keys, architecture)


def _is_embedding_gemma(keys: GgufKeys, architecture: str) -> bool:
    """Return whether this is one of Ollama's early files of EmbeddingGemma, which call themselves gemma3."""
    if architecture != "gemma3":
        return False
    return keys.count("pooling_type") is not None or "embedding" in keys.facts.capabilities


def _recurrent(keys: GgufKeys, architecture: str) -> tuple[LayerCache, ...] | NoGeometry:
    state = state_bytes(keys, architecture)
    if isinstance(state, NoGeometry):
        return state
    return (LayerCache("recurrent", state_bytes=state),) * keys.layer_count


def _attention(keys: GgufKeys, architecture: str) -> tuple[LayerCache, ...] | NoGeometry:
    """Return the layers as if every one attended."""
    query_heads = keys.by_layer("attention.head_count")
    heads = _kv_heads(keys, architecture) or query_heads
    if heads is None:
        return NoGeometry(f"the file of this {architecture} model names no attention heads")
    if _is_latent(keys, architecture):
        return _latent(keys, architecture, heads)
    full = _head_sizes(keys, "", query_heads)
    if full is None:
        return NoGeometry(f"the file of this {architecture} model does not say how long its keys are")
    sliding = sliding_layers(keys, architecture)
    if isinstance(sliding, NoGeometry):
        return sliding
    short = _head_sizes(keys, "_swa", None) or full
    shared = _shared_from(keys, architecture)
    return tuple(
        STATELESS if layer >= shared else _cached(heads[layer], short if window else full, window)
        for layer, window in enumerate(sliding)
    )


def _kv_heads(keys: GgufKeys, architecture: str) -> tuple[int, ...] | None:
    heads = keys.by_layer("attention.head_count_kv")
    if heads and architecture in known.HYBRID_BY_INTERVAL:
        # Some files list 0 for recurrent layers; the runtime takes the largest (ollama: llama/compat).
        return (max(heads),) * len(heads)
    return heads


def _cached(head_count: int, sizes: _Heads, window: int | None) -> LayerCache:
    if head_count == 0:
        return STATELESS
    return LayerCache(
        kind="full" if window is None else "sliding_window",
        k_elements_per_token=head_count * sizes.k,
        v_elements_per_token=head_count * sizes.v,
        kv_head_count=head_count,
        head_dimension=sizes.k,
        window_tokens=window,
    )


def _head_sizes(keys: GgufKeys, suffix: str, query_heads: tuple[int, ...] | None) -> _Heads | None:
    """Return the numbers per head: the file's, else the embedding divided among the query heads."""
    divided = None
    if query_heads and query_heads[0] and keys.facts.embedding_length:
        divided = keys.facts.embedding_length // query_heads[0]
    k = keys.size(f"attention.key_length{suffix}") or divided
    v = keys.size(f"attention.value_length{suffix}") or divided
    return _Heads(k, v) if k and v else None


def _is_latent(keys: GgufKeys, architecture: str) -> bool:
    """Return whether attention is latent (MLA); files of before 2025 lack its keys and keep full heads."""
    has_keys = all(keys.size(f"attention.{part}_length_mla") for part in ("key", "value"))
    return has_keys and architecture in {"deepseek2", "mistral4", "kimi-linear"}


def _latent(keys: GgufKeys, architecture: str, heads: tuple[int, ...]) -> tuple[LayerCache, ...] | NoGeometry:
    """Return one compressed K per token and layer, which holds V too: latent rank and rotary part."""
    rank, rotary = keys.size("attention.kv_lora_rank"), keys.size("rope.dimension_count")
    width = keys.size("attention.key_length")
    if rank and rotary and (width or 0) <= rank:
        # Ollama's early files name the length and the number of heads that are spelled out
        width, heads = rank + rotary, tuple(min(count, 1) for count in heads)
    if width is None:
        return NoGeometry(f"the file of this {architecture} model does not say how long its keys are")
    return tuple(
        LayerCache("mla", k_elements_per_token=count * width, kv_head_count=count, head_dimension=width)
        if count
        else STATELESS
        for count in heads
    )


def _shared_from(keys: GgufKeys, architecture: str) -> int:
    """Return the first layer that reads the cache of an earlier one."""
    first = known.SHARED_CACHE_FROM_LAYER.get(architecture, keys.layer_count)
    return max(0, min(first, keys.layer_count - (keys.count("attention.shared_kv_layers") or 0)))


def _with_states(
    layers: tuple[LayerCache, ...], keys: GgufKeys, architecture: str
) -> tuple[LayerCache, ...] | NoGeometry:
    """Return the layers of a hybrid with their states, others unchanged."""
    recurrent = _recurrent_layers(keys, architecture)
    if not any(recurrent):
        return layers
    state = state_bytes(keys, architecture)
    if isinstance(state, NoGeometry):
        return state
    if architecture in known.HYBRID_BOTH:
        return tuple(layer._replace(state_bytes=state) for layer in layers)
    empty = LayerCache("recurrent", state_bytes=state)
    return tuple(empty if is_state else layer for layer, is_state in zip(layers, recurrent, strict=True))


def _recurrent_layers(keys: GgufKeys, architecture: str) -> tuple[bool, ...]:
    """Return which layers of a hybrid keep a state."""
    count = keys.layer_count
    if architecture in known.HYBRID_BOTH:
        return (True,) * count
    if architecture in known.HYBRID_BY_INTERVAL:
        interval = keys.size("full_attention_interval") or known.DEFAULT_FULL_ATTENTION_INTERVAL
        listed = keys.flags("attention.recurrent_layers")
        return listed or tuple((layer + 1) % interval != 0 for layer in range(count))
    if architecture not in known.HYBRID_BY_HEADS:
        return (False,) * count
    heads = keys.by_layer("attention.head_count_kv") or (1,) * count
    feed_forward = keys.by_layer("feed_forward_length") or (0,) * count
    only_feeds = architecture.startswith("nemotron_h")
    return tuple(
        not head and not (only_feeds and width) for head, width in zip(heads, feed_forward, strict=True)
    )
