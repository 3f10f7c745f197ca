"""What the state remembers of a server's log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gpumon.collectors.samples import BufferComponent, LogEvent

HOST_BACKENDS = frozenset({"CPU", "BLAS"})


class BufferKey(NamedTuple):
    """What a buffer is for, and on which device it lies: ``CUDA0``, ``CPU_Mapped``, ``CUDA_Host``."""

    component: BufferComponent
    device: str

    @property
    def on_gpu(self) -> bool:
        """Whether the device is no part of the host (llm/llama_server.go: MemorySize)."""
        device = self.device
        return not (device in HOST_BACKENDS or device.startswith("CPU_") or device.endswith("_Host"))


@dataclass(slots=True)
class Placement:
    """Where one load has put a model, by the log."""

    since: float
    blob: str | None = None
    layers_offloaded: int | None = None
    """As printed; a build without any GPU prints "all" too: see ``layers_on_gpu``."""
    layer_count: int | None = None
    layers_overflowing: int | None = None
    """Layers on a GPU whose experts are in RAM."""
    buffers: dict[BufferKey, int] = field(default_factory=dict)
    wanted_bytes: int | None = None
    """Device memory that the fit projected, and what was free."""
    available_bytes: int | None = None
    retries: int = 0
    """Attempts after an out-of-memory error."""
    old_context: int | None = None
    new_context: int | None = None
    """Set by a retry with less context."""
    failure: str | None = None
    finished_seconds: float | None = None

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
    def layers_on_gpu(self) -> int | None:
        """Layers on GPUs: none, whatever was printed, where all buffers are in RAM."""
        return 0 if self.layers_offloaded is not None and self.gpu_bytes == 0 else self.layers_offloaded

    def _bytes(self, *, on_gpu: bool) -> int | None:
        if not self.buffers:
            return None
        return sum(size for key, size in self.buffers.items() if key.on_gpu is on_gpu)


@dataclass(slots=True)
class ServerLog:
    """What one server's log has said."""

    source: str
    placement: Placement | None = None
    """Of the latest load."""
    gpus: tuple[LogEvent, ...] = ()
    """The GPUs that the server found when it started (``gpu_found``)."""
    found_no_gpu: bool = False
    default_context: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    """``OLLAMA_…`` as the server printed them."""
    format_unknown: bool = False
