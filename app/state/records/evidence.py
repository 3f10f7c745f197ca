"""What is seen of the bytes of a load: several ways to see them arrive, none of which always works.

llama.cpp maps the file and faults all of its pages in (``MAP_POPULATE``), then allocates all device
memory for the weights at once, then copies (src/llama-model.cpp: load_tensors). So mapped pages show the
reading, and device memory jumps long before the weights are in it. Without mapping, bytes read from
storage show it, where they may be read. A CPU-only load is not mapped and shows in the process's own
memory. Device memory that grows step by step is followed as well.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from msgspec import Struct, field

from gpumon.app.cuda import CUDA_CONTEXT_MAX_BYTES
from gpumon.collectors.samples import RunnerProcess
from gpumon.text.units import GIB

RATE_SECONDS = 3.0
POINTS_KEPT = 32

NOISE_BYTES = GIB // 2
"""Below this it may be code and libraries that arrive, not weights."""
OVERHEAD_BYTES = GIB // 4
"""At most so much of what is there at first sight is taken for code, the rest for weights."""
AHEAD_SHARE = 0.2
"""Device memory that grows by this share of the weights between two polls was allocated, not filled."""
STEADY_BYTES = 32 * 1024**2
MAPPED_SHARE = 0.5


class Point(NamedTuple):
    """An amount at a time."""

    time: float
    amount: float


class Stream(Struct):
    """One way to see something arrive: the most seen so far, and the last seconds of it."""

    floor: float = NOISE_BYTES
    """Up to here nothing has arrived yet."""
    amount: float = 0.0
    points: deque[Point] = field(default_factory=lambda: deque(maxlen=POINTS_KEPT))

    def take(self, time: float, amount: float) -> None:
        """Take in what has arrived by ``time``; less than before is taken for no more than before."""
        self.amount = max(self.amount, amount)
        points = self.points
        if points and time <= points[-1].time:
            return
        points.append(Point(time, self.amount))
        while len(points) > 1 and self._is_stale(points[0], points[1], time):
            points.popleft()

    def _is_stale(self, first: Point, second: Point, time: float) -> bool:
        """Return whether a point is old, or in the wait before the growth.

        The last of that wait serves until there are two points of the growth.
        """
        if time - first.time > RATE_SECONDS + 0.5:
            return True
        return first.amount <= self.floor and (second.amount <= self.floor or len(self.points) > 2)

    @property
    def rate(self) -> float | None:
        """Amount per second over the last seconds; ``None`` before there are two points."""
        if len(self.points) < 2:
            return None
        first, last = self.points[0], self.points[-1]
        return (last.amount - first.amount) / (last.time - first.time)

    def time_of(self, amount: float) -> float | None:
        """Return when ``amount`` was reached between the last two points, by the rate before them."""
        if len(self.points) < 3:
            return self.points[-1].time if self.points else None
        first, before, last = self.points[0], self.points[-2], self.points[-1]
        rate = (before.amount - first.amount) / (before.time - first.time)
        if rate <= 0:
            return last.time
        return min(last.time, max(before.time, before.time + (amount - before.amount) / rate))


class Evidence(Struct):
    """All ways to see the bytes of one load."""

    pages: Stream = field(default_factory=Stream)
    """Bytes of the file that are mapped."""
    reads: Stream = field(default_factory=Stream)
    """Bytes read from storage: all of them only where nothing of the file was cached."""
    memory: Stream = field(default_factory=Stream)
    """Device memory without contexts, and the process's own memory."""
    said: Stream = field(default_factory=lambda: Stream(floor=0.0))
    """What the runner itself says, 0 to 1."""
    pages_now: int = 0
    base_file_bytes: int | None = None
    base_read_bytes: int | None = None
    base_own_bytes: int | None = None
    own_bytes: int = 0
    """Growth of what is resident and no page of a file."""
    vram_time: float | None = None
    vram_bytes: int = 0
    gpu_count: int = 0
    vram_steady: bool = False
    """Whether the latest two polls of the driver were alike."""
    allocated_bytes: int | None = None
    """Device memory that was taken for the weights at once, so that it shows nothing of their arrival."""
    allocated_at: float | None = None
    allocated_pages: float = 0.0
    """Bytes of the file that were mapped when that happened."""
    regrown: bool = False
    """Whether device memory has grown again after that."""
    arrived_at: float | None = None
    """When the last byte of the weights was in RAM."""
    context_at: float | None = None
    """When memory for the context was first seen, and so the weights were in place."""

    @property
    def gpu_bytes(self) -> int:
        """Device memory beyond what a CUDA context takes."""
        return max(0, self.vram_bytes - CUDA_CONTEXT_MAX_BYTES * self.gpu_count)

    @property
    def weights_have_room(self) -> bool:
        """Whether all device memory for the weights is there: what is taken next is for the context."""
        return self.allocated_bytes is not None or (self.arrived_at is not None and self.gpu_bytes > 0)


