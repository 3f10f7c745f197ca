"""The store: takes samples in time order and keeps what they amount to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpumon.app.state import machine
from gpumon.app.state.apply import meters, processes, servers, sources
from gpumon.app.state.loads.follow import BEAR_ON_LOADS, follow_loads
from gpumon.app.state.state import State
from gpumon.app.state.touched import Touched
from gpumon.collectors.samples import (
    AnySample,
    BlobNames,
    InstalledModels,
    Learned,
    LogSample,
    MeterSample,
    ModelFacts,
    NvmlSample,
    ProcessSample,
    ServerSample,
    SourceSilent,
    SystemSample,
    WorkSample,
)

_APPLIERS: dict[type[Any], Callable[[State, Any], None]] = {
    NvmlSample: machine.apply_nvml,
    SystemSample: machine.apply_system,
    ServerSample: servers.apply_server,
    WorkSample: servers.apply_work,
    ModelFacts: servers.apply_facts,
    InstalledModels: servers.apply_installed,
    ProcessSample: processes.apply_processes,
    BlobNames: processes.apply_blob_names,
    LogSample: processes.apply_log,
    MeterSample: meters.apply_meter,
    Learned: machine.apply_learned,
    SourceSilent: sources.apply_silent,
}

BEAR_ON_SERVERS = frozenset({ProcessSample, ServerSample, SourceSilent, LogSample})
"""After these a server may be there, or not any more."""


class Store:
    """Applies samples to a state. Pure: no clock of its own, no I/O."""

    def __init__(self) -> None:
        self.state = State()

    def apply(self, sample: AnySample) -> Touched:
        """Take in one sample and return what it touched.

        Samples come in time order; an older one counts as said now.
        """
        touched = self.state.touched = Touched()
        self.state.now = max(self.state.now, sample.time)
        _APPLIERS[type(sample)](self.state, sample)
        if type(sample) in BEAR_ON_SERVERS:
            sources.note_servers(self.state)
        if type(sample) in BEAR_ON_LOADS:
            follow_loads(self.state, sample)
        return touched
