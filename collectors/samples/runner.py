"""What the processes say: servers, the runners that hold a model each, and others that hold VRAM."""

from __future__ import annotations

from typing import Literal

import msgspec

from gpumon.collectors.samples.base import Fact, Sample, SourceHealth

RunnerKind = Literal[
    "llama_server",  # llama.cpp's llama-server: Ollama 0.30 and later, or on its own
    "ollama_runner",  # ollama runner [--ollama-engine] --model BLOB: 0.5 to 0.24
    "legacy_runner",  # ollama_llama_server: up to 0.4
    "mlx_runner",  # ollama runner --mlx-engine --model NAME
    "imagegen_runner",  # ollama runner --imagegen-engine --model NAME
]

ServerKind = Literal["ollama", "llama_server", "llama_swap", "lemonade"]
"""What starts runners: ``ollama serve``, a llama-server in router mode, or a program that starts those."""

HolderGroup = Literal["desktop", "browser", "runtime", "container", "other"]


class RunnerSettings(Fact, frozen=True, kw_only=True):
    """What the command line of a runner says; ``None`` where it does not."""

    model_path: str | None = None
    blob: str | None = None
    """``sha256-<hex>`` where the model is one of Ollama's blobs."""
    model_name: str | None = None
    """Where the command line names a model instead of a file (MLX, imagegen)."""
    port: int | None = None
    host: str | None = None
    context_length: int | None = None
    """Tokens per slot."""
    parallel: int | None = None
    gpu_layers: int | None = None
    """``-ngl``: only set where the user set ``num_gpu``; 0 is CPU by choice."""
    batch_size: int | None = None
    micro_batch_size: int | None = None
    cache_type_k: str | None = None
    cache_type_v: str | None = None
    flash_attention: str | None = None
    projector_path: str | None = None
    draft_path: str | None = None
    embedding: bool | None = None
    threads: int | None = None
    metrics: bool | None = None
    sleep_idle_seconds: float | None = None


class RunnerProcess(Fact, frozen=True, kw_only=True):
    """The process that holds one loaded model. (``pid``, ``started``) is its identity."""

    pid: int
    started: float
    kind: RunnerKind
    settings: RunnerSettings
    parent_pid: int | None = None
    server_pid: int | None = None
    """The server that started it; ``None`` for a llama-server on its own."""
    user: str | None = None
    rss_bytes: int | None = None
    pss_bytes: int | None = None
    file_bytes: int | None = None
    """Part of ``rss_bytes`` that is mapped from files: weights that the kernel may drop."""
    cpu_percent: float | None = None
    """100 is one core; ``None`` in the first sample of a process."""
    thread_count: int | None = None
    read_bytes: int | None = None
    """Read from storage since its start (/proc/PID/io)."""
    model_file_bytes: int | None = None
    """Size of the one file that it loads; ``None`` where it is not visible from here."""
    other_namespace: bool = False
    """In a container: its loopback port cannot be reached from here."""
    unreadable: tuple[str, ...] = ()
    """What could not be read, and why: ``io: permission denied``."""


class ServerProcess(Fact, frozen=True, kw_only=True):
    """An ``ollama serve``, a llama-server in router mode, or another server that starts llama-servers."""

    pid: int
    started: float
    kind: ServerKind = "ollama"
    user: str | None = None
    urls: tuple[str, ...] = ()
    """Where it listens, as far as it can be told: ``http://127.0.0.1:11434``."""
    models_path: str | None = None
    """``OLLAMA_MODELS`` or the owner's default, where it can be told."""
    other_namespace: bool = False


class HolderProcess(Fact, frozen=True, kw_only=True):
    """A process on a GPU that is no runner."""

    pid: int
    started: float | None = None
    name: str | None = None
    group: HolderGroup = "other"


class ProcessSample(Sample, frozen=True, kw_only=True, tag="processes"):
    """One look at the processes that matter; source ``processes``."""

    health: SourceHealth = SourceHealth(state="serving")
    servers: tuple[ServerProcess, ...] | None = ()
    """``None``, here and below, where the look failed: what there was may well be there still."""
    runners: tuple[RunnerProcess, ...] | None = ()
    holders: tuple[HolderProcess, ...] | None = ()


class BlobNames(Sample, frozen=True, kw_only=True, tag="blob_names"):
    """Names from the manifests on disk, the second way from blob to model; source: the models directory."""

    health: SourceHealth = SourceHealth(state="serving")
    names: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """``sha256-<hex>`` of the weights to the names that have it."""
    digests: dict[str, str] = msgspec.field(default_factory=dict)
    """Name to the digest of its manifest (hex)."""


RunnerState = Literal[
    "starting",  # the port refuses: the first moment of a start
    "loading",  # 503, or a status that says so
    "ready",
    "asleep",  # llama-server --sleep-idle-seconds: must not be woken
    "busy",  # healthy, but statistics wait behind a batch
    "foreign",  # another program owns the port now
    "unreachable",  # in another network namespace
    "failing",
]


class Slot(Fact, frozen=True, kw_only=True):
    """One slot of llama-server (``GET /slots``); no text of prompts or answers."""

    slot_id: int
    context_length: int | None = None
    processing: bool = False
    task_id: int | None = None
    """Changes with each request; ``None`` for a slot never used."""
    prompt_tokens: int | None = None
    """Tokens in the slot now: prompt so far and generated."""
    prompt_tokens_processed: int | None = None
    prompt_tokens_cached: int | None = None
    decoded_tokens: int | None = None
    """Generated so far in ``task_id``; falls to 0 when the request ends."""
    remaining_tokens: int | None = None


class RunnerCounters(Fact, frozen=True, kw_only=True):
    """Counters of ``GET /metrics``, where the user has enabled it; they grow when a request ends."""

    prompt_tokens_total: float | None = None
    prompt_seconds_total: float | None = None
    prompt_tokens_cached_total: float | None = None
    decoded_tokens_total: float | None = None
    decoded_seconds_total: float | None = None
    requests_processing: int | None = None
    requests_deferred: int | None = None
    draft_tokens_total: float | None = None
    draft_accepted_total: float | None = None


class RunnerFacts(Fact, frozen=True, kw_only=True):
    """``GET /props`` and ``/v1/models``, asked once per load."""

    model_path: str | None = None
    build: str | None = None
    slot_count: int | None = None
    context_length: int | None = None
    parameter_count: int | None = None
    weights_bytes: int | None = None
    trained_context_length: int | None = None
    quantization: str | None = None
    """As llama.cpp calls the file's type: ``Q4_K - Medium``."""
    slots_enabled: bool | None = None
    metrics_enabled: bool | None = None


class RunnerSample(Sample, frozen=True, kw_only=True, tag="runner"):
    """One poll of a runner's own loopback port; source ``runner PID``."""

    pid: int
    started: float
    port: int | None = None
    state: RunnerState
    detail: str | None = None
    progress: float | None = None
    """0 to 1, where the runner's era tells (``ollama runner``: /health)."""
    facts: RunnerFacts | None = None
    """Set in the first sample after each load."""
    slots: tuple[Slot, ...] | None = None
    """``None`` when not asked or not to be had."""
    counters: RunnerCounters | None = None
