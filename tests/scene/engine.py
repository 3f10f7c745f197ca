"""A vLLM on one or more cards, by the samples that the collectors would have of it.

engine = Engine(cards=2)
engine.set(used=0.5, running=2)
engine.run(5)
assert engine.model.pool.figures.used_fraction == 0.5
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from tests.fakes import process_samples, samples
from tests.fakes.samples import GIB, START

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.collectors.samples import (
    CachePool,
    GpuFacts,
    GpuReading,
    LoadFacts,
    LogEvent,
    LogSample,
    ModelState,
    Reserve,
    RunnerProcess,
    RunnerSettings,
    SourceHealth,
    WorkCounters,
    WorkSample,
)

NAME = "Qwen/Qwen3-8B-AWQ"
PID, WORKER, DRIVER_LOG = 500, 501, "log /srv/vllm.log"
TOKENS = 49152
FACTS = GpuFacts(
    memory_bus_width_bits=384, max_memory_clock_mhz=10501, pcie_generation_max=4, pcie_width_max=16
)


class Engine:
    """One server; what is set on it is so from the next look on."""

    def __init__(self, cards: int = 1, reserve: Reserve | None = None, cache_type: str | None = None) -> None:
        self.cards = cards
        self.gib_on_each = 20.0
        self.state: ModelState = "ready"
        self.detail: str | None = None
        self.context_length = 32768
        self.now = 0.0
        self.pool: CachePool | None = CachePool(used_fraction=0.0, capacity_tokens=TOKENS, used_tokens=0)
        self.counters: WorkCounters | None = WorkCounters(
            grows_live=True,
            prompt_tokens_total=0.0,
            decoded_tokens_total=0.0,
            requests_processing=0,
            requests_deferred=0,
            preemptions_total=0.0,
            prefix_tokens_total=0.0,
            prefix_tokens_found_total=0.0,
        )
        self.settings = RunnerSettings(
            model_name=NAME,
            port=8000,
            context_length=32768,
            cache_type_k=cache_type,
            reserve=reserve or Reserve(gpu_count=cards),
        )
        self.started_before = 600.0
        self.monitor = Monitor(Limits())

    def set(self, used: float | None = None, **figures: object) -> None:
        """Set how full its cache is, and its counters."""
        if used is not None:
            self.pool = CachePool(
                used_fraction=used, capacity_tokens=TOKENS, used_tokens=round(used * TOKENS)
            )
        assert self.counters is not None
        self.counters = replace(self.counters, **figures)

    def grow(self, **amounts: float) -> None:
        """Add to its counters."""
        self.set(None, **{name: getattr(self.counters, name) + amount for name, amount in amounts.items()})

    def log(self, *events: LogEvent) -> None:
        """Have it write to a log that nobody else writes to."""
        health = SourceHealth(state="serving")
        self.monitor.feed(
            LogSample(time=START + self.now, source=DRIVER_LOG, health=health, events=events, pid=PID)
        )

    def look(self) -> None:
        """Have driver, processes and port speak."""
        started = START - self.started_before
        at = self.now
        readings = (self._reading(index) for index in range(self.cards))
        self.monitor.feed(samples.nvml(at, *readings))
        workers = tuple((WORKER + index, started + 5) for index in range(self.cards))
        process = RunnerProcess(
            pid=PID, started=started, kind="vllm", settings=self.settings, workers=workers
        )
        self.monitor.feed(process_samples.processes(at, process, servers=()))
        self.monitor.feed(
            WorkSample(
                state=self.state,
                detail=self.detail,
                time=START + at,
                source=f"runner {PID}",
                pid=PID,
                started=started,
                port=8000,
                origin="/metrics",
                facts=LoadFacts(context_length=self.context_length) if self.state == "ready" else None,
                counters=self.counters if self.state == "ready" else None,
                pool=self.pool if self.state == "ready" else None,
            )
        )
        self.now += 1.0

    def end(self) -> None:
        """Have its processes end."""
        self.monitor.feed(process_samples.processes(self.now, servers=()))
        self.now += 1.0

    def run(self, seconds: float) -> None:
        """Look once a second."""
        for _ in range(round(seconds)):
            self.look()

    @property
    def model(self) -> ModelPicture:
        """The only one there is."""
        (model,) = self.monitor.pictures.models()
        return model

    @property
    def details(self) -> ModelDetails:
        """What its page says besides."""
        found = self.monitor.pictures.details(self.model.key)
        assert found is not None
        return found

    @property
    def gpus(self) -> Iterable[GpuPicture]:
        """Its cards."""
        return self.monitor.pictures.gpus()

    def _reading(self, index: int) -> GpuReading:
        reading = samples.gpu(index, used_gib=self.gib_on_each + 0.5, facts=FACTS)
        assert reading.memory is not None
        free = int((23.0 - self.gib_on_each) * GIB)
        reading = replace(reading, memory=replace(reading.memory, free_bytes=free))
        return process_samples.holding(reading, {WORKER + index: self.gib_on_each})
