"""The store: takes samples in time order and keeps what they amount to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from gpumon.app.state.records import GpuRecord, ModelKey, ModelRecord, SourceRecord, SystemRecord
from gpumon.collectors.samples import (
    HEALTHY_STATES,
    AnySample,
    GpuReading,
    ModelClaim,
    NvmlSample,
    OllamaInstalled,
    OllamaModelFacts,
    OllamaSample,
    SourceHealth,
    SourceSilent,
    SystemSample,
)

MODELS_END_WITH = frozenset({"not_running", "foreign"})
"""States of a server in which its models are known to be gone; in the others they are only not confirmed."""

LISTS_ALL_GPUS = frozenset({"serving", "idle"})
"""States of the driver in which a GPU that it does not list is no longer there."""

CLOCK_RESOLUTION_SECONDS = 2.0
"""An HTTP ``Date`` header counts whole seconds; a smaller difference says nothing."""

DEPARTED_KEPT = 50
FACTS_KEPT = 500


class State:
    """What is known now. Read it; only the store writes."""

    def __init__(self) -> None:
        self.now = 0.0
        """Time of the newest sample: the only clock there is."""
        self.sources: dict[str, SourceRecord] = {}
        self.gpus: dict[str, GpuRecord] = {}
        self.models: dict[ModelKey, ModelRecord] = {}
        self.departed: deque[ModelRecord] = deque(maxlen=DEPARTED_KEPT)
        """Models that were unloaded, oldest first."""
        self.system: SystemRecord | None = None
        self.driver_version: str | None = None
        self.installed: dict[str, OllamaInstalled] = {}
        self.facts: dict[ModelKey, OllamaModelFacts] = {}
        self.gpu_known = False
        """Whether the driver has shown a GPU or a server has claimed VRAM, at any time of this run."""
        self.gpus_revision = 0
        """Grows with every sample that speaks of GPUs; likewise the next two."""
        self.models_revision = 0
        self.system_revision = 0

    @property
    def has_gpu(self) -> bool:
        """Whether this machine's driver has shown a GPU."""
        return bool(self.gpus)


