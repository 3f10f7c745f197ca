"""What earlier runs have learned of this machine, read from the state directory at the start."""

from __future__ import annotations

from gpumon.collectors.samples.base import Fact, Sample, SourceHealth


class RateBaseline(Fact, frozen=True, kw_only=True):
    """The usual decode rate of a model on some GPUs at some length of context."""

    digest: str
    gpu_uuids: tuple[str, ...]
    """Sorted; empty is the CPU."""
    context_tokens_up_to: int
    """Upper end of the range of tokens in the context, a power of two."""
    parallel: int = 1
    """Requests at work together."""
    spill_percent_up_to: int | None = None
    """Upper end of the range of the share in RAM by the server's claim, in tens; 0 is wholly on GPU."""
    decode_tokens_per_second: float
    """Of one request: median of the last ones."""
    spread_tokens_per_second: float
    """Median absolute deviation."""
    request_count: int
    """All that it was learned from; the median is over the last ones."""
    updated: float
    """When a request last ran at about this rate."""
    context_tokens: int | None = None
    """Mean tokens in the context at the end of those requests."""
    recent_tokens_per_second: tuple[float, ...] = ()
    """The rates that median and spread are over, oldest first."""


class RateScale(Fact, frozen=True, kw_only=True):
    """Observed over predicted decode rate."""

    gpu_uuids: tuple[str, ...]
    is_moe: bool
    is_split: bool
    """Whether a part was in RAM: then the scale is that of the RAM part."""
    scale: float
    """Median of the last ones."""
    observation_count: int
    updated: float = 0.0
    recent: tuple[float, ...] = ()
    """The scales that the median is over, oldest first."""


class MemoryCorrection(Fact, frozen=True, kw_only=True):
    """Measured minus predicted VRAM of a model wholly on GPU."""

    digest: str
    gpu_uuids: tuple[str, ...]
    difference_bytes: int
    """Median of the last ones."""
    observation_count: int
    updated: float = 0.0
    recent_bytes: tuple[int, ...] = ()
    """The differences that the median is over, oldest first."""


class RamObservation(Fact, frozen=True, kw_only=True):
    """The nominal RAM bandwidth that the rates of split models stand for."""

    is_moe: bool
    """Whether of models with experts, which lie scattered over RAM."""
    bytes_per_second: float
    """Median of the last ones."""
    observation_count: int
    updated: float = 0.0
    recent: tuple[float, ...] = ()
    """What the median is over, oldest first."""


class Learned(Sample, frozen=True, kw_only=True, tag="learned"):
    """One reading of what was learned; source ``learned``."""

    health: SourceHealth = SourceHealth(state="serving")
    baselines: tuple[RateBaseline, ...] = ()
    scales: tuple[RateScale, ...] = ()
    memory: tuple[MemoryCorrection, ...] = ()
    ram_observed: tuple[RamObservation, ...] = ()
    ram_bandwidth_bytes_per_second: float | None = None
    """Measured by ``gpumon calibrate``."""
