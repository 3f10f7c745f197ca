"""All alerts of one stream of samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from gpumon.app.alerts import gpu_rules
from gpumon.app.alerts.alert import Alert, AlertEvent, AlertKey
from gpumon.app.alerts.host_rules import SUBJECT, ram_low, swapping
from gpumon.app.alerts.model_rules import spill
from gpumon.app.alerts.rules import Limits
from gpumon.app.alerts.source_rules import source
from gpumon.app.alerts.watcher import Watcher
from gpumon.app.state.records import GpuRecord, ModelKey, ModelRecord, SourceRecord, SystemRecord
from gpumon.app.state.state import State

RECENT_KEPT = 200
FRESH_KEPT = 200


class AlertBook:
    """Knows what is wrong now and what was; the same samples give the same alerts."""

    def __init__(self, limits: Limits) -> None:
        measured, settled = limits.clear_seconds, limits.settled_seconds
        self._models: Watcher[ModelKey, ModelRecord] = Watcher(
            "spill", spill, limits, clear_seconds=settled, vanished="unloaded"
        )
        self._sources: Watcher[str, SourceRecord] = Watcher("source", source, limits, clear_seconds=settled)
        self._gpus: tuple[Watcher[str, GpuRecord], ...] = (
            Watcher("gpu_lost", gpu_rules.gpu_lost, limits, clear_seconds=settled),
            Watcher("vram_full", gpu_rules.vram_full, limits, clear_seconds=measured),
            Watcher("throttling", gpu_rules.throttling, limits, clear_seconds=measured),
            Watcher("too_hot", gpu_rules.too_hot, limits, clear_seconds=measured),
            Watcher("pcie_link", gpu_rules.pcie_link, limits, clear_seconds=measured),
            Watcher("ecc", gpu_rules.ecc, limits, clear_seconds=settled),
        )
        self._system: tuple[Watcher[str, SystemRecord], ...] = (
            Watcher("ram_low", ram_low, limits, clear_seconds=measured),
            Watcher("swapping", swapping, limits, clear_seconds=measured),
        )
        self._watchers: tuple[Watcher[Any, Any], ...] = (
            self._models,
            self._sources,
            *self._gpus,
            *self._system,
        )
        self._gpus_revision = self._system_revision = 0
        self._models_revision = (0, False)
        self._recent: deque[Alert] = deque(maxlen=RECENT_KEPT)
        self._fresh: deque[AlertEvent] = deque(maxlen=FRESH_KEPT)

    def observe(self, state: State) -> None:
        """Take the state after a sample; only the rules that the sample bears on are asked."""
        self._note(self._sources.observe(state.sources, lambda _: state.now, state.now))
        if (revision := (state.models_revision, state.gpu_known)) != self._models_revision:
            self._models_revision = revision
            models = state.models if state.gpu_known else {}
            self._note(self._models.observe(models, _seen, state.now))
        if state.gpus_revision != self._gpus_revision:
            self._gpus_revision = state.gpus_revision
            for gpu_watcher in self._gpus:
                self._note(gpu_watcher.observe(state.gpus, _seen, state.now))
        if state.system is not None and state.system_revision != self._system_revision:
            self._system_revision = state.system_revision
            for watcher in self._system:
                self._note(watcher.observe({SUBJECT: state.system}, _seen, state.now))

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


def _seen(record: GpuRecord | ModelRecord | SystemRecord) -> float:
    return record.seen
