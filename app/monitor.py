"""The one path that every sample takes, wherever it comes from: store, alerts, listeners."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

from gpumon.app.alerts.book import AlertBook
from gpumon.app.alerts.limits import Limits
from gpumon.app.events.log import EventLog
from gpumon.app.fuses import GPUMON_SOURCE, UNFUSED, Fuses
from gpumon.app.insight.learning import learn
from gpumon.app.log import log_path_words
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state import machine, processes, servers, sources, work
from gpumon.app.state.loads.follow import BEAR_ON_LOADS, follow_loads
from gpumon.app.state.records import ModelKey
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
from gpumon.collectors.servers.kind import RunnerKind, ServerKind
from gpumon.collectors.servers.registry import kind_named, runner_named

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
        if state.began is None:
            state.began = state.now
        if not self._take(sample):
            sources.note_not_taken(state, sample)
        if touched.sources or kind is ProcessSample:
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


Listener = Callable[[AnySample], None]


class Monitor:
    """State and alerts of one stream of samples."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.fuses = Fuses()
        """What of gpumon itself fails now; whoever draws what this monitor knows guards it with these."""
        self._faults_told = self.fuses.revision
        self._listeners: list[tuple[str, Listener]] = []
        self._store = Store(self.fuses)
        self.alerts = AlertBook(limits, self.fuses)
        self.events = EventLog(self.state, self.alerts)
        """What has happened in this run, alerts included."""
        self.revision = 0
        """Grows with every sample: what was drawn at this number is still true at this number."""
        self.acts = 0
        """Grows with what the user does that samples do not tell."""
        self.pictures = self._pictures()
        """What is said of each model and GPU, and of the whole; made when it is first asked for."""

    @property
    def state(self) -> State:
        """What is known now."""
        return self._store.state

    def _pictures(self) -> Pictures:
        return Pictures(self.state, self.alerts, self.limits.spill_bad_percent, self.fuses)

    def listen(self, listener: Listener, name: str = "listener") -> None:
        """Call ``listener`` with every sample, after the state and the alerts have taken it.

        ``name`` is what the user is told if it fails.
        """
        self._listeners.append((name, listener))

    def feed(self, sample: AnySample) -> None:
        """Take in one sample. Whatever of ours fails over it costs its own part only: see ``fuses``."""
        guard = self.fuses.guard
        touched = self._store.apply(sample)
        self.fuses.pass_time(self.state.now)
        if self.state.runners:  # only of processes is anything learned
            with guard("learning"):
                learn(self.state, touched)
        with guard("alerts"):
            self.alerts.observe(self.state, touched)
        with guard("events"):
            self.events.observe(touched)
        self.note_faults()
        self.pictures.invalidate(touched)
        self.revision += 1
        for name, listener in self._listeners:
            with guard(name, listener):
                listener(sample)

    def note_unload(self, key: ModelKey, *, is_asked: bool = True) -> None:
        """Record that the user has asked for a model to be unloaded, or that this could not be done."""
        self.acts += 1
        record = self.state.models.get(key)
        if record is not None:
            record.unload_asked = self.state.now if is_asked else None
        if is_asked:
            self.events.note_unload(key)
        else:
            self.events.note_refusal(key)

    def acknowledge(self) -> None:
        """Mark every active alert as seen by the user."""
        self.acts += 1
        self.alerts.acknowledge_all()

    def note_own(self, name: str, health: SourceHealth | None) -> None:
        """Name in the state, as a source, what a listener of gpumon's own cannot do; ``None`` once it can."""
        self._store.note_own_health(name, health)
        self.pictures.invalidate(self.state.touched)
        self.revision += 1

    def note_faults(self) -> bool:
        """Name in the state, as a source, what of gpumon itself fails; return whether that is news."""
        if self._faults_told == self.fuses.revision:
            return False
        self._faults_told = self.fuses.revision
        words = self.fuses.words()
        hint = f"details in {log_path_words()}"
        health = SourceHealth(state="failing", detail=words, hint=hint) if words else None
        self._store.note_own_health(GPUMON_SOURCE, health)
        return True

    def reset(self) -> None:
        """Forget everything that was fed, as before a seek back in a recording."""
        self.fuses.clear()
        self._store = Store(self.fuses)
        self.alerts = AlertBook(self.limits, self.fuses)
        self.events = EventLog(self.state, self.alerts)
        self._begin_anew()

    def freeze(self) -> bytes:
        """Return all that is known now, for ``thaw``. Listeners are no part of it."""
        return _freeze(self.fuses, self._store, self.alerts, self.events)

    def thaw(self, frozen: bytes) -> None:
        """Know what a monitor of the same limits knew when it was frozen, and nothing else."""
        self.fuses, self._store, self.alerts, self.events = _thaw(frozen)
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._faults_told = self.fuses.revision
        self.pictures = self._pictures()
        self.revision += 1


def _server_kind(name: str) -> ServerKind:
    return kind_named(name)


def _runner_kind(name: str) -> RunnerKind:
    return runner_named(name)


class _Pickler(pickle.Pickler):
    """Writes kinds of servers by their names: there is one of each in the program."""

    def reducer_override(self, value: object) -> Any:  # noqa: ANN401 - what pickle takes
        """Return how to find a kind again; everything else is copied."""
        if isinstance(value, ServerKind):
            return _server_kind, (value.name,)
        if isinstance(value, RunnerKind):
            return _runner_kind, (value.name,)
        return NotImplemented


def _freeze(*parts: object) -> bytes:
    """Return ``parts`` as they are now; what they share stays shared."""
    written = io.BytesIO()
    _Pickler(written, pickle.HIGHEST_PROTOCOL).dump(parts)
    return written.getvalue()


def _thaw(frozen: bytes) -> tuple[Any, ...]:
    """Return the parts again, each time others; only what this process has frozen is ever read."""
    parts: tuple[Any, ...] = pickle.loads(frozen)  # noqa: S301 - our own, and never outside of this process
    return parts
