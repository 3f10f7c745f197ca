"""How a llama-server was started: its command line, and the variables that stand for flags (``LLAMA_ARG_…``).

Spellings: llama.cpp ``common/arg.cpp``; a flag wins over its variable. Both come from outside: nothing here
raises, and nothing but the settings below is kept (keys may be in there).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from gpumon.collectors.samples import RunnerSettings
from gpumon.collectors.servers.command_line import Flags, program_name
from gpumon.collectors.servers.llama_server import orders

_LLAMA_SERVER = {
    "model": ("-m", "--model"),
    "repository": ("-hf", "-hfr", "--hf-repo"),
    "url": ("-mu", "--model-url"),
    "docker": ("-dr", "--docker-repo"),
    "alias": ("-a", "--alias"),
    "port": ("--port",),
    "host": ("--host",),
    "context": ("-c", "--ctx-size"),
    "parallel": ("-np", "--parallel"),
    "unified": ("-kvu", "--kv-unified"),
    "not_unified": ("-no-kvu", "--no-kv-unified"),
    "gpu_layers": ("-ngl", "--gpu-layers", "--n-gpu-layers"),
    "batch": ("-b", "--batch-size"),
    "micro_batch": ("-ub", "--ubatch-size"),
    "cache_k": ("-ctk", "--cache-type-k"),
    "cache_v": ("-ctv", "--cache-type-v"),
    "flash": ("-fa", "--flash-attn"),
    "projector": ("-mm", "--mmproj"),
    "draft": ("-md", "--model-draft", "--spec-draft-model"),
    "embedding": ("--embedding", "--embeddings"),
    "threads": ("-t", "--threads"),
    "metrics": ("--metrics",),
    "sleep": ("--sleep-idle-seconds",),
    "list_devices": ("--list-devices",),
    "about": ("-h", "--help", "--usage", "--version", "--cache-list", "-cl", "--completion-bash"),
    "offline": ("--offline",),
    "verbose": ("-v", "--verbose", "--log-verbose"),
    "no_webui": ("--no-webui", "--no-ui"),
    "models": ("--models-dir", "--models-preset", "--models-max"),
    **orders.SPELLINGS,
}
_VARIABLES = {
    "LLAMA_ARG_MODEL": "model",
    "LLAMA_ARG_HF_REPO": "repository",
    "LLAMA_ARG_MODEL_URL": "url",
    "LLAMA_ARG_DOCKER_REPO": "docker",
    "LLAMA_ARG_ALIAS": "alias",
    "LLAMA_ARG_PORT": "port",
    "LLAMA_ARG_HOST": "host",
    "LLAMA_ARG_CTX_SIZE": "context",
    "LLAMA_ARG_N_PARALLEL": "parallel",
    "LLAMA_ARG_KV_UNIFIED": "unified",
    "LLAMA_ARG_N_GPU_LAYERS": "gpu_layers",
    "LLAMA_ARG_BATCH": "batch",
    "LLAMA_ARG_UBATCH": "micro_batch",
    "LLAMA_ARG_CACHE_TYPE_K": "cache_k",
    "LLAMA_ARG_CACHE_TYPE_V": "cache_v",
    "LLAMA_ARG_FLASH_ATTN": "flash",
    "LLAMA_ARG_MMPROJ": "projector",
    "LLAMA_ARG_MODEL_DRAFT": "draft",
    "LLAMA_ARG_SPEC_DRAFT_MODEL": "draft",
    "LLAMA_ARG_EMBEDDINGS": "embedding",
    "LLAMA_ARG_THREADS": "threads",
    "LLAMA_ARG_ENDPOINT_METRICS": "metrics",
    "LLAMA_ARG_MODELS_DIR": "models",
    "LLAMA_ARG_MODELS_PRESET": "models",
    "LLAMA_ARG_MODELS_MAX": "models",
    **orders.VARIABLES,
}
VARIABLES = frozenset(_VARIABLES) | {orders.CUDA_DEVICES}
"""What is read of the environment: none of these holds a key."""
_SPELLINGS = {written: meaning for meaning, all_of in _LLAMA_SERVER.items() for written in all_of}
_LLAMA_SWITCHES = frozenset(
    [
        "unified",
        "not_unified",
        "embedding",
        "metrics",
        "list_devices",
        "about",
        "offline",
        "verbose",
        "no_webui",
    ]
).union(orders.SWITCHES)
_BLOB = re.compile(r"(?:\A|[/\\])blobs[/\\](sha256-[0-9a-f]{64})\Z", re.ASCII)

Environ = Callable[[], Mapping[str, str]]


def _nothing() -> Mapping[str, str]:
    return {}


DOCKERS = "com.docker."
"""Begins the name of Docker Desktop's own build (docker/model-runner: llamacpp.go)."""


