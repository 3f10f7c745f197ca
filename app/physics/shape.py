"""A model's geometry from the facts of its file, or why it cannot be known."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.physics.architectures import (
    DIFFUSION,
    STATELESS,
    UNPREDICTABLE,
    GgufKeys,
    canonical,
    is_known,
)
from gpumon.app.physics.caches import LayerCache, layer_caches
from gpumon.app.physics.geometry import Geometry, Layer, NoGeometry
from gpumon.collectors.samples import ModelFacts, ModelWeights

MAX_LAYERS = 2048
MAX_HEADS, MAX_HEAD_LENGTH = 4096, 65_536
"""No published model comes near; beyond them a file is broken, and so would be all that is said of it."""
USUAL_EXPERTS_SHARE, MOST_EXPERTS_SHARE = 0.92, 0.98
"""Of the weights of a model with experts (gpt-oss: 0.955, Qwen3-30B: 0.94, Gemma 4 26B: 0.86)."""


class _Weights(NamedTuple):
    """Bytes by place, as ``Geometry`` has them."""

    layers: tuple[int, ...]
    experts: tuple[int, ...]
    token_embedding: int
    output: int | None
    other: int = 0
    projector: int = 0
    host: int = 0
    draft: int = 0
    bits: float | None = None
    is_measured: bool = True


def geometry_of(facts: ModelFacts, file_bytes: int | None = None) -> Geometry | NoGeometry:
    """Return what each layer weighs and keeps, or why that is not known.

    ``facts`` are those of ``/api/show`` or of a file. Where they hold no tensors, ``file_bytes`` are spread
    evenly over the layers; where they do, what ``file_bytes`` hold besides is a projector's, if there is one.
    """
    architecture = facts.architecture and canonical(facts.architecture)
    problem = _problem(facts, architecture)
    if architecture is None or problem is not None:
        return NoGeometry(problem or "the server does not say which architecture this model has")
    keys = GgufKeys(facts, _layer_count(facts))
    caches = layer_caches(keys, architecture)
    if isinstance(caches, NoGeometry):
        return caches
    weights = _weights(facts, keys.layer_count, file_bytes)
    if isinstance(weights, NoGeometry):
        return weights
    return _geometry(keys, architecture, caches, _with_projector_file(weights, facts, file_bytes))


def _problem(facts: ModelFacts, architecture: str | None) -> str | None:
    """Return why nothing can be computed, in one line."""
    if not architecture:
        return "the server does not say which architecture this model has"
    if architecture in UNPREDICTABLE:
        return f"{architecture} keeps {UNPREDICTABLE[architecture]} beside its cache, of unknown size"
    if not is_known(architecture):
        return f"architecture {architecture} is not known to gpumon"
    if not 0 < (facts.layer_count or 0) <= MAX_LAYERS:
        return "the file does not say how many layers it has"
    return _absurd(facts)


def _absurd(facts: ModelFacts) -> str | None:
    """Return which number of the file no model has."""
    keys = GgufKeys(facts, facts.layer_count or 0)
    for key, limit in (
        ("attention.head_count", MAX_HEADS),
        ("attention.head_count_kv", MAX_HEADS),
        ("attention.key_length", MAX_HEAD_LENGTH),
        ("attention.value_length", MAX_HEAD_LENGTH),
    ):
        found = max(keys.by_layer(key) or (0,))
        if found > limit:
            return f"the file names {found} as {key}, which no model has"
    return None


def _layer_count(facts: ModelFacts) -> int:
    """Return the blocks that compute every token; those for multi-token prediction come last."""
    whole = facts.layer_count or 0
    drafting = GgufKeys(facts, whole).count("nextn_predict_layers") or 0
    return whole - drafting if drafting < whole else whole


def _weights(facts: ModelFacts, layer_count: int, file_bytes: int | None) -> _Weights | NoGeometry:
    if facts.weights is not None:
        return _measured(facts.weights, layer_count)
    if not file_bytes or file_bytes < 0:
        return NoGeometry("neither its tensors nor the size of its file are known")
    return _spread(facts, layer_count, file_bytes)


def _measured(weights: ModelWeights, layer_count: int) -> _Weights | NoGeometry:
    if len(weights.layer_bytes) < layer_count:
        return NoGeometry(f"the file holds {len(weights.layer_bytes)} of {layer_count} layers")
    if not any(weights.layer_bytes[:layer_count]):
        return NoGeometry("the file holds no tensors of its layers: an index or a vocabulary alone")
    whole = sum(weights.layer_bytes) + weights.token_embedding_bytes + (weights.output_bytes or 0)
    whole += weights.other_bytes + weights.projector_bytes + weights.host_bytes + weights.draft_bytes
    return _Weights(
        layers=weights.layer_bytes[:layer_count],
        experts=weights.expert_bytes[:layer_count],
        token_embedding=weights.token_embedding_bytes,
        output=weights.output_bytes,
        other=weights.other_bytes,
        projector=weights.projector_bytes,
        host=weights.host_bytes,
        draft=weights.draft_bytes + sum(weights.layer_bytes[layer_count:]),
        bits=8 * whole / weights.element_count if weights.element_count > 0 else None,
    )


def _with_projector_file(weights: _Weights, facts: ModelFacts, file_bytes: int | None) -> _Weights:
    """Add a projector in a file of its own: what ``file_bytes``, all files of the model, hold besides."""
    if len(facts.blobs) < 2 or not weights.is_measured or weights.projector or not file_bytes:
        return weights
    described = sum(weights.layers) + weights.token_embedding + (weights.output or 0)
    described += weights.other + weights.host + weights.draft
    return weights._replace(projector=max(0, file_bytes - described))


def _spread(facts: ModelFacts, layer_count: int, file_bytes: int) -> _Weights:
    """Return the file's bytes in equal layers: the embedding cannot be told from them."""
    share, rest = divmod(file_bytes, layer_count)
    expert_bytes = round(share * _experts_share(facts, layer_count))
    return _Weights(
        layers=(share + rest,) + (share,) * (layer_count - 1),
        experts=(expert_bytes,) * layer_count,
        token_embedding=0,
        output=0,
        bits=8 * file_bytes / facts.parameter_count if facts.parameter_count else None,
        is_measured=False,
    )


