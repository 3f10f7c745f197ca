"""All alerts of one stream of samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from gpumon.app.alerts import gpu_rules
from gpumon.app.alerts.alert import Alert, AlertEvent, AlertKey, AlertKind
from gpumon.app.alerts.host_rules import SUBJECT, ram_low, swapping
from gpumon.app.alerts.load_rules import load_failed, thrash
from gpumon.app.alerts.model_rules import likely_spill, spill
from gpumon.app.alerts.rate_rules import slower
from gpumon.app.alerts.rules import Limits
from gpumon.app.alerts.runner_rules import hidden_spill, silent_fallback, stuck
from gpumon.app.alerts.source_rules import source
from gpumon.app.alerts.watcher import Rule, Watcher
from gpumon.app.insight.falls import Paced, paced_models
from gpumon.app.insight.loaded import Loaded, loaded_models
from gpumon.app.state.load_records import FailedLoad, Thrash
from gpumon.app.state.records import GpuRecord, ModelKey, SourceRecord, SystemRecord
from gpumon.app.state.state import State

RECENT_KEPT = 200
FRESH_KEPT = 200

_RUNNER_RULES: dict[AlertKind, Rule[Loaded]] = {
    "silent_fallback": silent_fallback,
    "hidden_spill": hidden_spill,
    "likely_spill": likely_spill,
    "stuck": stuck,
}


class AlertBook:
    """Knows what is wrong now and what was; the same samples give the same alerts."""

    def __init__(self, limits: Limits) -> None:
        measured, settled = limits.clear_seconds, limits.settled_seconds
        self._spills: Watcher[ModelKey, Loaded] = Watcher(
            "spill", spill, limits, clear_seconds=settled, vanished="unloaded"
        )
        self._runners: tuple[Watcher[ModelKey, Loaded], ...] = tuple(
            Watcher(kind, rule, limits, clear_seconds=settled, vanished="unloaded")
            for kind, rule in _RUNNER_RULES.items()
        )
        self._slower: Watcher[ModelKey, Paced] = Watcher(
            "slower", slower, limits, clear_seconds=measured, vanished="unloaded"
        )
        self._sources: Watcher[str, SourceRecord] = Watcher("source", source, limits, clear_seconds=settled)
        self._failed_loads: Watcher[str, FailedLoad] = Watcher(
            "load_failed", load_failed, limits, clear_seconds=settled, vanished="recovered"
        )
        self._thrash: Watcher[str, Thrash] = Watcher(
            "thrash", thrash, limits, clear_seconds=settled, vanished="recovered"
        )
        self._gpus: tuple[Watcher[str, GpuRecord], ...] = (
            Watcher("gpu_lost", gpu_rules.gpu_lost, limits, clear_seconds=settled),
            Watcher("vram_full", gpu_rules.vram_full, limits, clear_seconds=measured),
            Watcher("throttling", gpu_rules.throttling, limits, clear_seconds=measured),
            Watcher("too_hot", gpu_rules.too_hot, limits, clear_seconds=measured),
            Watcher("pcie_link", gpu_rules.pcie_link, limits, clear_seconds=measured),
            Watcher("stuck", gpu_rules.not_returned, limits, clear_seconds=settled),
            Watcher("ecc", gpu_rules.ecc, limits, clear_seconds=settled),
        )
        self._system: tuple[Watcher[str, SystemRecord], ...] = (
            Watcher("ram_low", ram_low, limits, clear_seconds=measured),
            Watcher("swapping", swapping, limits, clear_seconds=measured),
        )
        self._watchers: tuple[Watcher[Any, Any], ...] = (
            self._spills,
            *self._runners,
            self._slower,
            self._sources,
            self._failed_loads,
            self._thrash,
            *self._gpus,
            *self._system,
        )
        self._gpus_revision = self._system_revision = self._loads_revision = 0
        self._models_revision: tuple[int, ...] = ()
        self._recent: deque[Alert] = deque(maxlen=RECENT_KEPT)
        self._fresh: deque[AlertEvent] = deque(maxlen=FRESH_KEPT)

    def observe(self, state: State) -> None:
        """Take the state after a sample; only the rules that the sample bears on are asked."""
        self._note(self._sources.observe(state.sources, lambda _: state.now, state.now))
        revision = (state.models_revision, state.gpus_revision, state.runners_revision)
        if revision != self._models_revision:
            self._models_revision = revision
            self._observe_models(state)
        if state.loads_revision != self._loads_revision:
            self._loads_revision = state.loads_revision
            self._note(self._failed_loads.observe(state.failed_loads, lambda _: state.now, state.now))
            self._note(self._thrash.observe(state.thrash, lambda _: state.now, state.now))
        if state.gpus_revision != self._gpus_revision:
            self._gpus_revision = state.gpus_revision
            for gpu_watcher in self._gpus:
                self._note(gpu_watcher.observe(state.gpus, _seen, state.now))
        if state.system is not None and state.system_revision != self._system_revision:
            self._system_revision = state.system_revision
            for watcher in self._system:
                self._note(watcher.observe({SUBJECT: state.system}, _seen, state.now))

    def _observe_models(self, state: State) -> None:
        models = loaded_models(state)
        at_a_gpu = {key: one for key, one in models.items() if one.gpu_known}
        self._note(self._spills.observe(at_a_gpu, lambda one: one.model.seen, state.now))
        for watcher in self._runners:
            self._note(watcher.observe(models, _measured, state.now))
        self._note(self._slower.observe(paced_models(state), lambda paced: paced.pace.time, state.now))

    @property
    def active(self) -> tuple[Alert, ...]:
        """What is wrong now, the worst and then the newest first."""
        alerts = [alert for watcher in self._watchers for alert in watcher.active()]
        return tuple(sorted(alerts, key=lambda alert: (alert.severity != "bad", -alert.since)))

    @property
    def recent(self) -> tuple[Alert, ...]:
        """What was wrong, the latest to end first; at most ``RECENT_KEPT``."""
        return tuple(reversed(self._recent))

    def acknowledge(self, key: AlertKey) -> None:
        """Mark an active alert as seen by the user, until it gets worse."""
        for watcher in self._watchers:
            watcher.acknowledge(key)

    def acknowledge_all(self) -> None:
        """Mark every active alert as seen by the user."""
        for watcher in self._watchers:
            watcher.acknowledge(None)

    def fresh(self) -> tuple[AlertEvent, ...]:
        """Return what was raised, renewed and ended since the last call, oldest first."""
        events = tuple(self._fresh)
        self._fresh.clear()
        return events

    def _note(self, events: Iterable[AlertEvent]) -> None:
        for event in events:
            self._fresh.append(event)
            if event.change == "ended":
                self._recent.append(event.alert)


def _seen(record: GpuRecord | SystemRecord) -> float:
    return record.seen


def _measured(loaded: Loaded) -> float:
    """Return the time of the latest evidence that a claim and its measurement rest on."""
    measured_at = loaded.runner.vram_seen if loaded.runner else None
    return loaded.model.seen if measured_at is None else max(loaded.model.seen, measured_at)
