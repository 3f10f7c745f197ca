"""The log of what has happened: bounded, and a function of the samples alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from gpumon.app.alerts.alert import Alert, AlertEvent
from gpumon.app.alerts.book import AlertBook
from gpumon.app.events.alarms import Alarms, alarm_event
from gpumon.app.events.entries import Entries
from gpumon.app.events.event import Feed, HappeningKind, LoggedEvent, Mark, named
from gpumon.app.events.models import (
    HELD_SECONDS,
    RELOADED_WITHIN_SECONDS,
    Departure,
    Why,
    begun,
    departure_of,
    ended,
    said_of_departure,
    subject_of,
    why_left,
)
from gpumon.app.events.returns import Recoveries, Returns
from gpumon.app.events.work import Full, Paces, full_context
from gpumon.app.insight.wording import model_id
from gpumon.app.state.loads.endings import NOTICED_WITHIN_SECONDS
from gpumon.app.state.places import place
from gpumon.app.state.records import FinishedLoad, ModelKey, RunnerKey, is_server
from gpumon.app.state.state import State, Touched
from gpumon.collectors.samples import HEALTHY_STATES
from gpumon.text import units
from gpumon.text.safe import visible

ARRIVAL_SECONDS = 4.0
"""So long after it is listed a model whose load was not seen is said to be loaded."""
FULL_KEPT = 64
ASKED_KEPT = 64


class EventLog:
    """What has happened, and the alerts that are active; the same samples give the same events."""

    def __init__(self, state: State, book: AlertBook) -> None:
        self._state = state
        self._book = book
        self._entries = Entries()
        self._alarms = Alarms(state, book)
        self._paces = Paces()
        self._returns = Returns(state)
        self._recoveries = Recoveries(self._entries, self._paces)
        self._loads: dict[RunnerKey, int] = {}
        """Numbers of the events of loads in progress."""
        self._closed: RunnerKey | None = None
        """The process of the load that was the last to end."""
        self._departures: list[Departure] = []
        """Those of which it may still be learned why."""
        self._arrivals: list[tuple[ModelKey, float]] = []
        self._listed: dict[str, float] = {}
        """When servers first told what they have loaded."""
        self._asked: dict[ModelKey, float] = {}
        self._spilled: dict[str, float] = {}
        """When models left that spilled until then."""
        self._full: deque[Full] = deque(maxlen=FULL_KEPT)
        self._feed = Feed((), ())

    def observe(self, touched: Touched) -> None:
        """Follow a sample, which state and alerts have taken in."""
        state = self._state
        for event in self._book.latest:
            self._take_alert(event)
        self._follow_models(touched)
        if state.loads or self._loads or touched.loads:
            self._follow_loads(is_news=bool(touched.processes or touched.claimed))
        if self._departures:
            self._departures = [one for one in self._departures if not self._settle(one)]
        if self._arrivals:
            self._arrivals = [one for one in self._arrivals if not self._arrive(*one)]
        for back in self._returns.fresh():
            self._entries.say(None, "gave_back", back.time, model_id(back.key), back.said)
        for key in touched.worked:
            self._follow_work(key, touched)

    def note_unload(self, key: ModelKey) -> None:
        """Record that the user asks gpumon to unload a model."""
        self._asked.pop(key, None)
        self._asked[key] = self._state.now
        if len(self._asked) > ASKED_KEPT:
            del self._asked[next(iter(self._asked))]

    def note_refusal(self, key: ModelKey) -> None:
        """Record that this was refused: if the model goes, it is for another reason."""
        self._asked.pop(key, None)

    @property
    def feed(self) -> Feed:
        """What is worth a line on the screen."""
        if self._alarms.by_key or self._entries.has_news:
            self._feed = self._entries.feed(self._alarms.shown())
        return self._feed

    def latest(self, count: int) -> tuple[LoggedEvent, ...]:
        """Return the latest events, the oldest first."""
        return tuple(self._all()[-count:])

    def marks(self, *subject_ids: str) -> tuple[Mark, ...]:
        """Return what stands on the axis of a chart of these models, GPUs or servers, the oldest first."""
        return self._entries.marks(self._all(), frozenset(subject_ids))

    def _all(self) -> list[LoggedEvent]:
        """Return every event, the oldest first."""
        return sorted((*self._entries, *self._alarms), key=lambda event: (event.time, event.number))

    # Alerts

    def _take_alert(self, event: AlertEvent) -> None:
        alert, alarms = event.alert, self._alarms
        if event.change == "renewed":
            alarms.renewed(alert)
        elif event.change == "ended":
            self._end_alarm(alert)
        elif alert.kind == "restarted":
            self._entries.forget_answers(alert)
            lost = self._lost_with_server(alert.subject_id)
            self._entries.add(alarms.restarted(alert, self._entries.number(), lost))
        elif alert.ended == "event":
            self._entries.add(alarm_event(alert, self._entries.number(), self._state, None, ()))
        else:
            self._raise(alert)

    def _raise(self, alert: Alert) -> None:
        is_about_server = alert.kind == "source" and is_server(alert.subject_id)
        lost = self._lost_with_server(alert.subject_id) if is_about_server else ()
        self._alarms.raised(alert, self._entries.number(), lost)

    def _end_alarm(self, alert: Alert) -> None:
        event = self._alarms.ended(alert)
        if event is None:
            return
        self._entries.add(event)
        if alert.kind == "spill" and alert.ended == "unloaded":
            self._spilled.pop(alert.subject_id, None)
            self._spilled[alert.subject_id] = self._state.now
            if len(self._spilled) > ASKED_KEPT:
                del self._spilled[next(iter(self._spilled))]
        if alert.ended == "recovered" and alert.until is not None:
            number = self._entries.recover(alert, alert.until)
            self._recoveries.note(alert.subject_id, number, alert.until)

    def _lost_with_server(self, url: str) -> tuple[str, ...]:
        """Return the models that went with a server, of which nothing more is said; harmless to draw."""
        lost = [one for one in self._departures if place(one.model.key.source) == place(url)]
        for one in lost:
            one.with_server = one.is_told = True
            self._entries.drop(one.number)
            one.number = None
        return tuple(sorted({visible(one.model.claim.name) for one in lost}))

    # Models

    def _follow_models(self, touched: Touched) -> None:
        state = self._state
        for key in sorted(touched.claimed - state.models.keys()):
            self._depart(key)
        arrived = [(key, state.now) for key in touched.claimed if self._is_new(key)]
        self._arrivals += [one for one in arrived if one not in self._arrivals]
        for name in touched.sources:
            source = state.sources.get(name)
            if source is not None and is_server(name) and source.health.state in HEALTHY_STATES:
                self._listed.setdefault(name, state.now)

    def _is_new(self, key: ModelKey) -> bool:
        """Return whether a model is listed now, and was not when its server was first asked."""
        model, now = self._state.models.get(key), self._state.now
        return model is not None and model.first_seen == now > self._listed.get(key.source, now)

    def _depart(self, key: ModelKey) -> None:
        state = self._state
        here = takewhile(lambda one: one.gone == state.now, reversed(state.departed))
        model = next((one for one in here if one.key == key), None)
        if model is None:
            return
        departure = departure_of(model, state)
        self._departures.append(departure)
        restart = self._alarms.note_departure(departure)
        if restart is not None:
            self._entries.revise(restart)

    def _settle(self, departure: Departure) -> bool:
        """Say why a model left as far as is known now; return whether no more is to be learned of it."""
        age = self._state.now - departure.gone
        why = why_left(departure, self._state, self._asked, self._entries.ended_names(departure.gone))
        if why.kind is None and departure.with_server and not departure.is_told:
            if age < RELOADED_WITHIN_SECONDS:
                return False
            why = Why("left", "left: its server has ended")
        if why.kind is None:
            self._entries.drop(departure.number)
        elif why.kind == "evicted" or why.is_plain or age >= HELD_SECONDS:
            self._tell_departure(departure, why.kind, why)
        is_open = why.kind is not None and not why.is_plain
        return not is_open or (why.kind != "evicted" and age >= RELOADED_WITHIN_SECONDS)

    def _tell_departure(self, departure: Departure, kind: HappeningKind, why: Why) -> None:
        model, said = departure.model, said_of_departure(visible(departure.model.claim.name), why)
        departure.number = self._entries.say(
            departure.number, kind, departure.gone, model_id(model.key), said
        )

    def _arrive(self, key: ModelKey, at: float) -> bool:
        """Say that a model was loaded of whose load nothing was seen; return whether that is decided."""
        model = self._state.models.get(key)
        if model is None or model.first_seen != at:
            return True
        if self._state.now - at < ARRIVAL_SECONDS:
            return False
        name, length = visible(model.claim.name), model.claim.context_length
        if model.runner not in self._loads and not self._entries.has_load(name, at - NOTICED_WITHIN_SECONDS):
            context = "" if length is None else f", context {length}"
            said = named(name, f"loaded{context}", "loaded")
            self._entries.say(None, "ready", at, model_id(key), said)
        return True

    # Loads

    def _follow_loads(self, *, is_news: bool) -> None:
        state = self._state
        for finished in self._finished():
            self._end_load(finished)
        for key in [key for key in self._loads if key not in state.loads]:
            self._entries.drop(self._loads.pop(key))  # it was none
        for key, load in state.loads.items():
            if load.seen_loading and (is_news or key not in self._loads):
                how = begun(load, state)
                subject_id = how.subject_id or subject_of(key, state)
                self._loads[key] = self._entries.say(
                    self._loads.get(key), how.kind, load.started, subject_id, how.said, lasts=True
                )

    def _finished(self) -> Sequence[FinishedLoad]:
        """Return the loads that have ended since the last time, the oldest first."""
        new = list(takewhile(lambda load: load.key != self._closed, reversed(self._state.finished_loads)))
        if new:
            self._closed = new[0].key
        return new[::-1]

    def _end_load(self, load: FinishedLoad) -> None:
        subject_id, number = subject_of(load.key, self._state), self._loads.pop(load.key, None)
        self._entries.close(number, load.ended, subject_id)
        has_recovered = self._has_recovered(subject_id)
        how = ended(load, recovered=has_recovered)
        if how is not None:
            number = self._entries.say(None, how.kind, load.ended, subject_id, how.said)
            if has_recovered:
                self._recoveries.note(subject_id, number, load.ended)

    def _has_recovered(self, subject_id: str) -> bool:
        """Return whether a model that is ready spilled until it was loaded again, and does so no more."""
        if self._spilled.pop(subject_id, None) is None:
            return False
        models = (one for one in self._state.models.values() if model_id(one.key) == subject_id)
        return any(one.split.spill_fraction == 0 for one in models)

    # Work

    def _follow_work(self, key: ModelKey, touched: Touched) -> None:
        state = self._state
        model = state.models.get(key)
        if model is None:
            return
        if (runner := state.runner_of(model)) is not None:
            self._paces.note(key, runner.pace.latest)
            self._recoveries.follow(key)
        if self._alarms.costly:
            self._alarms.note_rates(self._paces)
        for full in full_context(model, runner, touched):
            if full not in self._full:
                self._tell_full(full, visible(model.claim.name))

    def _tell_full(self, full: Full, name: str) -> None:
        self._full.append(full)
        what = f"has filled its context of {full.context_length} with a request"
        said = named(name, what, f"context full: {units.tokens(full.context_length)}")
        self._entries.say(None, "context_full", self._state.now, model_id(full.key), said)
