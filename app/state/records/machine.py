"""A GPU, and memory of it that came back or has not; RAM, swap and CPU."""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

from msgspec import Struct, field

from gpumon.app.state.series import Series
from gpumon.collectors.samples import GpuFacts, GpuMemory, GpuReading, GpuSlow, SystemSample

LEFTOVERS_KEPT = 16


class Returned(NamedTuple):
    """Memory of a GPU that came back when a process ended."""

    uuid: str
    name: str | None
    """Of the process, or of the model that it held."""
    vram_bytes: int
    time: float
    pid: int | None = None
    """Of the process that ended."""


class Leftover(NamedTuple):
    """Memory of a GPU that has not come back though its process is no longer listed."""

    pid: int
    name: str | None
    vram_bytes: int
    since: float
    unaccounted_before: int
    """Bytes in use without an owner while the process was there."""


class GpuRecord(Struct):
    """A GPU, by UUID: the latest reading, the facts and slow fields read before, and its series."""

    reading: GpuReading
    seen: float
    """Time of the latest reading."""
    lost_since: float | None = None
    last_lost: float | None = None
    """The same, kept after it has come back."""
    facts: GpuFacts = field(default_factory=GpuFacts)
    slow: GpuSlow = field(default_factory=GpuSlow)
    unaccounted_before: int | None = None
    """Bytes in use without an owner in the reading before the latest."""
    leftovers: deque[Leftover] = field(default_factory=lambda: deque(maxlen=LEFTOVERS_KEPT))
    vram: Series = field(default_factory=Series)
    utilization: Series = field(default_factory=Series)
    power: Series = field(default_factory=Series)
    temperature: Series = field(default_factory=Series)

    @property
    def total_bytes(self) -> int | None:
        """Capacity as the driver states it."""
        return self.reading.memory.total_bytes if self.reading.memory else None


def free_bytes(memory: GpuMemory) -> int | None:
    """Return what is free by the driver's word, or by what is used; ``None`` where it states neither."""
    if memory.free_bytes is not None:
        return memory.free_bytes
    if memory.used_bytes is None:
        return None
    return max(0, memory.total_bytes - memory.used_bytes - (memory.reserved_bytes or 0))


EventKind = Literal[
    "process_ended",  # a process that holds a model of its own
    "server_restarted",
]


class Event(NamedTuple):
    """Something that happened, and does not last."""

    time: float
    kind: EventKind
    subject: str
    """Name of a model, URL of a server; not harmless to draw."""
    runtime: str
    """Name of the ``ServerKind``."""
    pid: int


class SystemRecord(Struct):
    """RAM, swap and CPU: the latest sample and the series."""

    sample: SystemSample
    seen: float
    """Time of the latest sample."""
    ram_used: Series = field(default_factory=Series)
    swap_used: Series = field(default_factory=Series)
    cpu: Series = field(default_factory=Series)
