"""The shape of a model (what each layer weighs and keeps per token of context) and how it is loaded."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

LayerKind = Literal[
    "full",  # attends to every token of the context
    "sliding_window",  # attends to the last ``window_tokens``
    "mla",  # multi-head latent attention: one compressed K per token, no V
    "recurrent",  # a state of fixed size per sequence (Mamba, gated delta net, short convolution)
    "stateless",  # keeps nothing: embedding models, layers that share the cache of an earlier one
]


class NoGeometry(NamedTuple):
    """Why nothing can be computed of a model, one line: "architecture rwkv9 is not known to gpumon"."""

    reason: str


class Layer(Struct, frozen=True):
    """One block. Bytes of weights; elements are numbers kept in the cache, of whatever type it has."""

    kind: LayerKind
    weights_bytes: int
    expert_bytes: int = 0
    """Part of ``weights_bytes`` that belongs to routed experts."""
    k_elements_per_token: int = 0
    v_elements_per_token: int = 0
    kv_head_count: int = 0
    head_dimension: int = 0
    window_tokens: int | None = None
    state_bytes: int = 0
    """Of a recurrent layer, per sequence (f32); a layer can keep one beside its cache (Falcon-H1)."""
    kept_bytes: int = 0
    """Part of ``weights_bytes`` that stays in RAM wherever the layer is: its user has asked for it."""
    kept_expert_bytes: int = 0
    """Part of ``kept_bytes`` that belongs to routed experts."""
    pinned_bytes: int = 0
    """Part of ``weights_bytes`` that is on a GPU of its own, wherever the layer is, by its user's wish."""
    pinned_expert_bytes: int = 0

    @property
    def movable_bytes(self) -> int:
        """The weights that go where the layer goes."""
        return self.weights_bytes - self.kept_bytes - self.pinned_bytes

    @property
    def movable_expert_bytes(self) -> int:
        """Those of them that belong to routed experts."""
        return self.expert_bytes - self.kept_expert_bytes - self.pinned_expert_bytes


class Pinned(NamedTuple):
    """Weights that are on one GPU wherever their layers are (``--override-tensor REGEX=CUDA1``)."""

    device: str
    bytes: int
    expert_bytes: int = 0
    output_bytes: int = 0
    """Parts of ``bytes``: of routed experts, and of the output matrix."""


class Geometry(Struct, frozen=True):
    """A model as its file describes it."""

    architecture: str
    layers: tuple[Layer, ...]
    token_embedding_bytes: int
    output_bytes: int | None
    """The output matrix; ``None`` where it is tied: the embedding serves as both."""
    other_bytes: int
    """Weights outside the blocks, embedding and output: norms, rope tables."""
    embedding_length: int
    vocabulary_size: int | None
    head_count: int
    trained_context_length: int | None
    expert_count: int = 0
    expert_used_count: int = 0
    projector_bytes: int = 0
    """A vision or audio projector, a file of its own or tensors ``v.*``, ``mm.*``, ``a.*``."""
    weight_bits: float | None = None
    """Mean bits per weight of the file."""
    weights_measured: bool = True
    """Whether the bytes come from the tensors; else they are the file's, spread evenly: an estimate."""
    host_bytes: int = 0
    """Tables that are looked up in RAM wherever the layers are: per-layer embeddings, positions."""
    draft_bytes: int = 0
    """Blocks for multi-token prediction, which are left on disk while nothing drafts with them."""
    kept_output_bytes: int = 0
    """Part of the output matrix that the user has asked to stay in RAM."""
    pinned: tuple[Pinned, ...] = ()
    """Weights that have a GPU of their own, those of each GPU together."""
    writes: bool = True
    """Whether it generates tokens: an embedding model does not."""
    graph_columns: int | None = None
    """Numbers that exist at the same time for each token of a micro-batch; ``None`` where the file does not
    say how wide its layers are."""

    @property
    def pinned_bytes(self) -> int:
        """Weights that are on a GPU wherever their layers are."""
        return sum(one.bytes for one in self.pinned)

    @property
    def kept_bytes(self) -> int:
        """Weights that stay in RAM because the user has asked for it."""
        return self.kept_output_bytes + sum(layer.kept_bytes for layer in self.layers)

    @property
    def is_tied(self) -> bool:
        """Whether the embedding serves as output matrix too."""
        return self.output_bytes is None

    @property
    def is_moe(self) -> bool:
        """Whether a token is computed by a part of the experts only."""
        return 0 < self.expert_used_count < self.expert_count

    @property
    def is_hybrid(self) -> bool:
        """Whether some layers keep a state of fixed size."""
        return any(layer.state_bytes > 0 for layer in self.layers)

    @property
    def file_bytes(self) -> int:
        """All weights, without a separate projector."""
        blocks = sum(layer.weights_bytes for layer in self.layers)
        tables = self.token_embedding_bytes + (self.output_bytes or 0) + self.host_bytes
        return blocks + tables + self.other_bytes + self.draft_bytes


CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]

BYTES_PER_ELEMENT: dict[CacheType, float] = {
    "f32": 4,
    "f16": 2,
    "bf16": 2,
    "q8_0": 34 / 32,
    "q5_1": 24 / 32,
    "q5_0": 22 / 32,
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
    "iq4_nl": 18 / 32,
}
"""Block size over elements in a block (ggml-common.h)."""


class LoadOptions(Struct, frozen=True):
    """What the runtime is asked for. The defaults are those of Ollama 0.30 and later."""

    context_length: int
    """Tokens per slot (``num_ctx``)."""
    parallel: int = 1
    """Slots (``OLLAMA_NUM_PARALLEL``)."""
    cache_type_k: CacheType = "f16"
    cache_type_v: CacheType = "f16"
    micro_batch_size: int = 512
    flash_attention: bool = True
    gpu_layers: int | None = None
    """Blocks asked to be on the GPU, the output counting as one more; ``None`` lets the runtime fit them."""
    unified_cache: bool = False
    """One pool of cells for all slots, as llama-server has unless told otherwise: ``context_length`` is its
    size."""
    cache_on_gpu: bool = True
    """Whether the cache of a layer lies where the layer does; else in RAM (``--no-kv-offload``)."""
    gpu_shares: tuple[float, ...] = ()
    """How layers are shared out among the GPUs (``--tensor-split``); empty lets memory decide."""
    spread: bool = False
    """Whether layers go to all GPUs though one would hold them (``OLLAMA_SCHED_SPREAD``)."""
