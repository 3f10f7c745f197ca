"""Device memory: the newer call, the older one, or system RAM where the GPU has none of its own."""

from __future__ import annotations

import psutil

from gpumon.collectors.nvml.query import NOT_SUPPORTED, Answer, Query
from gpumon.collectors.samples import GpuMemory

_FUNCTION = "nvmlDeviceGetMemoryInfo"


def read_memory(query: Query) -> GpuMemory | None:
    """Read ``nvmlDeviceGetMemoryInfo_v2``, or the call before it in drivers older than R510.

    The older one counts the driver's reserve as used (gpustat#141). A GPU that answers NOT_SUPPORTED or a
    total of 0 shares the system's RAM (nvml.h: "the integrated GPU does not use a dedicated framebuffer").
    """
    version = query.nvml.nvmlMemory_v2
    newer = query.ask(_FUNCTION, version)
    if newer is not None:
        return _device_memory(newer, newer.reserved)
    if query.refusal(_FUNCTION, version) is None:
        return None
    older = query.ask(_FUNCTION)
    if older is not None:
        return _device_memory(older, None)
    return _system_memory() if query.refusal(_FUNCTION) == NOT_SUPPORTED else None


def _device_memory(memory: Answer, reserved_bytes: int | None) -> GpuMemory:
    if memory.total == 0:
        return _system_memory()
    return GpuMemory(
        total_bytes=memory.total,
        used_bytes=memory.used,
        free_bytes=memory.free if memory.free <= memory.total else None,
        reserved_bytes=reserved_bytes,
    )


def _system_memory() -> GpuMemory:
    """Return MemTotal and MemAvailable of /proc/meminfo."""
    ram = psutil.virtual_memory()
    return GpuMemory(
        total_bytes=ram.total,
        used_bytes=ram.total - ram.available,
        free_bytes=ram.available,
        unified=True,
    )
