"""A runner's command line read: what it holds, and how it was told to.

Spellings: llama.cpp ``common/arg.cpp``; Ollama ``llm/llama_server.go`` (0.30 and later), ``llm/server.go``
(up to 0.24), ``x/mlxrunner/client.go``. Command lines come from outside: nothing here raises, and nothing but
the settings below is kept (keys may be in there).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpumon.collectors.processes.flags import Flags
from gpumon.collectors.processes.programs import is_llama_server, ollama_command, program_name
from gpumon.collectors.samples import RunnerKind, RunnerSettings

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
    "devices": ("--list-devices",),
    "about": ("-h", "--help", "--usage", "--version", "--cache-list", "-cl", "--completion-bash"),
    "offline": ("--offline",),
    "verbose": ("-v", "--verbose", "--log-verbose"),
    "no_webui": ("--no-webui", "--no-ui"),
    "models": ("--models-dir", "--models-preset", "--models-max"),
}
_GO = {
    "model": ("model",),
    "port": ("port",),
    "context": ("ctx-size",),
    "parallel": ("parallel",),
    "gpu_layers": ("n-gpu-layers",),
    "batch": ("batch-size",),
    "cache": ("kv-cache-type",),
    "flash": ("flash-attn",),
    "projector": ("mmproj",),
    "embedding": ("embedding",),
    "threads": ("threads",),
    "mlx": ("mlx-engine",),
    "imagegen": ("imagegen-engine",),
}
_LLAMA_SPELLINGS = {written: meaning for meaning, all_of in _LLAMA_SERVER.items() for written in all_of}
_GO_SPELLINGS = {
    dashes + written: meaning
    for meaning, all_of in _GO.items()
    for written in all_of
    for dashes in ("-", "--")
}
_LLAMA_SWITCHES = frozenset(
    ["unified", "not_unified", "embedding", "metrics", "devices", "about", "offline", "verbose", "no_webui"]
)
_GO_SWITCHES = frozenset(["embedding", "flash", "mlx", "imagegen"])
_BLOB = re.compile(r"(?:\A|[/\\])blobs[/\\](sha256-[0-9a-f]{64})\Z", re.ASCII)


def parse_runner(argv: Sequence[str]) -> tuple[RunnerKind, RunnerSettings] | None:
    """Return what kind of runner ``argv`` starts and its settings.

    ``None`` for everything else: servers, a router, and the processes that Ollama starts to look for GPUs.
    """
    if is_llama_server(argv):
        return _llama_server(_llama_flags(argv))
    if ollama_command(argv) == "runner":
        return _ollama_runner(Flags(argv, _GO_SPELLINGS, _GO_SWITCHES))
    if program_name(argv) == "ollama_llama_server":
        return _with_model("legacy_runner", _go_settings(Flags(argv, _GO_SPELLINGS, _GO_SWITCHES)))
    return None


def is_router(argv: Sequence[str]) -> bool:
    """Tell a llama-server without a model of its own, which starts one child per model.

    Ollama's look for GPUs has no model either: known by the flags that it is always given.
    """
    if not is_llama_server(argv):
        return False
    flags = _llama_flags(argv)
    if _holds_model(flags) or flags.has("devices") or flags.has("about"):
        return False
    looks_for_gpus = flags.has("offline") and flags.has("verbose") and flags.has("no_webui")
    return flags.has("models") or not looks_for_gpus


def router_address(argv: Sequence[str]) -> tuple[str | None, int | None]:
    """Return host and port that a llama-server was told to listen on."""
    flags = _llama_flags(argv)
    return flags.text("host"), flags.integer("port", 1, 65535)


def blob_of(model_path: str | None) -> str | None:
    """Return ``sha256-<hex>`` of a path into Ollama's blobs; ``None`` for another path."""
    match = _BLOB.search(model_path) if model_path else None
    return match.group(1) if match else None


def _llama_flags(argv: Sequence[str]) -> Flags:
    return Flags(argv, _LLAMA_SPELLINGS, _LLAMA_SWITCHES, frozenset({"flash"}))


def _holds_model(flags: Flags) -> bool:
    return any(flags.text(source) for source in ("model", "repository", "url", "docker"))


def _llama_server(flags: Flags) -> tuple[RunnerKind, RunnerSettings] | None:
    if not _holds_model(flags) or flags.has("devices") or flags.has("about"):
        return None
    return "llama_server", RunnerSettings(
        model_path=flags.text("model"),
        blob=blob_of(flags.text("model")),
        model_name=flags.text("alias") or flags.text("repository") or flags.text("docker"),
        port=flags.integer("port", 1, 65535),
        host=flags.text("host"),
        context_length=_context_per_slot(flags),
        parallel=flags.integer("parallel", 1),
        gpu_layers=flags.integer("gpu_layers"),
        batch_size=flags.integer("batch", 1),
        micro_batch_size=flags.integer("micro_batch", 1),
        cache_type_k=flags.text("cache_k"),
        cache_type_v=flags.text("cache_v"),
        flash_attention=_flash_attention(flags),
        projector_path=flags.text("projector"),
        draft_path=flags.text("draft"),
        embedding=flags.switch("embedding"),
        threads=flags.integer("threads", 1),
        metrics=flags.switch("metrics"),
        sleep_idle_seconds=flags.seconds("sleep"),
    )


def _context_per_slot(flags: Flags) -> int | None:
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


def _ollama_runner(flags: Flags) -> tuple[RunnerKind, RunnerSettings] | None:
    if flags.switch("mlx"):
        return _with_model("mlx_runner", _named_settings(flags))
    if flags.switch("imagegen"):
        return _with_model("imagegen_runner", _named_settings(flags))
    return _with_model("ollama_runner", _go_settings(flags))


def _with_model(kind: RunnerKind, settings: RunnerSettings) -> tuple[RunnerKind, RunnerSettings] | None:
    return (kind, settings) if settings.model_path or settings.model_name else None


def _named_settings(flags: Flags) -> RunnerSettings:
    return RunnerSettings(model_name=flags.text("model"), port=flags.integer("port", 1, 65535))


def _go_settings(flags: Flags) -> RunnerSettings:
    return RunnerSettings(
        model_path=flags.text("model"),
        blob=blob_of(flags.text("model")),
        port=flags.integer("port", 1, 65535),
        context_length=_context_per_slot(flags),
        parallel=flags.integer("parallel", 1),
        gpu_layers=flags.integer("gpu_layers"),
        batch_size=flags.integer("batch", 1),
        cache_type_k=flags.text("cache"),
        cache_type_v=flags.text("cache"),
        flash_attention="on" if flags.switch("flash") else None,
        projector_path=flags.text("projector"),
        embedding=flags.switch("embedding"),
        threads=flags.integer("threads", 1),
    )
