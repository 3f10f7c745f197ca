"""How a process loads its weights, as llama.cpp does.

In the order of llama.cpp (src/llama-model.cpp): a fit that allocates nothing; the file is mapped with all
its pages; device memory for the weights is taken at once; the copy; what lies on a GPU is unmapped; memory
for the context; warm-up. Without mapping, device memory is taken first and the file is read into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from tests.fakes.samples import GIB

from gpumon.collectors.samples import ModelState

CONTEXT_BYTES = int(0.42 * GIB)
CODE_BYTES = int(0.2 * GIB)
PORT_OPENS_SECONDS = 0.3
TICKS = 20
"""Of a second."""
JITTER = (1.0, 0.85, 1.1, 1.2, 0.9, 0.95)
"""How the rate of a disk varies from one fifth of a second to the next."""

Way = Literal["mapped", "read", "stepwise"]


@dataclass
class Memory:
    """Of the loading process, in GiB."""

    pages: float = 0.0
    own: float = 0.1
    reads: float = 0.0
    vram: float = 0.0
    arrived: float = 0.0
    port: ModelState = "starting"


@dataclass(frozen=True)
class Loading:
    """What is loaded, from where and to where. Rates are GiB per second."""

    way: Way = "mapped"
    weights_gib: float = 20.0
    gpu_share: float = 1.0
    gpus: int = 1
    """It lies on that many, evenly."""
    cached: bool = False
    read_rate: float = 1.2
    copy_rate: float = 9.0
    fit_seconds: float = 1.4
    kv_gib: float = 2.0
    context_seconds: float = 0.7
    warm_up_seconds: float = 0.6
    io_readable: bool = True
    says_progress: bool = False

    @cached_property
    def curve(self) -> list[Memory]:
        """Return the memory of the process every twentieth of a second, from start to ready."""
        return list(_curve(self))

    @property
    def seconds(self) -> float:
        """Return how long it takes until the model is ready."""
        return (len(self.curve) - 1) / TICKS

    def after(self, seconds: float) -> Memory:
        """Return the memory so long after the start of the process."""
        return self.curve[min(max(int(seconds * TICKS), 0), len(self.curve) - 1)]

    def figures(self, seconds: float) -> dict[str, Any]:
        """Return what the system says of the process then."""
        memory = self.after(seconds)
        pages = int(memory.pages * GIB) + CODE_BYTES
        return {
            "rss_bytes": pages + int(memory.own * GIB),
            "file_bytes": pages,
            "read_bytes": int(memory.reads * GIB) if self.io_readable else None,
        }

    def progress(self, seconds: float) -> float | None:
        """Return what its port says of it then."""
        return min(1.0, self.after(seconds).arrived / self.weights_gib) if self.says_progress else None


def _curve(s: Loading) -> Iterator[Memory]:
    """Give the memory of the process every twentieth of a second, from start to ready."""
    memory = Memory()
    for tick in range(int((PORT_OPENS_SECONDS + s.fit_seconds) * 20)):
        port: ModelState = "starting" if tick < PORT_OPENS_SECONDS * 20 else "loading"
        vram = CONTEXT_BYTES / GIB * s.gpus if tick > 10 and s.gpu_share else 0.0
        memory = Memory(own=min(0.3, 0.1 + tick / 100), vram=vram, port=port)
        yield memory
    for step in _weights(s, memory):
        memory = step
        yield memory
    full = memory.vram + s.kv_gib * bool(s.gpu_share)
    own = memory.own if s.gpu_share else memory.own + s.kv_gib
    left = s.weights_gib * (1 - s.gpu_share) if s.way == "mapped" else 0.0
    for _ in range(int((s.context_seconds + s.warm_up_seconds) * 20)):
        yield Memory(left, own, memory.reads, full, s.weights_gib, "loading")
    yield Memory(left, own, memory.reads, full, s.weights_gib, "ready")


def _weights(s: Loading, before: Memory) -> Iterator[Memory]:
    on_gpu = s.weights_gib * s.gpu_share
    in_ram = s.weights_gib - on_gpu if s.way != "mapped" else 0.0
    ahead = before.vram + on_gpu
    for arrived in _arrivals(s):
        reads = 0.0 if s.cached else arrived
        share = arrived / s.weights_gib
        match s.way:
            case "mapped":
                yield Memory(arrived, before.own, reads, before.vram, arrived, "loading")
            case "read":
                own = before.own + max(0.0, arrived - on_gpu)
                yield Memory(0.0, own, reads, ahead, arrived, "loading")
            case "stepwise":
                own = before.own + share * in_ram
                yield Memory(0.0, own, reads, before.vram + share * on_gpu, arrived, "loading")
    done = Memory(
        0.0, before.own + in_ram, 0.0 if s.cached else s.weights_gib, ahead, s.weights_gib, "loading"
    )
    if s.way == "mapped":
        for _ in range(int(on_gpu / s.copy_rate * 20)):
            yield Memory(s.weights_gib, before.own, done.reads, ahead, s.weights_gib, "loading")
    yield done


def _arrivals(s: Loading) -> Iterator[float]:
    arrived, tick = 0.0, 0
    while arrived < s.weights_gib:
        yield arrived
        arrived += s.read_rate * JITTER[tick // 4 % len(JITTER)] / 20
        tick += 1
