"""The store: takes samples in time order and keeps what they amount to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

BEAR_ON_SERVERS = frozenset({ProcessSample, OllamaSample, LlamaServerSample, SourceSilent, LogSample})
"""After these a server may be there, or not any more."""


class Store:
    """Applies samples to a state. Pure: no clock of its own, no I/O."""

    def __init__(self) -> None:
        self.state = State()

    def apply(self, sample: AnySample) -> None:
        """Take one sample. Samples come in time order; an older one counts as said now."""
        self.state.now = max(self.state.now, sample.time)
        _APPLIERS[type(sample)](self.state, sample)
        if type(sample) in BEAR_ON_SERVERS:
            sources.note_servers(self.state)
        if type(sample) in BEAR_ON_LOADS:
            follow_loads(self.state, sample)
            follow_predictions(self.state, sample)