def is_llama_server(argv: Sequence[str]) -> bool:
    """Whether it is llama.cpp's server, also under a name such as ``llama-server-vulkan``."""
    name = program_name(argv)
    return name.removeprefix(DOCKERS) == "llama-server" or name.startswith("llama-server-")


def settings_of(argv: Sequence[str], environ: Environ = _nothing) -> RunnerSettings | None:
    """Return the settings of a llama-server that holds a model.

    ``None`` for every other program, for a router, and for the processes that Ollama starts to look for GPUs.
    """
    if not is_llama_server(argv):
        return None
    flags = _flags(argv, environ)
    if not _holds_model(flags) or flags.has("list_devices") or flags.has("about"):
        return None
    return _settings(flags, environ().get(orders.CUDA_DEVICES))


def is_router(argv: Sequence[str], environ: Environ = _nothing) -> bool:
    """Whether it is a llama-server without a model of its own, which starts one child per model.

    Ollama's look for GPUs has no model either: known by the flags that it is always given.
    """
    if not is_llama_server(argv):
        return False
    flags = _flags(argv, environ)
    if _holds_model(flags) or flags.has("list_devices") or flags.has("about"):
        return False
    looks_for_gpus = flags.has("offline") and flags.has("verbose") and flags.has("no_webui")
    return flags.has("models") or not looks_for_gpus


def listening_address(argv: Sequence[str], environ: Environ = _nothing) -> tuple[str | None, int | None]:
    """Return host and port that a llama-server was told to listen on."""
    flags = _flags(argv, environ)
    return flags.text("host"), flags.integer("port", 1, 65535)


def blob_of(model_path: str | None) -> str | None:
    """Return ``sha256-<hex>`` of a path into Ollama's blobs; ``None`` for another path."""
    match = _BLOB.search(model_path) if model_path else None
    return match.group(1) if match else None


def first_alias(names: str | None) -> str | None:
    """Return the name of a model: the first of ``-a best,second``, which are all taken in requests."""
    return next((name.strip() for name in (names or "").split(",") if name.strip()), None)


def _flags(argv: Sequence[str], environ: Environ) -> Flags:
    told = environ()
    defaults = {meaning: told[name] for name, meaning in _VARIABLES.items() if told.get(name)}
    return Flags(argv, _SPELLINGS, _LLAMA_SWITCHES, frozenset({"flash"}), defaults, orders.REPEATED)


def _holds_model(flags: Flags) -> bool:
    return any(flags.text(source) for source in ("model", "repository", "url", "docker"))


DEFAULT_MICRO_BATCH = 512
"""Of llama-server, however large its batches (llama.cpp: common/common.h)."""


def _micro_batch(flags: Flags) -> int | None:
    batch = flags.integer("batch", 1)
    return flags.integer("micro_batch", 1) or (min(batch, DEFAULT_MICRO_BATCH) if batch else None)


def _settings(flags: Flags, visible: str | None) -> RunnerSettings:
    return RunnerSettings(
        model_path=flags.text("model"),
        blob=blob_of(flags.text("model")),
        model_name=first_alias(flags.text("alias")) or flags.text("repository") or flags.text("docker"),
        port=flags.integer("port", 1, 65535),
        host=flags.text("host"),
        context_length=context_per_slot(flags),
        parallel=flags.integer("parallel", 1),
        gpu_layers=orders.layers_of(flags, "gpu_layers"),
        batch_size=flags.integer("batch", 1),
        micro_batch_size=_micro_batch(flags),
        cache_type_k=flags.text("cache_k"),
        cache_type_v=flags.text("cache_v"),
        flash_attention=_flash_attention(flags),
        projector_path=flags.text("projector"),
        draft_path=flags.text("draft"),
        embedding=flags.switch("embedding"),
        threads=flags.integer("threads", 1),
        metrics=flags.switch("metrics"),
        child_of=_child_of(flags),
        sleep_idle_seconds=flags.seconds("sleep"),
        unified_cache=flags.switch("unified", "not_unified"),
        orders=orders.orders_of(flags, visible),
    )


def _child_of(flags: Flags) -> str | None:
    """Return who has started it: Ollama gives all of its llama-servers a blob and these two switches."""
    is_ollamas = blob_of(flags.text("model")) and flags.has("offline") and flags.has("no_webui")
    return "ollama" if is_ollamas else None


def context_per_slot(flags: Flags) -> int | None:
    """Return ``-c`` shared out among ``-np`` slots.

    0 means the model's own. Without ``-np``, llama-server either has one slot or lets all of them share the
    whole context (``--kv-unified``); either way a slot may have all of it.
    """
    context, parallel = flags.integer("context", 1), flags.integer("parallel", 1)
    if context is None or flags.switch("unified", "not_unified"):
        return context
    if parallel is None:
        return None if flags.has("not_unified") else context
    return context // parallel or None


def _flash_attention(flags: Flags) -> str | None:
    return (flags.text("flash") or "on") if flags.has("flash") else None
