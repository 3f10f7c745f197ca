"""The messages that are worth an event of their own.

An event's ``text`` is one of these and nothing else: what follows in the line (errors, paths, prompts) is
never kept.
"""

from __future__ import annotations

from gpumon.collectors.samples import LogEventKind

OLLAMA_MESSAGES: dict[str, LogEventKind] = {
    "llama-server load failed; evicting all other models and retrying once": "evicting",
    "llama-server model predicted to exceed available memory, evicting": "evicting",
    "runtime OOM detected; expiring loaded models": "out_of_memory",
    "Load failed": "load_failed",
    "error loading llama server": "load_failed",
    "client connection closed before llama-server finished loading": "load_failed",
    "client connection closed before server finished loading": "load_failed",
    "llama-server VRAM tracking: no per-device buffer sizes were parsed": "warning",
    "llama-server startup failed with projector GPU offload": "warning",
    "NVIDIA driver too old": "warning",
    "dropping integrated GPU": "warning",
    "unable to refresh free memory, using old values": "warning",
    "requested context size too large for model": "warning",
    "truncating input prompt": "warning",
    "llama-server terminated": "warning",
    "gpu VRAM usage didn't recover within timeout": "warning",
    "model request too large for system": "warning",
    "flash attention enabled but not supported by": "warning",
    "quantized kv cache requested but flash attention disabled": "warning",
}
"""How a message of Ollama begins, and what it means (ollama: server/sched.go, llm/, discover/)."""

LLAMA_MESSAGES: dict[str, LogEventKind] = {
    "exiting due to model loading error": "load_failed",
    "evicting idle LRU": "evicting",
    "models_max limit reached, removing LRU": "evicting",
}
"""The same for llama-server (llama.cpp: tools/server)."""


def known(message: str, messages: dict[str, LogEventKind]) -> tuple[str, LogEventKind] | None:
    """Return which of ``messages`` this one begins with, and its kind."""
    return next(((text, kind) for text, kind in messages.items() if message.startswith(text)), None)
