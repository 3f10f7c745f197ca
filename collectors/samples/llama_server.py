"""What a llama-server that is asked by its URL says: which models it has, and how each of them works."""

from __future__ import annotations

from gpumon.collectors.samples.base import Fact, Sample, SourceHealth
from gpumon.collectors.samples.runner import (
    RunnerCounters,
    RunnerFacts,
    RunnerSettings,
    RunnerState,
    Slot,
)


class ServedModel(Fact, frozen=True, kw_only=True):
    """A model that is loaded, loading or asleep."""

    name: str
    """The alias; without one, the name of the file."""
    state: RunnerState
    settings: RunnerSettings | None = None
    """What the router has told its child; ``None`` where there is no router."""


class LlamaServerSample(Sample, frozen=True, kw_only=True, tag="llama_server"):
    """One look at a server: ``GET /models`` of a router, ``/health`` of a server with one model."""

    health: SourceHealth
    version: str | None = None
    """``build_info``: ``b11434-1a2b3c4``; repackaged builds say ``b0-unknown``."""
    models: tuple[ServedModel, ...] | None = None
    """``None`` when the list could not be had; empty when no model is loaded."""


class ServedModelSample(Sample, frozen=True, kw_only=True, tag="llama_server_model"):
    """One poll of one model's statistics; source: the URL of its server."""

    name: str
    state: RunnerState
    detail: str | None = None
    facts: RunnerFacts | None = None
    """Set in the first sample after each load."""
    slots: tuple[Slot, ...] | None = None
    """``None`` when not asked or not to be had."""
    counters: RunnerCounters | None = None
