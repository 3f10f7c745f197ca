"""What a server's log says: one event per line that is understood."""

from __future__ import annotations

from typing import Literal

import msgspec

from gpumon.collectors.samples.base import Fact, Sample, SourceHealth

LogEventKind = Literal[
    "load_started",  # blob, port
    "gpu_selected",  # device, pci_bus_id, available_bytes
    "layers_offloaded",  # count of total
    "layers_overflowing",  # count, device: MoE experts in RAM
    "buffer",  # component, device, size_bytes
    "fit_projected",  # size_bytes wanted, available_bytes; count of total layers in old versions
    "load_progress",  # fraction
    "cache_pool",  # count: tokens that the cache of all contexts holds; total: of the longest request
    "load_finished",  # seconds
    "load_failed",  # text
    "context_reduced",  # old_context, new_context: an out-of-memory retry
    "evicting",  # text
    "out_of_memory",  # text
    "gpu_found",  # library, device, pci_bus_id, gpu_uuid, size_bytes, available_bytes
    "no_gpu_found",
    "server_config",  # settings
    "default_context",  # count
    "prefill_progress",  # task, slot, count, fraction, tokens_per_second; MLX: count, total
    "decode_progress",  # task, slot, count, tokens_per_second
    "request_prefill",  # task, slot, count, seconds
    "request_decode",  # task, slot, count, seconds
    "prompt_compared",  # slot, count of total: first tokens of a new prompt that the slot holds too
    "runner_ended",  # text: how the process of a model ended, ``signal: killed``, where that is said
    "warning",  # text, one of a fixed list: never prompts
]

BufferComponent = Literal["model", "kv_cache", "compute", "output", "recurrent_state"]


class LogEvent(Fact, frozen=True, kw_only=True):
    """One understood line. Only the fields that the kind names are set."""

    kind: LogEventKind
    at: float | None = None
    """Time in the line itself, Unix seconds; most lines of a runner have none."""
    blob: str | None = None
    device: str | None = None
    """``CUDA0``, ``CPU_Mapped``, ``CUDA_Host``, …"""
    component: BufferComponent | None = None
    size_bytes: int | None = None
    available_bytes: int | None = None
    count: int | None = None
    total: int | None = None
    seconds: float | None = None
    fraction: float | None = None
    tokens_per_second: float | None = None
    old_context: int | None = None
    new_context: int | None = None
    task: int | None = None
    slot: int | None = None
    library: str | None = None
    pci_bus_id: str | None = None
    gpu_uuid: str | None = None
    port: int | None = None
    """Of the runner: on its command line, or in front of the lines of a router's child."""
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    text: str | None = None


class LogSample(Sample, frozen=True, kw_only=True, tag="server_log"):
    """The events since the last sample; source ``log PATH`` or ``log journal ollama``."""

    health: SourceHealth
    events: tuple[LogEvent, ...] = ()
    unknown_format: bool = False
    """Lines were read and none was understood; set once."""
    pid: int | None = None
    """Of the process that alone writes it, where that is one that holds a model itself."""
