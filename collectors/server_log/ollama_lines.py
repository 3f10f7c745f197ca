"""What Ollama itself logs, 0.5 to 0.33 (ollama: server/sched.go, llm/, ml/device.go, discover/types.go).

An event's ``text`` is one of the messages named here and nothing else: what follows in the line (errors,
paths, prompts) is never kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gpumon.collectors.samples import BufferComponent, LogEvent, LogEventKind
from gpumon.collectors.server_log.lines import Slog, decimal, size_bytes, sum_of_sizes, whole

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


_SETTING_LIMIT = 64
_LONGEST_VALUE = 512
_KEPT = ("OLLAMA_", "LLAMA_ARG_")
_DEVICES = {
    "CUDA_VISIBLE_DEVICES": re.compile(r"(?:-?\d{1,3}|GPU-[0-9a-fA-F-]{1,40}|[, ])+", re.ASCII),
    "CUDA_DEVICE_ORDER": re.compile(r"[A-Z_]{1,20}", re.ASCII),
}
"""What else is kept: which GPUs the server may use."""
_NAME = re.compile(r"(?:^| )([A-Z][A-Z0-9]*_[A-Z0-9_]+|https?_proxy|no_proxy):", re.ASCII)
_SECRET_WORDS = frozenset(
    {"AUTH", "CREDENTIAL", "CREDENTIALS", "KEY", "KEYS", "PASS", "PASSWORD", "SECRET", "TOKEN"}
)
_SECRET_VALUE = re.compile(
    r"""
    ://[^/\s]*@                        # user:password@ in an address
    | \b(?:sk|hf|ghp|gho|nvapi|xox.)[-_]\w   # tokens with a maker's mark
    | \b(?:Bearer|Basic)\s
    | (?<![\w/.])[A-Za-z0-9+_=-]{32,}(?![\w/.])  # long and without a dot or slash: no path, no address
    """,
    re.ASCII | re.VERBOSE,
)


def parse_settings(text: str) -> dict[str, str]:
    """Return the settings of Ollama and llama.cpp in a printed Go map, without what looks secret."""
    body = text.removeprefix("map[").removesuffix("]")
    names = list(_NAME.finditer(body))
    ends = [name.start() for name in names[1:]] + [len(body)]
    settings = {name[1]: body[name.end() : end] for name, end in zip(names, ends, strict=False)}
    kept = [(name, value) for name, value in settings.items() if _may_be_kept(name, value)]
    return dict(kept[:_SETTING_LIMIT])


def _may_be_kept(name: str, value: str) -> bool:
    if name in _DEVICES:
        return _DEVICES[name].fullmatch(value) is not None
    return (
        name.startswith(_KEPT)
        and len(value) <= _LONGEST_VALUE
        and not _SECRET_WORDS.intersection(name.split("_"))
        and not _SECRET_VALUE.search(value)
    )


_Builder = Callable[[Slog], LogEvent | None]

_BLOB = re.compile(r"sha256-[0-9a-f]{64}", re.ASCII)
_PORT = re.compile(r"--port (\d{1,5})(?!\d)", re.ASCII)
_DEVICE = re.compile(r"[A-Za-z]{2,16}\d{0,4}(?:_[A-Za-z]{1,16})?", re.ASCII)
_PCI_BUS_ID = re.compile(r"[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]", re.ASCII)
_GPU_UUID = re.compile(r"(?:GPU|MIG)-[0-9a-fA-F-]{8,40}", re.ASCII)
_LIBRARY = re.compile(r"[A-Za-z]\w{1,15}", re.ASCII)
_STARTED = re.compile(r"(?:llama-server|llama runner) started in (\d+(?:\.\d+)?) seconds", re.ASCII)
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU", re.ASCII)
_ENDED = re.compile(r"signal: [a-z /]{2,30}(?: \(core dumped\))?|exit status \d{1,3}", re.ASCII)
_PROGRESS = re.compile(r"model load progress (\d+(?:\.\d+)?)", re.ASCII)

_COMPONENTS: dict[str, BufferComponent] = {
    "model weights": "model",
    "kv cache": "kv_cache",
    "compute graph": "compute",
}


def parse_ollama(line: Slog) -> LogEvent | None:
    """Return what a line says; ``None`` if it is none of those that matter."""
    progress = _PROGRESS.fullmatch(line.message)
    if progress:
        return LogEvent(kind="load_progress", at=line.at, fraction=decimal(progress[1]))
    if line.is_debug:
        return None
    builder = _BUILDERS.get(line.message)
    return builder(line) if builder else _by_wording(line)


def blob_of(path: str) -> str | None:
    """Return ``sha256-<hex>`` if ``path`` names one of Ollama's blobs."""
    found = _BLOB.search(path)
    return found[0] if found else None


def _by_wording(line: Slog) -> LogEvent | None:
    """Look at messages that hold a number, or that are known by how they begin."""
    if started := _STARTED.fullmatch(line.message):
        return LogEvent(kind="load_finished", at=line.at, seconds=decimal(started[1]))
    if layers := _OFFLOADED.fullmatch(line.message):
        count, total = whole(layers[1]), whole(layers[2])
        return LogEvent(kind="layers_offloaded", at=line.at, count=count, total=total)
    if line.message == "offload" or line.message.startswith("offload to "):
        return _estimate(line)
    return _known_message(line)


