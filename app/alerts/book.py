"""All alerts of one stream of samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

from gpumon.app.alerts.alert import Alert, AlertEvent, AlertKey, AlertKind, event_alert
from gpumon.app.alerts.limits import Limits
from gpumon.app.alerts.rules import machine
from gpumon.app.alerts.rules.machine import SUBJECT, ram_low, source, swapping
from gpumon.app.alerts.rules.model import (
    cache_full,
    ended,
    hidden_spill,
    likely_spill,
    load_failed,
    prompt_reread,
    read_from_disk,
    silent_fallback,
    slower,
    spill,
    stuck,
    thrash,
    unlisted,
    waiting,
)
from gpumon.app.alerts.watcher import Rule, Watcher
from gpumon.app.fuses import UNFUSED, Fuses
from gpumon.app.insight.falls import Paced, paced_of
from gpumon.app.insight.loaded import Loaded, loaded
from gpumon.app.insight.owners import Unlisted, unlisted_runners
from gpumon.app.insight.wording import shared_names
from gpumon.app.state.records import (
    Event,
    FailedLoad,
    GpuRecord,
    ModelKey,
    ModelRecord,
    SourceRecord,
    SystemRecord,
    Thrash,
)
from gpumon.app.state.state import State, Touched

_K = TypeVar("_K", bound="str | tuple[str, ...]")
_R = TypeVar("_R")

_RUNNER_RULES: dict[AlertKind, Rule[Loaded]] = {
    "silent_fallback": silent_fallback,
    "hidden_spill": hidden_spill,
    "likely_spill": likely_spill,
    "read_from_disk": read_from_disk,
    "cache_full": cache_full,
    "stuck": stuck,
    "ended": ended,
    "prompt_reread": prompt_reread,
    "waiting": waiting,
}


class Watchers(NamedTuple):
    """A watcher for each rule."""

    spill: Watcher[ModelKey, Loaded]
    runners: tuple[Watcher[ModelKey, Loaded], ...]
    slower: Watcher[ModelKey, Paced]
    sources: Watcher[str, SourceRecord]
    failed_loads: Watcher[str, FailedLoad]
    thrash: Watcher[str, Thrash]
    unlisted: Watcher[str, Unlisted]
    gpus: tuple[Watcher[str, GpuRecord], ...]
    system: tuple[Watcher[str, SystemRecord], ...]

    @property
    def all(self) -> tuple[Watcher[Any, Any], ...]:
        """Every watcher."""
        models: tuple[Watcher[Any, Any], ...] = (self.spill, *self.runners, self.slower)
        loads = (self.failed_loads, self.thrash, self.unlisted)
        return (*models, self.sources, *loads, *self.gpus, *self.system)


def watchers_of(limits: Limits, fuses: Fuses = UNFUSED) -> Watchers:
    """Return the watchers of all rules, none of which has seen anything."""
    measured, settled = limits.clear_seconds, limits.settled_seconds
    return Watchers(
        spill=Watcher("spill", spill, limits, fuses, clear_seconds=settled, vanished="unloaded"),
        runners=tuple(
            Watcher(kind, rule, limits, fuses, clear_seconds=settled, vanished="unloaded")
            for kind, rule in _RUNNER_RULES.items()
        ),
        slower=Watcher("slower", slower, limits, fuses, clear_seconds=measured, vanished="unloaded"),
        sources=Watcher("source", source, limits, fuses, clear_seconds=settled, by_time=True),
        failed_loads=Watcher(
            "load_failed", load_failed, limits, fuses, clear_seconds=settled, vanished="recovered"
        ),
        thrash=Watcher("thrash", thrash, limits, fuses, clear_seconds=settled, vanished="recovered"),
        unlisted=Watcher("unlisted", unlisted, limits, fuses, clear_seconds=settled, vanished="recovered"),
        gpus=_gpu_watchers(limits, fuses),
        system=(
            Watcher("ram_low", ram_low, limits, fuses, clear_seconds=measured),
            Watcher("swapping", swapping, limits, fuses, clear_seconds=measured),
        ),
    )


def _gpu_watchers(limits: Limits, fuses: Fuses) -> tuple[Watcher[str, GpuRecord], ...]:
    measured, settled = limits.clear_seconds, limits.settled_seconds
    return (
        Watcher("gpu_lost", machine.gpu_lost, limits, fuses, clear_seconds=settled),
        Watcher("vram_full", machine.vram_full, limits, fuses, clear_seconds=measured),
        Watcher("throttling", machine.throttling, limits, fuses, clear_seconds=measured),
        Watcher("too_hot", machine.too_hot, limits, fuses, clear_seconds=measured),
        Watcher("pcie_link", machine.pcie_link, limits, fuses, clear_seconds=measured),
        Watcher("stuck", machine.not_returned, limits, fuses, clear_seconds=settled),
        Watcher("ecc", machine.ecc, limits, fuses, clear_seconds=settled),
    )


MODELS_PLACE = "alerts of models"
RECENT_KEPT = 200
FRESH_KEPT = 200


class AlertBook:
    """Knows what is wrong now and what was; the same samples give the same alerts."""

    def __init__(self, limits: Limits, fuses: Fuses = UNFUSED) -> None:
        self._watchers = watchers_of(limits, fuses)
        self._all = self._watchers.all
        self._fuses = fuses
        self._shared: frozenset[str] = frozenset()
        self._recent: deque[Alert] = deque(maxlen=RECENT_KEPT)
        self._fresh: deque[AlertEvent] = deque(maxlen=FRESH_KEPT)
        self.latest: list[AlertEvent] = []
        """What the sample that was observed last has raised, renewed and ended."""

    def observe(self, state: State, touched: Touched) -> None:
        """Follow a sample: of what it has ``touched``, and only there, the rules are asked."""
        if self.latest:
            self.latest = []
        self._observe_sources(state, touched)
        self._observe_models(state, touched)
        if touched.loads:
            self._observe_loads(state)
        if touched.processes:
            with self._fuses.guard("runners that no server lists"):
                self._observe_runners(state)
        for event in touched.events:
            self._note_event(event)
        for uuid in sorted(touched.gpus):
            gpu = state.gpus.get(uuid)
            for watcher in self._watchers.gpus:
                self._ask(watcher, uuid, gpu, state.now if gpu is None else gpu.seen)
        if touched.system and state.system is not None:
            for host_watcher in self._watchers.system:
                self._note(host_watcher.look(SUBJECT, state.system, state.system.seen))

    def _observe_runners(self, state: State) -> None:
        watcher = self._watchers.unlisted
        if state.runners or not watcher.is_idle:
            self._note(watcher.observe(unlisted_runners(state), lambda _: state.now, state.now))

    def _observe_sources(self, state: State, touched: Touched) -> None:
        """Ask of the sources that have changed, and of those that only wait for time to pass."""
        watcher, now = self._watchers.sources, state.now
        for name in sorted(touched.sources):
            self._ask(watcher, name, state.sources.get(name), now)
        self._note(watcher.look_again(state.sources, lambda _: now, now))

    def _observe_models(self, state: State, touched: Touched) -> None:
        if touched.claimed:
            self._shared = shared_names(state.models.values())
        for key in sorted(touched.models):
            try:  # what a guard does, at less cost, as in a watcher
                self._observe_model(key, state, touched)
            except Exception as error:
                self._fuses.blow(error, MODELS_PLACE, key)
            else:
                if self._fuses.is_blown:
                    self._fuses.hold(MODELS_PLACE, key)

    def _observe_model(self, key: ModelKey, state: State, touched: Touched) -> None:
        """Ask of a model what the sample bears on: its claim, what is measured for it, or how it works."""
        model = state.models.get(key)
        if key in touched.claimed or key in touched.measured or touched.worked[key]:
            self._observe_memory(key, model, state, is_claimed=key in touched.claimed)
        if key in touched.claimed or key in touched.worked:
            paced = paced_of(model, state) if model and model.runner else None
            if paced is not None or key in touched.claimed:
                self._ask(self._watchers.slower, key, paced, state.now if paced is None else paced.pace.time)

    def _observe_memory(
        self, key: ModelKey, model: ModelRecord | None, state: State, *, is_claimed: bool
    ) -> None:
        one = loaded(model, state, self._shared) if model else None
        if is_claimed:
            is_there = one is not None and one.gpu_known and one.activity != "gone"
            seen_at = model.seen if model and is_there else state.now
            self._ask(self._watchers.spill, key, one if is_there else None, seen_at)
        measured_at = state.now if one is None else _measured(one)
        for watcher in self._watchers.runners:  # as ``_ask`` does, at less cost: most rules are asked here
            events = watcher.end(key, measured_at) if one is None else watcher.look(key, one, measured_at)
            if events:
                self._note(events)

    def _ask(self, watcher: Watcher[_K, _R], key: _K, record: _R | None, at: float) -> None:
        """Ask a rule of one subject as it was seen ``at`` a time.

        ``None`` is one that is not there any more, which ends its alert.
        """
        events = watcher.end(key, at) if record is None else watcher.look(key, record, at)
        if events:
            self._note(events)

    def _observe_loads(self, state: State) -> None:
        failed_loads, thrash = self._watchers.failed_loads, self._watchers.thrash
        self._note(failed_loads.observe(state.failed_loads, lambda _: state.now, state.now))
        self._note(thrash.observe(state.thrash, lambda _: state.now, state.now))

    @property
    def active(self) -> tuple[Alert, ...]:
        """What is wrong now, the worst and then the newest first."""
        alerts = [alert for watcher in self._all if not watcher.is_idle for alert in watcher.active()]
        return tuple(sorted(alerts, key=lambda alert: (alert.severity != "bad", -alert.since)))

    @property
    def recent(self) -> tuple[Alert, ...]:
        """What was wrong, the latest to end first; at most ``RECENT_KEPT``."""
        return tuple(reversed(self._recent))

    def acknowledge(self, key: AlertKey) -> None:
        """Mark an active alert as seen by the user, until it gets worse."""
        for watcher in self._all:
            watcher.acknowledge(key)

    def acknowledge_all(self) -> None:
        """Mark every active alert as seen by the user."""
        for watcher in self._all:
            watcher.acknowledge(None)

    def fresh(self) -> tuple[AlertEvent, ...]:
        """Return what was raised, renewed and ended since the last call, oldest first."""
        events = tuple(self._fresh)
        self._fresh.clear()
        return events

    def _note_event(self, event: Event) -> None:
        """Keep what has happened and does not last among what was wrong; the user hears of it once."""
        alert = event_alert(event)
        self._tell(AlertEvent("raised", alert))
        self._recent.append(alert)

    def _note(self, events: Iterable[AlertEvent]) -> None:
        for event in events:
            self._tell(event)
            if event.change == "ended":
                self._recent.append(event.alert)

    def _tell(self, event: AlertEvent) -> None:
        self._fresh.append(event)
        self.latest.append(event)


def _measured(loaded: Loaded) -> float:
    """Return the time of the latest evidence that a claim and its measurement rest on."""
    measured_at = loaded.runner.vram_seen if loaded.runner else None
    return loaded.model.seen if measured_at is None else max(loaded.model.seen, measured_at)