class Store:
    """Applies samples to a state. Pure: no clock of its own, no I/O."""

    def __init__(self) -> None:
        self.state = State()
        self._appliers: dict[type[Any], Callable[[Any], None]] = {
            NvmlSample: self._apply_nvml,
            SystemSample: self._apply_system,
            OllamaSample: self._apply_ollama,
            OllamaModelFacts: self._apply_facts,
            OllamaInstalled: self._apply_installed,
            SourceSilent: self._apply_silent,
        }

    def apply(self, sample: AnySample) -> None:
        """Take one sample. Samples come in time order; an older one counts as said now."""
        self.state.now = max(self.state.now, sample.time)
        self._appliers[type(sample)](sample)

    def _heard(self, source: str, health: SourceHealth, version: str | None = None) -> None:
        now = self.state.now
        record = self.state.sources.get(source)
        if record is None:
            record = self.state.sources[source] = SourceRecord(source, health, since=now)
        elif record.health.state != health.state:
            record.since = now
        record.health = health
        record.silent_seconds = record.silent_since = None
        record.version = version or record.version
        if health.state in HEALTHY_STATES:
            record.answered = now

    def _apply_silent(self, sample: SourceSilent) -> None:
        if sample.detail is not None:
            self._heard(sample.source, SourceHealth(state="failing", detail=sample.detail))
            return
        record = self.state.sources.get(sample.source)
        if record is None:
            health = SourceHealth(state="hanging")
            record = SourceRecord(sample.source, health, since=self.state.now - sample.seconds)
            self.state.sources[sample.source] = record
        record.silent_seconds = sample.seconds
        record.silent_since = self.state.now - sample.seconds

    def _apply_nvml(self, sample: NvmlSample) -> None:
        self._heard(sample.source, sample.health, sample.driver_version)
        self.state.driver_version = sample.driver_version or self.state.driver_version
        self.state.gpus_revision += 1
        for reading in sample.gpus:
            self._apply_reading(reading)
        if sample.health.state in LISTS_ALL_GPUS:
            self._forget_gpus(keep={reading.uuid for reading in sample.gpus})
        self.state.gpu_known = self.state.gpu_known or self.state.has_gpu

    def _forget_gpus(self, keep: set[str]) -> None:
        for uuid in [uuid for uuid in self.state.gpus if uuid not in keep]:
            del self.state.gpus[uuid]

    def _apply_reading(self, reading: GpuReading) -> None:
        now = self.state.now
        record = self.state.gpus.get(reading.uuid)
        if record is None:
            record = self.state.gpus[reading.uuid] = GpuRecord(reading, seen=now)
        record.reading, record.seen = reading, now
        record.facts = reading.facts or record.facts
        record.slow = reading.slow or record.slow
        if reading.state != "lost":
            record.lost_since = None
        elif record.lost_since is None:
            record.lost_since = now
        record.vram.add(now, reading.memory.used_bytes if reading.memory else None)
        record.utilization.add(now, reading.utilization_percent)
        record.power.add(now, reading.power_watts)
        record.temperature.add(now, reading.temperature_celsius)

    def _apply_system(self, sample: SystemSample) -> None:
        self._heard(sample.source, sample.health)
        now = self.state.now
        if self.state.system is None:
            self.state.system = SystemRecord(sample, seen=now)
        system = self.state.system
        system.sample, system.seen = sample, now
        self.state.system_revision += 1
        system.ram_used.add(now, sample.ram_used_bytes)
        system.swap_used.add(now, sample.swap_used_bytes)
        system.cpu.add(now, sample.cpu_percent)

    def _apply_ollama(self, sample: OllamaSample) -> None:
        self._heard(sample.source, sample.health, sample.version)
        self.state.models_revision += 1
        offset = sample.clock_offset_seconds
        if offset is not None:
            significant = abs(offset) > CLOCK_RESOLUTION_SECONDS
            self.state.sources[sample.source].clock_offset_seconds = offset if significant else 0.0
        if sample.models is not None:
            keys = [self._apply_claim(sample.source, claim) for claim in sample.models]
            self._depart(sample.source, keep=set(keys))
        elif sample.health.state in MODELS_END_WITH:
            self._depart(sample.source, keep=set())

    def _apply_claim(self, source: str, claim: ModelClaim) -> ModelKey:
        now = self.state.now
        key = ModelKey(source, claim.digest or claim.name)
        record = self.state.models.get(key)
        if record is None:
            record = ModelRecord(key, claim, first_seen=now, seen=now, facts=self.state.facts.get(key))
            self.state.models[key] = record
        record.claim, record.seen = claim, now
        split = record.split
        self.state.gpu_known = self.state.gpu_known or bool(split.gpu_bytes)
        if split.spill_fraction == 0:
            record.spilled_since = None
        elif split.spill_fraction is not None and record.spilled_since is None:
            record.spilled_since = now
        record.vram.add(now, split.gpu_bytes)
        record.ram.add(now, split.ram_bytes)
        record.spill.add(now, split.spill_fraction)
        return key

    def _depart(self, source: str, keep: set[ModelKey]) -> None:
        gone = [key for key in self.state.models if key.source == source and key not in keep]
        for key in gone:
            record = self.state.models.pop(key)
            record.gone = self.state.now
            self.state.departed.append(record)

    def _apply_facts(self, sample: OllamaModelFacts) -> None:
        key = ModelKey(sample.source, sample.digest)
        self.state.facts[key] = sample
        if len(self.state.facts) > FACTS_KEPT:
            del self.state.facts[next(iter(self.state.facts))]
        if key in self.state.models:
            self.state.models[key].facts = sample

    def _apply_installed(self, sample: OllamaInstalled) -> None:
        self.state.installed[sample.source] = sample
