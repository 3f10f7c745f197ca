"""A machine that loads a model as llama.cpp does, looked at once a second.

In the order of llama.cpp (src/llama-model.cpp): a fit that allocates nothing; the file is mapped with all
its pages; device memory for the weights is taken at once; the copy; what lies on a GPU is unmapped; memory
for the context; warm-up. Without mapping, device memory is taken first and the file is read into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from msgspec.structs import replace
from tests.fakes.process_samples import BLOB, SERVER_PID, processes
from tests.fakes.samples import GIB, OLLAMA, START, claim, gpu, nvml, ollama

from gpumon.app.monitor import Store
from gpumon.app.state.records import Load, RunnerKey
from gpumon.collectors.samples import (
    AnySample,
    GpuProcess,
    GpuReading,
    InstalledModel,
    InstalledModels,
    ModelFacts,
    ModelState,
    RunnerProcess,
    RunnerSettings,
    WorkSample,
)

CONTEXT_BYTES = int(0.42 * GIB)
CODE_BYTES = int(0.2 * GIB)
PORT_OPENS_SECONDS = 0.3
JITTER = (1.0, 0.85, 1.1, 1.2, 0.9, 0.95)
"""How the rate of a disk varies from one fifth of a second to the next."""

Way = Literal["mapped", "read", "stepwise"]


@dataclass(frozen=True)
class Scenario:
    """What is loaded, from where and to where. Rates are GiB per second."""

    way: Way = "mapped"
    weights_gib: float = 20.0
    gpu_share: float = 1.0
    gpus: int = 1
    free_gib: float = 19.5
    """On each GPU, before the load."""
    cached: bool = False
    read_rate: float = 1.2
    copy_rate: float = 9.0
    fit_seconds: float = 1.4
    kv_gib: float = 2.0
    context_seconds: float = 0.7
    warm_up_seconds: float = 0.6
    io_readable: bool = True
    says_progress: bool = False
    context_length: int = 8192
    kind: str = "llama_server"


class Seen(NamedTuple):
    """What the state said at one look, and what was true."""

    at: float
    true_left: float
    left: float | None
    fraction: float | None
    phase: str
    rate: float | None
    estimated: bool


@dataclass
class Memory:
    """Of the loading process, in GiB."""

    pages: float = 0.0
    own: float = 0.1
    reads: float = 0.0
    vram: float = 0.0
    arrived: float = 0.0
    port: ModelState = "starting"


@dataclass
class Machine:
    """Plays scenarios one after the other into one store."""

    store: Store = field(default_factory=Store)
    now: float = 0.0
    pid: int = 100

    def feed(self, *samples: AnySample) -> None:
        for sample in samples:
            self.store.apply(sample)

    def load(self, scenario: Scenario) -> list[Seen]:
        """Play one load to its end and a claim; return what was seen each second until it was ready."""
        self.pid += 1
        began = self.now + 0.6
        curve = list(_curve(scenario))
        ready = began + (len(curve) - 1) / 20
        seen = []
        self.feed(*identity_samples(scenario.weights_gib, self.now), nvml(self.now, *idle_gpus(scenario)))
        while self.now < ready:
            self.now += 1
            memory = curve[min(int((self.now - began) * 20), len(curve) - 1)]
            self.feed(*self._look(scenario, memory, began))
            load = self.store.state.loads.get(RunnerKey(self.pid, START + began))
            if self.now < ready:
                assert load is not None, f"no load at {self.now - began:.1f} s of {ready - began:.1f}"
                seen.append(_seen(load, self.now - began, ready - self.now))
        self._claim_and_leave(scenario, curve[-1], began)
        return seen

    def _look(self, scenario: Scenario, memory: Memory, began: float) -> Iterator[AnySample]:
        yield processes(self.now, process(self.pid, scenario, memory, began))
        yield nvml(self.now + 0.1, *readings(self.pid, scenario, memory))
        yield WorkSample(
            time=START + self.now + 0.2,
            source=f"runner {self.pid}",
            pid=self.pid,
            started=START + began,
            state=memory.port,
            progress=min(1.0, memory.arrived / scenario.weights_gib) if scenario.says_progress else None,
        )

    def _claim_and_leave(self, scenario: Scenario, memory: Memory, began: float) -> None:
        """Let the server claim the model, then unload it."""
        self.feed(ollama(self.now + 0.5, [claim("llama3:70b", gpu_gib=memory.vram)]))
        self.now += 2
        self.feed(*self._look(scenario, memory, began))
        self.now += 60
        self.feed(processes(self.now), ollama(self.now), nvml(self.now, *idle_gpus(scenario)))


def _seen(load: Load, at: float, true_left: float) -> Seen:
    return Seen(
        at, true_left, load.seconds_left, load.fraction, load.phase, load.bytes_per_second, load.estimated
    )


def identity_samples(weights_gib: float, at: float = 0.0) -> tuple[AnySample, ...]:
    """Say which name the blob has and how large it is."""
    time = START + at
    size_bytes = int(weights_gib * GIB)
    installed = InstalledModel(name="llama3:70b", digest="sha-llama3:70b", size_bytes=size_bytes)
    return (
        InstalledModels(time=time, source=OLLAMA, models=(installed,)),
        ModelFacts(time=time, source=OLLAMA, name="llama3:70b", digest="sha-llama3:70b", blobs=(BLOB,)),
    )


def process(pid: int, scenario: Scenario, memory: Memory, began: float) -> RunnerProcess:
    pages, own = int(memory.pages * GIB) + CODE_BYTES, int(memory.own * GIB)
    return RunnerProcess(
        pid=pid,
        started=START + began,
        kind=scenario.kind,
        server_pid=SERVER_PID,
        settings=RunnerSettings(blob=BLOB, port=40000 + pid, context_length=scenario.context_length),
        rss_bytes=pages + own,
        file_bytes=pages,
        read_bytes=int(memory.reads * GIB) if scenario.io_readable else None,
    )


def idle_gpus(scenario: Scenario) -> list[GpuReading]:
    return [gpu(index, used_gib=23.5 - scenario.free_gib) for index in range(scenario.gpus)]


def readings(pid: int, scenario: Scenario, memory: Memory) -> Iterator[GpuReading]:
    for idle in idle_gpus(scenario):
        own: tuple[GpuProcess, ...] = ()
        if memory.vram > 0:
            size_bytes = int(memory.vram * GIB / scenario.gpus)
            own = (GpuProcess(pid=pid, vram_bytes=size_bytes, kinds=("compute",), name="llama-server"),)
        yield replace(idle, processes=own)


def _curve(s: Scenario) -> Iterator[Memory]:
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


def _weights(s: Scenario, before: Memory) -> Iterator[Memory]:
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


def _arrivals(s: Scenario) -> Iterator[float]:
    arrived, tick = 0.0, 0
    while arrived < s.weights_gib:
        yield arrived
        arrived += s.read_rate * JITTER[tick // 4 % len(JITTER)] / 20
        tick += 1