def _experts_share(facts: ModelFacts, layer_count: int) -> float:
    """Return which share of a file's weights belongs to routed experts, as its keys let it be told."""
    keys = GgufKeys(facts, layer_count)
    count, used = keys.count("expert_count") or 0, keys.count("expert_used_count") or 0
    if not 0 < used < count:
        return 0.0
    width = keys.count("expert_feed_forward_length") or keys.count("feed_forward_length")
    if not width or not facts.parameter_count or not facts.embedding_length:
        return USUAL_EXPERTS_SHARE
    blocks = layer_count - (keys.count("leading_dense_block_count") or 0)
    routed = 3 * facts.embedding_length * width * count * max(0, blocks)
    return min(MOST_EXPERTS_SHARE, routed / facts.parameter_count)


def _geometry(
    keys: GgufKeys, architecture: str, caches: tuple[LayerCache, ...], weights: _Weights
) -> Geometry:
    facts = keys.facts
    heads = keys.by_layer("attention.head_count") or (0,)
    return Geometry(
        architecture=architecture,
        layers=tuple(map(_layer, caches, weights.layers, weights.experts)),
        token_embedding_bytes=weights.token_embedding,
        output_bytes=0 if weights.output is None and architecture in STATELESS else weights.output,
        other_bytes=weights.other,
        embedding_length=facts.embedding_length or 0,
        vocabulary_size=(facts.weights and facts.weights.vocabulary_size) or keys.size("vocab_size"),
        head_count=max(heads),
        trained_context_length=facts.trained_context_length,
        expert_count=keys.count("expert_count") or 0,
        expert_used_count=keys.count("expert_used_count") or 0,
        projector_bytes=weights.projector,
        weight_bits=weights.bits,
        weights_measured=weights.is_measured,
        host_bytes=weights.host,
        draft_bytes=weights.draft,
        writes=not _is_embedding(keys, architecture),
        graph_columns=_graph_columns(keys, caches),
    )


def _is_embedding(keys: GgufKeys, architecture: str) -> bool:
    """Return whether a model turns texts into vectors, also where its blocks are those of a decoder."""
    is_embedder = architecture in STATELESS and architecture not in DIFFUSION
    return is_embedder or keys.count("pooling_type") is not None or "embedding" in keys.facts.capabilities


def _graph_columns(keys: GgufKeys, caches: tuple[LayerCache, ...]) -> int | None:
    """Return how many numbers a token needs in the widest moment of a layer.

    Of a feed-forward these are gate, up and their product beside five rows as wide as the model; of experts,
    what each of them returns and its weighted copy; of latent attention, queries and results in the
    compressed space. Measured: llama.cpp b11549, 22 models (docs/memory.md).
    """
    width, used = keys.facts.embedding_length or 0, keys.count("expert_used_count") or 0
    dense = max(keys.by_layer("feed_forward_length") or (0,))
    expert = keys.count("expert_feed_forward_length") or (dense if used else 0)
    columns = [3 * dense if not used or expert != dense else 0, 3 * used * expert]
    columns = [one + 5 * width for one in columns if one]
    if not columns:
        return None
    heads = max(keys.by_layer("attention.head_count") or (0,))
    rank = keys.count("attention.kv_lora_rank") or 0
    latent = [heads * (cache.head_dimension + 2 * rank) for cache in caches if cache.kind == "mla"]
    return max(*columns, (2 * used + 6) * width if used else 0, *latent, 0)


def _layer(cache: LayerCache, weights_bytes: int, expert_bytes: int) -> Layer:
    return Layer(
        kind=cache.kind,
        weights_bytes=weights_bytes,
        expert_bytes=expert_bytes,
        k_elements_per_token=cache.k_elements_per_token,
        v_elements_per_token=cache.v_elements_per_token,
        kv_head_count=cache.kv_head_count,
        head_dimension=cache.head_dimension,
        window_tokens=cache.window_tokens,
        state_bytes=cache.state_bytes,
    )
