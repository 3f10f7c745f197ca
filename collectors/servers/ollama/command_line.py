"""How Ollama's own runners were started, up to 0.24 and for MLX.

Spellings: Ollama ``llm/server.go``, ``x/mlxrunner/client.go``. Nothing here raises, and nothing but the
settings is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.collectors.samples import NO_ORDERS, Orders, RunnerSettings
from gpumon.collectors.servers.command_line import Flags, program_name
from gpumon.collectors.servers.llama_server.command_line import blob_of, context_per_slot
from gpumon.collectors.servers.llama_server.orders import shares

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
    "tensor_split": ("tensor-split",),
    "no_mmap": ("no-mmap",),
    "mlx": ("mlx-engine",),
    "imagegen": ("imagegen-engine",),
}
_SPELLINGS = {
    dashes + written: meaning
    for meaning, all_of in _GO.items()
    for written in all_of
    for dashes in ("-", "--")
}
_GO_SWITCHES = frozenset(["embedding", "flash", "mlx", "imagegen", "no_mmap"])
SERVE_COMMANDS = ("serve", "start")

Found = tuple[str, RunnerSettings]
"""Name of a ``RunnerKind``, and its settings."""


def ollama_command(argv: Sequence[str]) -> str | None:
    """Return the subcommand of ``ollama``: ``serve``, ``runner``; ``None`` for other programs or none."""
    if program_name(argv).lower() != "ollama":
        return None
    return next((word for word in argv[1:] if not word.startswith("-")), None)


def parse_runner(argv: Sequence[str]) -> Found | None:
    """Return which of Ollama's own runners ``argv`` starts, and its settings; else ``None``."""
    if ollama_command(argv) == "runner":
        return _ollama_runner(Flags(argv, _SPELLINGS, _GO_SWITCHES))
    if program_name(argv) == "ollama_llama_server":
        return _with_model("legacy_runner", _go_settings(Flags(argv, _SPELLINGS, _GO_SWITCHES)))
    return None


def _ollama_runner(flags: Flags) -> Found | None:
    if flags.switch("mlx"):
        return _with_model("mlx_runner", _named_settings(flags))
    if flags.switch("imagegen"):
        return _with_model("imagegen_runner", _named_settings(flags))
    return _with_model("ollama_runner", _go_settings(flags))


def _with_model(kind: str, settings: RunnerSettings) -> Found | None:
    return (kind, settings) if settings.model_path or settings.model_name else None


def _named_settings(flags: Flags) -> RunnerSettings:
    return RunnerSettings(model_name=flags.text("model"), port=flags.integer("port", 1, 65535))


def _go_settings(flags: Flags) -> RunnerSettings:
    return RunnerSettings(
        model_path=flags.text("model"),
        blob=blob_of(flags.text("model")),
        port=flags.integer("port", 1, 65535),
        context_length=context_per_slot(flags),
        parallel=flags.integer("parallel", 1),
        gpu_layers=flags.integer("gpu_layers"),
        batch_size=flags.integer("batch", 1),
        cache_type_k=flags.text("cache"),
        cache_type_v=flags.text("cache"),
        flash_attention="on" if flags.switch("flash") else None,
        projector_path=flags.text("projector"),
        embedding=flags.switch("embedding"),
        threads=flags.integer("threads", 1),
        orders=_orders(flags),
    )


def _orders(flags: Flags) -> Orders:
    """Return what Ollama itself asks of its runner."""
    split, mode = shares(flags.text("tensor_split")), "none" if flags.switch("no_mmap") else None
    return Orders(tensor_split=split, load_mode=mode) if split or mode else NO_ORDERS
