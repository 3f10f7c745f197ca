"""What the processes say: servers, the runners that hold a model each, and others that hold VRAM.

Which kinds of servers and runners there are is up to ``gpumon.collectors.servers``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gpumon.collectors.samples.base import Fact, Sample, SourceHealth

HolderGroup = Literal["desktop", "browser", "runtime", "container", "other"]


class Override(Fact, frozen=True, kw_only=True):
    """Tensors that are put on a device by name (llama.cpp: ``--override-tensor PATTERN=DEVICE``)."""

    pattern: str
    """A regular expression that is searched for in the names of tensors; the first that is found counts."""
    device: str
    """``CPU``, ``CUDA0``; ``RPC`` for any on another host."""


class Orders(Fact, frozen=True, kw_only=True):
    """Where the user has asked for a model to be, beside ``-ngl``; ``None`` and empty where nobody asked."""

    expert_layers: int | None = None
    """The routed experts of so many of the first layers stay in RAM (``--n-cpu-moe``)."""
    all_experts: bool = False
    """Those of all layers do (``--cpu-moe``)."""
    ffn_layers: int | None = None
    """The dense feed-forward weights of so many of the first layers stay in RAM (``--n-cpu-ffn``)."""
    overrides: tuple[Override, ...] = ()
    devices: tuple[str, ...] = ()
    """Those to use (``--device``): ``CUDA1``, ``Vulkan0``; ``none``; ``RPC`` for any on another host."""
    visible_devices: tuple[str, ...] | None = None
    """``CUDA_VISIBLE_DEVICES``; empty where it hides all of them."""
    tensor_split: tuple[float, ...] = ()
    split_mode: str | None = None
    main_gpu: int | None = None
    other_hosts: bool = False
    """Whether a part may be on other machines (``--rpc``)."""
    fit: bool | None = None
    """Whether the runtime chooses what nobody has asked for, so that it fits."""
    fit_target_bytes: tuple[int, ...] = ()
    """What it then leaves free of each GPU; one figure is for all."""
    fit_context: int | None = None
    """The least context that it may choose."""
    cache_on_gpu: bool | None = None
    projector_on_gpu: bool | None = None
    load_mode: str | None = None
    """How the file is read: ``none`` (no map of it), ``mmap``, ``mlock``, ``mmap+mlock``, ``dio``."""
    draft_gpu_layers: int | None = None
    draft_devices: tuple[str, ...] = ()
    by_environment: tuple[str, ...] = ()
    """Names of those of these fields, and of ``gpu_layers``, that variables say and no flag."""


NO_ORDERS = Orders()


class Reserve(Fact, frozen=True, kw_only=True):
    """What a server was told of the memory that it takes when it starts, for all contexts together."""

    gpu_share: float | None = None
    """The part of each GPU that it takes, weights and all, 0 to 1 (vLLM: ``--gpu-memory-utilization``)."""
    cache_bytes: int | None = None
    """For the contexts alone, on each GPU (vLLM: ``--kv-cache-memory-bytes``)."""
    gpu_count: int = 1
    """Among which one model is split, or copied."""
    weights_in_ram_bytes: int | None = None
    """Of the weights of each GPU, kept in RAM by choice (vLLM: ``--cpu-offload-gb``)."""
    cache_in_ram_bytes: int | None = None
    """RAM for contexts that find no place on a GPU (vLLM: ``--kv-offloading-size``, ``--swap-space``)."""
    graphs: bool | None = None
    """Whether work on the GPU is recorded and played again; ``False`` saves memory and is slower."""
    may_sleep: bool = False
    """Whether it may be told to give its memory back for a while."""


NO_RESERVE = Reserve()


class RunnerSettings(Fact, frozen=True, kw_only=True):
    """What the command line of a runner says, and its environment; ``None`` where neither does."""

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
    child_of: str | None = None
    """Name of the ``ServerKind`` that starts processes with just these flags, where one is known."""
    sleep_idle_seconds: float | None = None
    unified_cache: bool | None = None
    """Whether all slots share one cache of ``context_length``."""
    orders: Orders = NO_ORDERS
    reserve: Reserve = NO_RESERVE
    quantization: str | None = None
    """How the weights are stored, where the command line says so: ``awq_marlin``."""
    offload: str | None = None
    """The flag by which an image generator was told to keep weights in RAM: ``--lowvram``, ``--cpu``."""


class RunnerProcess(Fact, frozen=True, kw_only=True):
    """The process that holds one loaded model. (``pid``, ``started``) is its identity."""

    pid: int
    started: float
    kind: str
    """Name of a ``RunnerKind``: ``llama_server``, ``ollama_runner``, …"""
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
    major_faults: int | None = None
    """Pages waited for on storage since its start (/proc/PID/stat): few where the kernel reads ahead."""
    model_file_bytes: int | None = None
    """Size of the one file that it loads; ``None`` where it is not visible from here."""
    ram_limit_bytes: int | None = None
    """What it may take of the RAM by its control groups, pages of files included; ``None`` without limit."""
    ram_limit_group: str | None = None
    """The control group that has this limit: ``/system.slice/ollama.service``."""
    other_namespace: bool = False
    """In a container: its loopback port cannot be reached from here."""
    published: tuple[str, ...] = ()
    """URLs at which one in a container is reached from here."""
    at_own_address: bool = False
    """Whether these are the container's own address, and no port of this machine that is published."""
    is_read: bool = False
    """Whether its files are read here (``FileFacts``): no server that describes its model has started it."""
    unreadable: tuple[str, ...] = ()
    """What could not be read, and why: ``io: permission denied``."""
    workers: tuple[tuple[int, float], ...] = ()
    """PID and start of each process below it that is on a GPU for it, where its kind has such."""


class ServerProcess(Fact, frozen=True, kw_only=True):
    """A process that starts runners: it serves models, or is a router before those that do."""

    pid: int
    started: float
    kind: str
    """Name of a ``ServerKind``: ``ollama``, ``llama_swap``, …"""
    user: str | None = None
    urls: tuple[str, ...] = ()
    """Where it listens, as far as it can be told: ``http://127.0.0.1:11434``."""
    models_path: str | None = None
    """``OLLAMA_MODELS`` or the owner's default, where it can be told."""
    other_namespace: bool = False
    """In a container: ``urls`` lead nowhere from here."""
    published: tuple[str, ...] = ()
    """As those of a ``RunnerProcess``."""
    at_own_address: bool = False
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    """Variables of its environment that bear on its models, by name: only those that its kind lists."""
    holds_model: bool = False
    """Whether it stands for a process that holds one model itself, of which the log is wanted."""

    @property
    def reached(self) -> tuple[str, ...]:
        """Where it is asked from here; nothing where that is not known."""
        return self.published if self.other_namespace else self.urls


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
