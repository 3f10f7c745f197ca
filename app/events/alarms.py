"""Alerts as events: what they cost in tokens per second, what went with them, and how long they last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.alerts.alert import Alert, AlertKey, AlertKind
from gpumon.app.alerts.book import AlertBook
from gpumon.app.events.event import About, LoggedEvent, Said, joined, named
from gpumon.app.events.models import Departure, pid_of
from gpumon.app.events.work import Drop, Paces
from gpumon.app.insight.wording import amount, model_id, shares
from gpumon.app.state.loads.endings import NOTICED_WITHIN_SECONDS
from gpumon.app.state.places import place
from gpumon.app.state.records import ModelRecord, is_server
from gpumon.app.state.state import State
from gpumon.text.safe import visible

WORTH_TELLING_SHARE = 0.05
"""A smaller change of a rate is noise."""
RETOLD_SHARE = 0.1
"""By so much a rate that is told must have moved to be told anew."""

COSTLY: frozenset[AlertKind] = frozenset({"spill", "hidden_spill", "silent_fallback", "throttling"})
"""What slows a model down."""


def about_of(alert: Alert, state: State) -> About:
    """Return what an alert is about."""
    if alert.subject_id in state.gpus or alert.kind in {"gpu_lost", "throttling", "too_hot"}:
        return "gpu"
    if alert.kind in {"source", "restarted"}:
        return "server" if is_server(alert.subject_id) else "machine"
    return "machine" if alert.subject_id == "system" else "model"


def alarm_event(
    alert: Alert, number: int, state: State, drop: Drop | None, lost: tuple[str, ...]
) -> LoggedEvent:
    """Return an alert as an event, with its latest figures."""
    return LoggedEvent(
        number=number,
        time=alert.since,
        kind=alert.kind,
        about=about_of(alert, state),
        subject_id=alert.subject_id,
        subject=alert.subject,
        said=said_of(alert, state, drop, lost),
        level=alert.severity,
        until=None if alert.ended == "event" else alert.until,
        lasts=alert.until is None,
        acknowledged=alert.acknowledged,
    )


def said_of(alert: Alert, state: State, drop: Drop | None, lost: tuple[str, ...]) -> Said:
    """Put an alert into words, with what it costs and what went with it."""
    if alert.kind == "spill" and (said := _spill(alert, state, drop)) is not None:
        return said
    short = alert.message.partition(": ")[0]
    if lost:
        clause = f"{joined(lost)} went with it"
        ways = (f"{alert.message}; {clause}", f"{short}; {clause}", f"{short}, with {joined(lost)}", short)
        return Said(ways, (alert.subject, *lost))
    if drop is not None:
        cost = drop.words if drop.model == alert.subject else f"{drop.model} {drop.words}"
        return Said((f"{alert.message}; {cost}", f"{short}; {cost}", cost), (drop.model,))
    words = alert.message if _is_said(alert) else f"{alert.subject}: {alert.message}"
    return Said((words,), tuple(name for name in alert.subject.split(" and ") if name in words))


def _is_said(alert: Alert) -> bool:
    """Return whether the message names what it is about, be it by its address."""
    if alert.subject in alert.message or alert.subject_id == "system":
        return True
    return alert.kind == "source" and alert.subject.rpartition(" at ")[2] in alert.message


def _spill(alert: Alert, state: State, drop: Drop | None) -> Said | None:
    """Say how much is in RAM, and what became of the rate; ``None`` where the model is not there."""
    model = next((one for one in state.models.values() if model_id(one.key) == alert.subject_id), None)
    if model is None or not model.split.ram_bytes:
        return None
    name, (share, _) = alert.subject, shares(model.split)
    verb = "spilled further" if "spilled further" in alert.message else "spilled"
    where = f"{amount(model.split.ram_bytes)} ({share}) in RAM"
    if model.split.gpu_bytes == 0:
        verb, where = "runs wholly on the CPU", f"{amount(model.split.ram_bytes)} in RAM"
    if drop is None:
        return named(name, f"{verb}: {where}", f"{verb}: {share} in RAM")
    return named(name, f"{verb}: {where}; {drop.words}", f"{verb}, {drop.words}", drop.words)


def drop_of(alert: Alert, paces: Paces, state: State, told: Drop | None = None) -> Drop | None:
    """Return what an alert costs, of the model that lost most; or what was ``told``, where that is near."""
    drops = [
        Drop(visible(model.claim.name), *found)
        for model in models_of(alert, state)
        if (found := paces.change(model.key, alert.since)) is not None
    ]
    drops = [drop for drop in drops if drop.after <= drop.before * (1 - WORTH_TELLING_SHARE)]
    if not drops:
        return told
    worst = min(drops, key=lambda drop: drop.after / drop.before)
    is_near = told is not None and abs(worst.after - told.after) < RETOLD_SHARE * told.after
    return told if is_near else worst


def models_of(alert: Alert, state: State) -> list[ModelRecord]:
    """Return the models that an alert slows down: its own, or those that hold memory of its GPU."""
    if alert.subject_id not in state.gpus:
        return [one for one in state.models.values() if model_id(one.key) == alert.subject_id]
    runners = ((one, state.runner_of(one)) for one in state.models.values())
    return [model for model, runner in runners if runner and alert.subject_id in runner.vram_by_gpu]


def lost_with_gpu(alert: Alert, state: State) -> tuple[str, ...]:
    """Return the models that held memory of a GPU when it was lost; harmless to draw."""
    gpu = state.gpus.get(alert.subject_id) if alert.kind == "gpu_lost" else None
    if gpu is None or not gpu.lost_pids:
        return ()
    departed = (one for one in state.departed if (one.gone or 0.0) >= alert.since - NOTICED_WITHIN_SECONDS)
    held = (one for one in (*state.models.values(), *departed) if pid_of(one) in gpu.lost_pids)
    return tuple(dict.fromkeys(visible(one.claim.name) for one in held))


class Alarm(Struct):
    """An alert, and what else is known of it."""

    number: int
    alert: Alert
    event: LoggedEvent
    """As samples have told it."""
    shown: LoggedEvent
    """The same with the figures of when it was looked at last."""
    lost: tuple[str, ...] = ()
    """Models that went with it, harmless to draw."""
    drop: Drop | None = None


class Alarms:
    """The alerts that are active, each with what it costs and what went with it."""

    def __init__(self, state: State, book: AlertBook) -> None:
        self._state = state
        self._book = book
        self.by_key: dict[AlertKey, Alarm] = {}
        """Those that are active."""
        self.costly: dict[AlertKey, Alarm] = {}
        """Of these, those that slow a model down."""
        self._restart: Alarm | None = None
        """The latest restart of a server, which is over when it is told."""

    def __iter__(self) -> Iterator[LoggedEvent]:
        """Iterate over the events with their latest figures."""
        return iter(self.shown())

    def shown(self) -> list[LoggedEvent]:
        """Return the events with their latest figures, the worst and then the newest first."""
        if not self.by_key:
            return []
        pairs = ((self.by_key.get(alert.key), alert) for alert in self._book.active)
        return [self._latest(alarm, alert) for alarm, alert in pairs if alarm is not None]

    def raised(self, alert: Alert, number: int, lost: tuple[str, ...]) -> None:
        """Take in an alert that was raised, with the models that went with it."""
        alarm = self.by_key[alert.key] = self._alarm(alert, number, lost or lost_with_gpu(alert, self._state))
        if alert.kind in COSTLY:
            self.costly[alert.key] = alarm

    def renewed(self, alert: Alert) -> None:
        """Take in that an alert got worse."""
        if (alarm := self.by_key.get(alert.key)) is not None:
            alarm.alert = alert
            self._reword(alarm)

    def ended(self, alert: Alert) -> LoggedEvent | None:
        """Return an alert that is over as part of the past; ``None`` where it was never raised."""
        alarm, _ = self.by_key.pop(alert.key, None), self.costly.pop(alert.key, None)
        if alarm is None:
            return None
        said = alarm.event.said  # of a model that is well again nothing is left to say it anew from
        if alert.kind != "spill":
            said = said_of(alert, self._state, alarm.drop, alarm.lost)
        return replace(alarm.event, level=alert.severity, until=alert.until, lasts=False, said=said)

    def restarted(self, alert: Alert, number: int, lost: tuple[str, ...]) -> LoggedEvent:
        """Return the event that a server has restarted."""
        self._restart = self._alarm(alert, number, lost)
        return self._restart.event

    def note_departure(self, departure: Departure) -> LoggedEvent | None:
        """Name a model with what it went with; return the restart if that was it."""
        name, restart = visible(departure.model.claim.name), self._restart
        for alarm in self.by_key.values():
            self._add_lost(alarm, self._lost_with(alarm.alert, departure, name))
        if restart is None or not self._went_at(restart.alert, departure):
            return None
        departure.with_server = departure.is_told = True
        self._add_lost(restart, (name,))
        return restart.event

    def _lost_with(self, alert: Alert, departure: Departure, name: str) -> tuple[str, ...]:
        is_same = alert.kind == "source" and alert.subject_id == departure.model.key.source
        if is_same and departure.with_server:
            departure.is_told = True
            return (name,)
        return lost_with_gpu(alert, self._state)

    def note_rates(self, paces: Paces) -> None:
        """Find out again what the alerts that cost speed do cost."""
        for alarm in self.costly.values():
            drop = drop_of(alarm.alert, paces, self._state, alarm.drop)
            if drop != alarm.drop:
                alarm.drop = drop
                self._reword(alarm)

    def _alarm(self, alert: Alert, number: int, lost: tuple[str, ...]) -> Alarm:
        event = alarm_event(alert, number, self._state, None, lost)
        return Alarm(number, alert, event, event, lost)

    def _latest(self, alarm: Alarm, alert: Alert) -> LoggedEvent:
        if alarm.alert is not alert:
            alarm.alert = alert
            alarm.shown = alarm_event(alert, alarm.number, self._state, alarm.drop, alarm.lost)
        return alarm.shown

    def _reword(self, alarm: Alarm) -> None:
        alarm.event = alarm_event(alarm.alert, alarm.number, self._state, alarm.drop, alarm.lost)
        alarm.shown = alarm.event

    def _add_lost(self, alarm: Alarm, names: Sequence[str]) -> None:
        lost = tuple(dict.fromkeys((*alarm.lost, *names)))
        if lost != alarm.lost:
            alarm.lost = lost
            self._reword(alarm)

    def _went_at(self, restart: Alert, departure: Departure) -> bool:
        """Return whether a model is gone because its server has restarted."""
        model, seconds = departure.model, self._state.now - restart.since
        is_before = model.first_seen < restart.since and seconds <= NOTICED_WITHIN_SECONDS
        return is_before and place(restart.subject_id) == place(model.key.source)
