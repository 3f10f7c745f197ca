"""What a server says of its models: those that are loaded, what their files hold, what is installed."""

from __future__ import annotations

from typing import Literal

import msgspec

from gpumon.collectors.samples.base import Fact, Sample, SourceHealth
from gpumon.collectors.samples.process import RunnerSettings
from gpumon.collectors.samples.work import ModelState

KnownBy = Literal[
    "url",  # the user names it
    "default",  # nobody names a server: the one that most people have
    "process",  # it was found among the processes
]
"""How gpumon came to ask a server."""


class ModelClaim(Fact, frozen=True, kw_only=True):
    """What a server says of one model that it has loaded, is loading or has put to sleep."""

    name: str
    digest: str | None = None
    """sha256 (hex) of the manifest, the model's identity on that server; by its name where there is none."""
    state: ModelState | None = None
    """``None`` where the list of models does not tell (Ollama)."""
    size_bytes: int | None = None
    """What the server claims that the model takes, VRAM and RAM; ``None``: it claims nothing."""
    size_vram_bytes: int | None = None
    """The part of it in VRAM."""
    context_length: int | None = None
    """Tokens per slot."""
    expires_at: float | None = None
    """Unix time; past while a long request runs, about 292 years ahead for "never"."""
    format: str | None = None
    family: str | None = None
    parameter_size: str | None = None
    quantization: str | None = None
    settings: RunnerSettings | None = None
    """What a router has told the process that holds the model; ``None`` where it does not say."""
    on_npu: bool = False
    """Whether its server says that an NPU has it, which no GPU driver sees."""


class ServerSample(Sample, frozen=True, kw_only=True, tag="server"):
    """One look at a server by its URL: how it is, and which models it has loaded."""

    kind: str | None = None
    """Name of a ``ServerKind``; ``None`` until its answers have shown what it is."""
    health: SourceHealth
    version: str | None = None
    models: tuple[ModelClaim, ...] | None = None
    """``None`` when the list could not be had; empty when no model is loaded."""
    rejected_rows: int = 0
    """Rows left out because they could not be understood."""
    clock_offset_seconds: float | None = None
    """Server's clock minus ours, from the HTTP ``Date`` header (one-second resolution)."""
    metered: bool = False
    """The answer came through a pass-through meter of gpumon (HTTP ``Via`` header)."""
    known_by: KnownBy = "url"
    """One that was found among the processes and is ``absent`` is not asked any more."""


class TensorBytes(Fact, frozen=True, kw_only=True):
    """Tensors of one name: ``blk.3.attn_q.weight`` is the fourth of ``attn_q.weight``."""

    name: str
    block_bytes: tuple[int, ...] = ()
    """Of each block, 0 where a block has none; empty for a tensor outside the blocks."""
    bytes: int = 0
    """Of a tensor outside the blocks."""


class ModelWeights(Fact, frozen=True, kw_only=True):
    """Bytes of a model's weights by where they belong, from its tensors."""

    layer_bytes: tuple[int, ...] = ()
    """Of each block, experts included."""
    expert_bytes: tuple[int, ...] = ()
    """Of the routed experts in each block (``ffn_*_exps``)."""
    token_embedding_bytes: int = 0
    output_bytes: int | None = None
    """``None`` where there is no output matrix: the embedding serves as both."""
    other_bytes: int = 0
    projector_bytes: int = 0
    element_count: int = 0
    host_bytes: int = 0
    """Tables that are looked up in RAM wherever the layers are: ``per_layer_token_embd``, positions."""
    draft_bytes: int = 0
    """Heads for multi-token prediction that stand beside the blocks (``mtp.*``)."""
    vocabulary_size: int | None = None
    """Rows of the embedding."""
    tensors: tuple[TensorBytes, ...] = ()
    """All of them by name, where they are told: settings may place each by its name."""


class ModelFacts(Sample, frozen=True, kw_only=True, tag="model_facts"):
    """What the file of one model holds, asked once per digest."""

    name: str
    digest: str
    architecture: str | None = None
    blobs: tuple[str, ...] = ()
    """``sha256-<hex>`` of the weights (first) and projectors, from the ``FROM`` lines."""
    capabilities: tuple[str, ...] = ()
    trained_context_length: int | None = None
    layer_count: int | None = None
    embedding_length: int | None = None
    parameter_count: int | None = None
    geometry: dict[str, int | float | str | bool | tuple[int | bool, ...]] = msgspec.field(
        default_factory=dict
    )
    """Other scalar and short list values of ``model_info``, keys as GGUF spells them."""
    weights: ModelWeights | None = None
    """From the list of tensors, where the server gives one."""
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    """``PARAMETER`` lines of the Modelfile that bear on memory: ``num_ctx``, ``num_gpu``, ``num_batch``,
    ``num_predict``."""


class FileFacts(Sample, frozen=True, kw_only=True, tag="file_facts"):
    """What the files of a process hold, read from this machine's disk once for each process."""

    pid: int
    started: float
    facts: ModelFacts | None = None
    """Of the weights; ``None`` where the file cannot be read."""
    problem: str | None = None
    """Why not, one line."""
    file_bytes: int | None = None
    """Of all parts of the weights."""
    projector_bytes: int | None = None
    """Of a projector in a file of its own."""
    draft: ModelFacts | None = None
    """Of a draft model in a file of its own."""


class InstalledModel(Fact, frozen=True, kw_only=True):
    """A model that a server could load."""

    name: str
    digest: str | None = None
    size_bytes: int | None = None
    remote: bool = False
    """Served by a cloud host, never loaded here."""


class InstalledModels(Sample, frozen=True, kw_only=True, tag="installed"):
    """What a server has installed."""

    models: tuple[InstalledModel, ...] = ()
