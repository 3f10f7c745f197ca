"""All alerts of one stream of samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from gpumon.app.alerts.alert import Alert, AlertEvent, AlertKey
from gpumon.app.alerts.limits import Limits
from gpumon.app.alerts.rules.host import SUBJECT
from gpumon.app.alerts.watchers import watchers_of
from gpumon.app.insight.agreement import Loaded, loaded
from gpumon.app.insight.falls import Paced, paced_models, paced_of
from gpumon.app.insight.wording import shared_names
from gpumon.app.state.records import GpuRecord, ModelRecord, SystemRecord
from gpumon.app.state.state import State

RECENT_KEPT = 200
FRESH_KEPT = 200


class AlertBook:
    """Knows what is wrong now and what was; the same samples give the same alerts."""

    def __init__(self, limits: Limits) -> None:
        self._watchers = watchers_of(limits)
        self._revisions: dict[str, tuple[int, ...]] = {}
        self._answers = 0
        self._shared: frozenset[str] = frozenset()
        self._recent: deque[Alert] = deque(maxlen=RECENT_KEPT)
        self._fresh: deque[AlertEvent] = deque(maxlen=FRESH_KEPT)

    def observe(self, state: State) -> None:
        """Take the state after a sample; only the rules that the sample bears on are asked."""
        if self._moved("sources", state.sources_revision) or self._watchers.sources.follows:
            self._note(self._watchers.sources.observe(state.sources, lambda _: state.now, state.now))
        self._observe_models(state)
        if self._moved("loads", state.loads_revision):
            self._observe_loads(state)
        if self._moved("gpus", state.gpus_revision):
            for gpu_watcher in self._watchers.gpus:
                self._note(gpu_watcher.observe(state.gpus, _seen, state.now))
        if state.system is not None and self._moved("system", state.system_revision):
            for watcher in self._watchers.system:
                self._note(watcher.observe({SUBJECT: state.system}, _seen, state.now))

    def _moved(self, what: str, *revisions: int) -> bool:
        before = self._revisions.get(what)
        self._revisions[what] = revisions
        return revisions != before

    def _observe_models(self, state: State) -> None:
        """Ask what a sample bears on: the claims, what is measured for them, or one model alone."""
        answers, self._answers = state.answers_revision - self._answers, state.answers_revision
        claims = self._moved("claims", state.models_revision, state.joins_revision, state.gpu_shown)
        measures = self._moved("measures", state.gpus_revision, state.runners_revision)
        if claims or measures or answers > 1:
            self._observe_all(state, claims=claims or answers > 1)
        elif answers and state.answered in state.models:
            self._observe_one(state.models[state.answered], state)

    def _observe_all(self, state: State, *, claims: bool) -> None:
        self._shared = shared_names(state.models.values())
        watchers = self._watchers
        models = {key: loaded(model, state, self._shared) for key, model in state.models.items()}
        if claims:
            at_a_gpu = {key: one for key, one in models.items() if one.gpu_known}
            self._note(watchers.spill.observe(at_a_gpu, lambda one: one.model.seen, state.now))
            self._note(watchers.slower.observe(paced_models(state), _paced, state.now))
        for watcher in watchers.runners:
            self._note(watcher.observe(models, _measured, state.now))

    def _observe_one(self, model: ModelRecord, state: State) -> None:
        paced = paced_of(model, state)
        if state.answered_anew:
            one = loaded(model, state, self._shared)
            for watcher in self._watchers.runners:
                self._note(watcher.look(model.key, one, _measured))
        if paced is not None:
            self._note(self._watchers.slower.look(model.key, paced, _paced))

    def _observe_loads(self, state: State) -> None:
        failed_loads, thrash = self._watchers.failed_loads, self._watchers.thrash
        self._note(failed_loads.observe(state.failed_loads, lambda _: state.now, state.now))
        self._note(thrash.observe(state.thrash, lambda _: state.now, state.now))

    @property
    def active(self) -> tuple[Alert, ...]:
        """What is wrong now, the worst and then the newest first."""
        alerts = [alert for watcher in self._watchers.all for alert in watcher.active()]
        return tuple(sorted(alerts, key=lambda alert: (alert.severity != "bad", -alert.since)))

    @property
    def recent(self) -> tuple[Alert, ...]:
        """What was wrong, the latest to end first; at most ``RECENT_KEPT``."""
        return tuple(reversed(self._recent))

    def acknowledge(self, key: AlertKey) -> None:
        """Mark an active alert as seen by the user, until it gets worse."""
        for watcher in self._watchers.all:
            watcher.acknowledge(key)

    def acknowledge_all(self) -> None:
        """Mark every active alert as seen by the user."""
        for watcher in self._watchers.all:
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


def _paced(paced: Paced) -> float:
    return paced.pace.time


def _measured(loaded: Loaded) -> float:
    """Return the time of the latest evidence that a claim and its measurement rest on."""
    measured_at = loaded.runner.vram_seen if loaded.runner else None
    return loaded.model.seen if measured_at is None else max(loaded.model.seen, measured_at)
