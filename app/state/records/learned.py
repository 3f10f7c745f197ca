"""What is learned of this machine over many runs, and how two versions of it become one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from msgspec import Struct, field

from gpumon.collectors.samples import Learned, MemoryCorrection, RamObservation, RateBaseline, RateScale

KEPT = 300
"""Of each kind; the ones not renewed for longest go."""


class BaselineKey(NamedTuple):
    """In which circumstances a rate is usual."""

    digest: str
    gpu_uuids: tuple[str, ...]
    context_tokens_up_to: int
    parallel: int
    spill_percent_up_to: int | None


class ScaleKey(NamedTuple):
    """What a factor on predicted rates is for."""

    gpu_uuids: tuple[str, ...]
    is_moe: bool
    is_split: bool


class MemoryKey(NamedTuple):
    """What a correction of predicted memory is for."""

    digest: str
    gpu_uuids: tuple[str, ...]


class LearnedRecord(Struct):
    """All that is learned: by earlier runs and other instances, and by this one."""

    baselines: dict[BaselineKey, RateBaseline] = field(default_factory=dict)
    scales: dict[ScaleKey, RateScale] = field(default_factory=dict)
    memory: dict[MemoryKey, MemoryCorrection] = field(default_factory=dict)
    ram_observed: dict[bool, RamObservation] = field(default_factory=dict)
    """By whether it is that of models with experts."""
    ram_bandwidth_bytes_per_second: float | None = None
    """Measured by ``gpumon calibrate``."""

    def absorb(self, other: Learned) -> None:
        """Take in what another has learned: of two of a kind the one renewed later, of equals the own."""
        for baseline in other.baselines:
            _take(self.baselines, baseline_key(baseline), baseline, _age_of_baseline)
        for scale in other.scales:
            _take(self.scales, scale_key(scale), scale, _age_of_observations)
        for correction in other.memory:
            _take(self.memory, memory_key(correction), correction, _age_of_observations)
        for observed in other.ram_observed:
            _take(self.ram_observed, observed.is_moe, observed, _age_of_observations)
        self.ram_bandwidth_bytes_per_second = (
            other.ram_bandwidth_bytes_per_second or self.ram_bandwidth_bytes_per_second
        )
        self.bound()

    def bound(self) -> None:
        """Forget the oldest of each kind beyond ``KEPT``."""
        _bound(self.baselines, _age_of_baseline)
        _bound(self.scales, _age_of_observations)
        _bound(self.memory, _age_of_observations)


def record_of(samples: Iterable[Learned]) -> LearnedRecord:
    """Return what several readings amount to."""
    record = LearnedRecord()
    for sample in samples:
        record.absorb(sample)
    return record


def baseline_key(baseline: RateBaseline) -> BaselineKey:
    """Return the circumstances of a baseline."""
    return BaselineKey(
        baseline.digest,
        baseline.gpu_uuids,
        baseline.context_tokens_up_to,
        baseline.parallel,
        baseline.spill_percent_up_to,
    )


def scale_key(scale: RateScale) -> ScaleKey:
    """Return what a scale is for."""
    return ScaleKey(scale.gpu_uuids, scale.is_moe, scale.is_split)


def memory_key(correction: MemoryCorrection) -> MemoryKey:
    """Return what a correction is for."""
    return MemoryKey(correction.digest, correction.gpu_uuids)


_K = TypeVar("_K")
_V = TypeVar("_V")
_Age = tuple[float, int]


def _take(known: dict[_K, _V], key: _K, value: _V, age: Callable[[_V], _Age]) -> None:
    before = known.get(key)
    if before is None or age(value) > age(before):
        known[key] = value


def _bound(known: dict[_K, _V], age: Callable[[_V], _Age]) -> None:
    for key in sorted(known, key=lambda key: age(known[key]))[: max(0, len(known) - KEPT)]:
        del known[key]


def _age_of_baseline(baseline: RateBaseline) -> _Age:
    return baseline.updated, baseline.request_count


def _age_of_observations(value: RateScale | MemoryCorrection | RamObservation) -> _Age:
    return value.updated, value.observation_count
