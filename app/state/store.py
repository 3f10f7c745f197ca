"""The store: takes samples in time order and keeps what they amount to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpumon.app.fuses import UNFUSED, Fuses
from gpumon.app.insight.learning.predictions import follow_predictions
from gpumon.app.state import machine
from gpumon.app.state.apply import meters, models, runners, served, sources
from gpumon.app.state.loads.follow import BEAR_ON_LOADS, follow_loads
from gpumon.app.state.state import State
from gpumon.collectors.samples import (
    AnySample,
    BlobNames,
    Learned,
    LlamaServerSample,
    LogSample,
    MeterSample,
    NvmlSample,
    OllamaInstalled,
    OllamaModelFacts,
    OllamaSample,
    ProcessSample,
    RunnerSample,
    ServedModelSample,
    SourceHealth,
    SourceSilent,
    SystemSample,
)

_APPLIERS: dict[type[Any], Callable[[State, Any], None]] = {
    NvmlSample: machine.apply_nvml,
    SystemSample: machine.apply_system,
    OllamaSample: models.apply_ollama,
    OllamaModelFacts: models.apply_facts,
    OllamaInstalled: models.apply_installed,
    ProcessSample: runners.apply_processes,
    BlobNames: runners.apply_blob_names,
    RunnerSample: runners.apply_runner,
    LogSample: runners.apply_log,
    MeterSample: meters.apply_meter,
    LlamaServerSample: served.apply_llama_server,
    ServedModelSample: served.apply_served_model,
    Learned: machine.apply_learned,
    SourceSilent: sources.apply_silent,
}

_PLACES = {kind: f"sample {kind.__struct_config__.tag}" for kind in _APPLIERS}
"""How taking in each kind of sample is called where it fails."""

BEAR_ON_SERVERS = frozenset({ProcessSample, OllamaSample, LlamaServerSample, SourceSilent, LogSample})
"""After these a server may be there, or not any more."""


class Store:
    """Applies samples to a state. Pure: no clock of its own, no I/O.

    What fails over a sample costs that sample, and is recorded in ``fuses``; by default it is raised.
    """

    def __init__(self, fuses: Fuses = UNFUSED) -> None:
        self.state = State()
        self._fuses = fuses

    def apply(self, sample: AnySample) -> None:
        """Take one sample. Samples come in time order; an older one counts as said now."""
        state, kind, guard = self.state, type(sample), self._fuses.guard
        state.now = max(state.now, sample.time)
        if not self._take(sample):
            sources.note_not_taken(state, sample)
        if kind in BEAR_ON_SERVERS:
            sources.note_servers(state)
        if kind in BEAR_ON_LOADS:
            with guard("loads"):
                follow_loads(state, sample)
            with guard("predictions"):
                follow_predictions(state, sample)

    def _take(self, sample: AnySample) -> bool:
        """Apply a sample; return whether that went well."""
        kind = type(sample)
        with self._fuses.guard(_PLACES.get(kind, "sample"), sample.source):
            _APPLIERS[kind](self.state, sample)
            return True
        return False

    def note_own_health(self, name: str, health: SourceHealth | None) -> None:
        """Record how gpumon itself is, as a source called ``name``; ``None`` while nothing fails."""
        sources.note_own_health(self.state, name, health)
