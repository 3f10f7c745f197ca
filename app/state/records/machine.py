"""A GPU, and memory of it that came back or has not; RAM, swap and CPU."""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

from msgspec import Struct, field

from gpumon.app.state.rates.energy import EnergyTrack
from gpumon.app.state.series import Series
from gpumon.collectors.samples import GpuFacts, GpuMemory, GpuReading, GpuSlow, SystemSample

LEFTOVERS_KEPT = 16
XIDS_KEPT = 16


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


class XidError(NamedTuple):
    """What the driver has reported of a GPU, once or many times in a row."""

    number: int
    first: float
    last: float
    times: int = 1
    """How often, each within a minute of the one before."""


class Step(NamedTuple):
    """A rise of what a process holds of a GPU, over seconds: the load of a model, a tab of a browser."""

    time: float | None
    """When it was seen to begin; ``None`` of what was there before anybody looked."""
    until: float
    """When it was last seen to go on."""
    vram_bytes: int


class Hold(Struct):
    """What one process holds of one GPU, and when it took that: as many steps as are kept, the oldest first.

    What it gives back is taken from the latest step: what stays has been there for longest.
    """

    pid: int
    started: float | None
    vram_bytes: int
    """Now."""
    seen: float
    """When it was last listed."""
    steps: tuple[Step, ...] = ()
    fell_from: int | None = None
    """What it held before it began to give back; ``None`` while it does not."""

    @property
    def since(self) -> float | None:
        """When it took the first of what it holds; ``None`` where nobody saw that."""
        return self.steps[0].time if self.steps else None

    def taken(self, after: float | None, until: float, *, going_on: bool = False) -> int:
        """Return what it took after one time and until another, and holds still.

        ``after`` is ``None`` for all that was seen to be taken; ``going_on`` adds what it was taking then.
        """
        rest, found = self.vram_bytes, 0
        for step in self.steps:
            size = min(step.vram_bytes, rest)
            rest -= size
            if _is_in(step, after, until, going_on=going_on):
                found += size
        return found

    def largest_step(self, after: float | None, until: float, *, going_on: bool = False) -> Step | None:
        """Return the largest of the same steps."""
        inside = (one for one in self.steps if _is_in(one, after, until, going_on=going_on))
        return max(inside, key=lambda one: one.vram_bytes, default=None)


def _is_in(step: Step, after: float | None, until: float, *, going_on: bool) -> bool:
    if step.time is None or step.time > until:
        return False
    return after is None or (step.until if going_on else step.time) > after


class GaveBack(NamedTuple):
    """Memory of a GPU that a process gave back, be it at its end."""

    uuid: str
    pid: int
    name: str | None
    """Of the process, or of the model that it held."""
    vram_bytes: int
    time: float
    since: float | None
    """When it had taken the first of what it held; ``None`` where nobody saw that."""


class GpuRecord(Struct):
    """A GPU, by UUID: the latest reading, the facts and slow fields read before, and its series."""

    reading: GpuReading
    seen: float
    """Time of the latest reading."""
    lost_since: float | None = None
    lost_at: float | None = None
    """When it was last lost, also where it is back."""
    lost_pids: tuple[int, ...] = ()
    """Processes that held memory of it then."""
    facts: GpuFacts = field(default_factory=GpuFacts)
    slow: GpuSlow = field(default_factory=GpuSlow)
    unaccounted_before: int | None = None
    """Bytes in use without an owner in the reading before the latest."""
    leftovers: deque[Leftover] = field(default_factory=lambda: deque(maxlen=LEFTOVERS_KEPT))
    xids: deque[XidError] = field(default_factory=lambda: deque(maxlen=XIDS_KEPT))
    """Of this run, the latest last."""
    holds: dict[int, Hold] = field(default_factory=dict)
    """What each process holds, by PID, of those that are listed now."""
    listed_at: float | None = None
    """When its processes were last listed."""
    vram: Series = field(default_factory=Series)
    utilization: Series = field(default_factory=Series)
    power: Series = field(default_factory=Series)
    energy: EnergyTrack = field(default_factory=EnergyTrack)
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
    "xid",  # an error that the driver has reported of a GPU
]


class Event(NamedTuple):
    """Something that happened, and does not last."""

    time: float
    kind: EventKind
    subject: str
    """Name of a model, URL of a server, ``GPU 0``; not harmless to draw."""
    runtime: str
    """Name of the ``ServerKind``."""
    pid: int
    number: int = 0
    """Of an Xid error."""
    subject_id: str = ""
    """UUID of its GPU."""


class SystemRecord(Struct):
    """RAM, swap and CPU: the latest sample and the series."""

    sample: SystemSample
    seen: float
    """Time of the latest sample."""
    ram_used: Series = field(default_factory=Series)
    swap_used: Series = field(default_factory=Series)
    cpu: Series = field(default_factory=Series)