def _known_message(line: Slog) -> LogEvent | None:
    found = known(line.message, OLLAMA_MESSAGES)
    if found is None:
        return None
    text, kind = found
    return LogEvent(
        kind=kind,
        at=line.at,
        text=text,
        blob=blob_of(line.fields.get("model", "")),
        size_bytes=_size(line, "predicted"),
        available_bytes=_size(line, "available"),
    )


def _load_started(line: Slog) -> LogEvent | None:
    """Read the command of a runner; without ``--model`` it is one that looks for GPUs."""
    command = line.fields.get("cmd", "")
    if "--model " not in command:
        return None
    port = _PORT.search(command)
    return LogEvent(
        kind="load_started",
        at=line.at,
        blob=blob_of(command),
        port=whole(port[1]) if port else None,
    )


def _mlx_load_started(line: Slog) -> LogEvent:
    return LogEvent(kind="load_started", at=line.at, port=whole(line.fields.get("port")))


def _mlx_load_finished(line: Slog) -> LogEvent:
    return LogEvent(kind="load_finished", at=line.at, port=whole(line.fields.get("port")))


def _mlx_prefill(line: Slog) -> LogEvent:
    count, total = whole(line.fields.get("processed")), whole(line.fields.get("total"))
    return LogEvent(kind="prefill_progress", at=line.at, count=count, total=total)


def _context_reduced(line: Slog) -> LogEvent:
    """Prefer what the runner was given to what was asked for: it is clipped to the trained context."""
    fields = line.fields
    return LogEvent(
        kind="context_reduced",
        at=line.at,
        blob=blob_of(fields.get("model", "")),
        old_context=whole(fields.get("effective_num_ctx")) or whole(fields.get("old_num_ctx")),
        new_context=whole(fields.get("new_num_ctx")),
    )


def _buffer(line: Slog) -> LogEvent | None:
    """Read ``device=CUDA0 size="9.1 GiB"``; ``buffer=`` or ``buffer_type=`` up to 0.11."""
    fields = line.fields
    name = fields.get("device") or fields.get("buffer_type") or fields.get("buffer") or ""
    device, size = _matching(_DEVICE, name), _size(line, "size")
    if device is None or size is None:
        return None
    component = _COMPONENTS[line.message]
    return LogEvent(kind="buffer", at=line.at, component=component, device=device, size_bytes=size)


def _inference_compute(line: Slog) -> LogEvent:
    fields = line.fields
    library = _matching(_LIBRARY, fields.get("library", ""))
    if "cpu" in ((library or "").lower(), fields.get("id")):
        return LogEvent(kind="no_gpu_found", at=line.at)
    return LogEvent(
        kind="gpu_found",
        at=line.at,
        library=library,
        device=_matching(_DEVICE, fields.get("name", "")),
        pci_bus_id=_matching(_PCI_BUS_ID, fields.get("pci_id", "")),
        gpu_uuid=_matching(_GPU_UUID, fields.get("id", "")),
        size_bytes=_size(line, "total"),
        available_bytes=_size(line, "available"),
    )


def _server_config(line: Slog) -> LogEvent:
    settings = parse_settings(line.fields.get("env", ""))
    return LogEvent(kind="server_config", at=line.at, settings=settings)


def _default_context(line: Slog) -> LogEvent:
    count = whole(line.fields.get("default_num_ctx"))
    return LogEvent(kind="default_context", at=line.at, count=count)


def _estimate(line: Slog) -> LogEvent:
    """Read what versions up to 0.11 planned before the load; sizes are over all GPUs, or the host's."""
    fields = line.fields
    library = _matching(_LIBRARY, fields.get("library", line.message.removeprefix("offload to ")))
    return LogEvent(
        kind="fit_projected",
        at=line.at,
        library=library,
        device="Host" if library == "cpu" else None,
        size_bytes=_size(line, "memory.required.full"),
        available_bytes=sum_of_sizes(fields.get("memory.available", "")),
        count=whole(fields.get("layers.offload")),
        total=whole(fields.get("layers.model")),
    )


def _runner_ended(line: Slog) -> LogEvent:
    """Read how a process ended, as Go's ``os.ProcessState`` words it (ollama: llm/server.go)."""
    said = line.fields.get("string") or line.fields.get("error") or ""
    how = _ENDED.match(said)
    return LogEvent(kind="runner_ended", at=line.at, text=how[0] if how else None)


def _size(line: Slog, field: str) -> int | None:
    return size_bytes(line.fields.get(field, ""))


def _matching(pattern: re.Pattern[str], text: str) -> str | None:
    """Return ``text`` if it is what it should be: no free text gets into an event."""
    return text if pattern.fullmatch(text) else None


_BUILDERS: dict[str, _Builder] = {
    "starting llama-server": _load_started,
    "starting llama server": _load_started,
    "starting runner": _load_started,
    "starting mlx runner subprocess": _mlx_load_started,
    "mlx runner is ready": _mlx_load_finished,
    "Prompt processing progress": _mlx_prefill,
    "llama-server load failed; reducing automatic context and retrying once": _context_reduced,
    "model weights": _buffer,
    "kv cache": _buffer,
    "compute graph": _buffer,
    "inference compute": _inference_compute,
    "server config": _server_config,
    "vram-based default context": _default_context,
    "llama-server terminated": _runner_ended,
    "llama runner terminated": _runner_ended,
    "llama-server process no longer running": _runner_ended,
    "llama runner process no longer running": _runner_ended,
}
