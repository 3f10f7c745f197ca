"""What the state remembers of a server's log."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from msgspec import Struct, field

from gpumon.collectors.samples import BufferComponent, LogEvent

HOST_BACKENDS = frozenset({"CPU", "BLAS", "AMX"})


RANK = "rank "
"""Begins the name of a device where each GPU has a process of its own that writes to the log."""


class BufferKey(NamedTuple):
    """What a buffer is for, and on which device it lies: ``CUDA0``, ``CPU_Mapped``, ``CUDA_Host``."""

    component: BufferComponent
    device: str

    @property
    def is_of_rank(self) -> bool:
        """Whether the device is named by the process that has it to itself."""
        return self.device.startswith(RANK)

    @property
    def on_gpu(self) -> bool:
        """Whether the device is no part of the host (llm/llama_server.go: MemorySize)."""
        device = self.device
        return not (device in HOST_BACKENDS or device.startswith("CPU_") or device.endswith("_Host"))


class Placement(Struct):
    """Where one load has put a model, by the log."""

    since: float
    """When the load began: by the line itself where it has a time, else when it was read."""
    blob: str | None = None
    port: int | None = None
    attributed: bool = False
    """Whether the runner is known."""
    layers_offloaded: int | None = None
    """As printed; a build without any GPU prints "all" too: see ``layers_on_gpu``."""
    layer_count: int | None = None
    overflowing_by_device: dict[str, int] = field(default_factory=dict)
    """Layers on a GPU whose experts are in RAM."""
    buffers: dict[BufferKey, int] = field(default_factory=dict)
    compute_lines: set[tuple[str, int]] = field(default_factory=set)
    """Device and size of compute buffers so far: the same one is logged each time it is reserved again."""
    context_seen: float | None = None
    """When a buffer for the context was last read of."""
    retries: int = 0
    """Attempts before this one that ran out of memory."""
    old_context: int | None = None
    new_context: int | None = None
    """Set when the server gives up this load to try again with less context."""
    gave_up: bool = False
    """Whether the server has given up this load to try again."""
    failure: str | None = None
    """What went wrong, in the words of the log; one of a fixed list."""
    progress: float | None = None
    """How much of the weights has been read, 0 to 1, where that is logged."""
    cache_tokens: int | None = None
    """What the cache of all contexts holds, where it is logged."""
    finished: bool = False
    seconds: float | None = None
    """How long the server says it took."""

    @property
    def gpu_bytes(self) -> int | None:
        """Bytes of all buffers on GPUs; ``None`` before the first buffer is named."""
        return self._bytes(on_gpu=True)

    @property
    def host_bytes(self) -> int | None:
        """Bytes of all buffers in RAM; ``None`` before the first buffer is named."""
        return self._bytes(on_gpu=False)

    @property
    def model_bytes(self) -> int | None:
        """Bytes of the weights over all devices; ``None`` before they are named."""
        sizes = [size for key, size in self.buffers.items() if key.component == "model"]
        return sum(sizes) if sizes else None

    @property
    def rank_count(self) -> int:
        """How many GPUs the log tells of, where it names them by their ranks; else 0."""
        return len({key.device for key in self.buffers if key.is_of_rank})

    def on_each_gpu(self, component: BufferComponent) -> int | None:
        """Return the largest buffer of a kind that one GPU holds, where the log tells of each alone."""
        sizes = [size for key, size in self.buffers.items() if key.component == component and key.on_gpu]
        return max(sizes, default=None)

    @property
    def layers_overflowing(self) -> int | None:
        """Layers on any GPU whose experts are in RAM."""
        return sum(self.overflowing_by_device.values()) if self.overflowing_by_device else None

    @property
    def layers_on_gpu(self) -> int | None:
        """Layers on GPUs: none, whatever was printed, where all buffers are in RAM."""
        return 0 if self.layers_offloaded is not None and self.gpu_bytes == 0 else self.layers_offloaded

    def _bytes(self, *, on_gpu: bool) -> int | None:
        if not self.buffers:
            return None
        return sum(size for key, size in self.buffers.items() if key.on_gpu is on_gpu)


RUNNER_ENDS_KEPT = 16


class RunnerEnd(NamedTuple):
    """What a log says of a process that ended by itself."""

    time: float
    how: str | None
    """``signal: killed``, ``exit status 2``."""


class ServerLog(Struct):
    """What one server's log has said."""

    source: str
    since: float = 0.0
    """When it was first read."""
    placement: Placement | None = None
    """Of the latest load."""
    gpus: tuple[LogEvent, ...] = ()
    """The GPUs that the server found when it started (``gpu_found``)."""
    found_no_gpu: bool = False
    default_context: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    """``OLLAMA_…`` as the server printed them."""
    pid: int | None = None
    """Of the process that alone writes it, where that holds a model itself."""
    format_unknown: bool = False
    runner_ends: deque[RunnerEnd] = field(default_factory=lambda: deque(maxlen=RUNNER_ENDS_KEPT))
    """The latest processes of models that ended by themselves, oldest first."""
