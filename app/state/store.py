"""The store: takes samples in time order and keeps what they amount to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpumon.app.fuses import UNFUSED, Fuses
from gpumon.app.state import machine, processes, servers, sources, work
from gpumon.app.state.loads.follow import BEAR_ON_LOADS, follow_loads
from gpumon.app.state.state import State, Touched
from gpumon.collectors.samples import (
    AnySample,
    BlobNames,
    FileFacts,
    InstalledModels,
    Learned,
    LogSample,
    MeterSample,
    ModelFacts,
    NvmlSample,
    ProcessSample,
    ServerSample,
    SourceHealth,
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
    FileFacts: processes.apply_files,
    LogSample: processes.apply_log,
    MeterSample: work.apply_meter,
    Learned: machine.apply_learned,
    SourceSilent: sources.apply_silent,
}

_PLACES = {kind: f"sample {kind.__struct_config__.tag}" for kind in _APPLIERS}
"""How taking in each kind of sample is called where it fails."""

BEAR_ON_SERVERS = frozenset({ProcessSample, ServerSample, SourceSilent, LogSample})
"""After these a server may be there, or not any more."""


class Store:
    """Applies samples to a state. Pure: no clock of its own, no I/O.

    What fails over a sample costs that sample, and is recorded in ``fuses``; by default it is raised.
    """

    def __init__(self, fuses: Fuses = UNFUSED) -> None:
        self.state = State()
        self._fuses = fuses

    def apply(self, sample: AnySample) -> Touched:
        """Take in one sample and return what it touched.

        Samples come in time order; an older one counts as said now.
        """
        state, kind, guard = self.state, type(sample), self._fuses.guard
        touched = state.touched = Touched()
        state.now = max(state.now, sample.time)
        if not self._take(sample):
            sources.note_not_taken(state, sample)
        if kind in BEAR_ON_SERVERS:
            sources.note_servers(state)
        if kind in BEAR_ON_LOADS and state.has_loads:
            with guard("loads"):
                follow_loads(state, sample)
        return touched

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