def take_process(evidence: Evidence, process: RunnerProcess, time: float) -> None:
    """Take in the memory and the reads of the process, as seen at ``time``."""
    if (pages := process.file_bytes) is not None:
        evidence.base_file_bytes = _base(evidence.base_file_bytes, pages)
        evidence.pages_now = max(0, pages - evidence.base_file_bytes)
        evidence.pages.take(time, evidence.pages_now)
    if (reads := process.read_bytes) is not None:
        evidence.base_read_bytes = _base(evidence.base_read_bytes, reads)
        evidence.reads.take(time, reads - evidence.base_read_bytes)
    if process.rss_bytes is not None and pages is not None:
        own = max(0, process.rss_bytes - pages)
        evidence.base_own_bytes = _base(evidence.base_own_bytes, own)
        evidence.own_bytes = own - evidence.base_own_bytes
        if evidence.gpu_count == 0:
            _take_memory(evidence, time)


def take_vram(evidence: Evidence, vram_by_gpu: dict[str, int], time: float, target_bytes: int | None) -> None:
    """Take in the device memory of the process, as the driver's poll at ``time`` gave it."""
    if evidence.vram_time is not None and time <= evidence.vram_time:
        return
    vram_before, gpu_before, was_steady = evidence.vram_bytes, evidence.gpu_bytes, evidence.vram_steady
    is_first = evidence.vram_time is None
    evidence.vram_time, evidence.vram_bytes = time, sum(vram_by_gpu.values())
    evidence.gpu_count = len(vram_by_gpu)
    evidence.vram_steady = not is_first and abs(evidence.vram_bytes - vram_before) < STEADY_BYTES
    _note_growth(evidence, evidence.gpu_bytes - gpu_before, was_steady, target_bytes)
    _take_memory(evidence, time)


def arriving(evidence: Evidence) -> Stream | None:
    """Return the stream that shows the most bytes of weights; ``None`` while none shows any."""
    most = max((evidence.pages, evidence.reads, evidence.memory), key=lambda stream: stream.amount)
    return most if most.amount >= NOISE_BYTES else None


def is_mapped(evidence: Evidence) -> bool:
    """Return whether the weights arrive as mapped pages of the file."""
    pages = evidence.pages.amount
    return pages >= NOISE_BYTES and pages >= MAPPED_SHARE * evidence.reads.amount


def _note_growth(evidence: Evidence, grown: int, was_steady: bool, target_bytes: int | None) -> None:
    if target_bytes and grown >= AHEAD_SHARE * target_bytes:
        evidence.allocated_bytes, evidence.allocated_at = evidence.gpu_bytes, evidence.vram_time
        evidence.allocated_pages = evidence.pages.amount
        evidence.memory = Stream()
    elif was_steady and grown >= STEADY_BYTES and evidence.weights_have_room:
        evidence.regrown = True


def _take_memory(evidence: Evidence, time: float) -> None:
    if evidence.allocated_bytes is None:
        evidence.memory.take(time, evidence.gpu_bytes + evidence.own_bytes)


def _base(before: int | None, now: int) -> int:
    return min(now, OVERHEAD_BYTES) if before is None else before
