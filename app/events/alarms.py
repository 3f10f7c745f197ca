"""An alert as an event: what it costs in tokens per second, and which models went with it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from msgspec import Struct

from gpumon.app.alerts.alert import Alert, AlertKind
from gpumon.app.events.event import About, LoggedEvent, Said, change_words, joined, named
from gpumon.app.insight.wording import amount, model_id, shares
from gpumon.app.state.loads.endings import NOTICED_WITHIN_SECONDS
from gpumon.app.state.rates.pace import WINDOW_SECONDS, Pace
from gpumon.app.state.records import ModelKey, ModelRecord, is_server
from gpumon.app.state.state import State
from gpumon.text.safe import visible

PACES_KEPT = 24
PACE_SECONDS = 2.5
"""Paces nearer to each other say the same: each is taken over seconds."""
MODELS_KEPT = 100
WORTH_TELLING_SHARE = 0.05
"""A smaller change of a rate is noise."""
RETOLD_SHARE = 0.1
"""By so much a rate that is told must have moved to be told anew."""

COSTLY: frozenset[AlertKind] = frozenset({"spill", "hidden_spill", "silent_fallback", "throttling"})
"""What slows a model down."""


class Drop(NamedTuple):
    """What became of the decode rate of one request."""

    model: str
    """Harmless to draw."""
    before: float
    after: float

    @property
    def words(self) -> str:
        """Ready to draw, without the name."""
        return change_words(self.before, self.after)


class Paces:
    """How fast each model was in the last minutes, one request at a time; outlives its process."""

    def __init__(self) -> None:
        self._paces: dict[ModelKey, deque[Pace]] = {}

    def note(self, key: ModelKey, pace: Pace | None) -> None:
        """Remember a pace that was measured, unless it is the one before."""
        if pace is None:
            return
        paces = self._paces.get(key)
        if paces is None:
            paces = self._paces[key] = deque(maxlen=PACES_KEPT)
            if len(self._paces) > MODELS_KEPT:
                del self._paces[next(iter(self._paces))]
        if not paces or pace.time - paces[-1].time >= PACE_SECONDS:
            paces.append(pace)

    def change(self, key: ModelKey, at: float) -> tuple[float, float] | None:
        """Return the rates before ``at`` and the latest since, with as many requests at work."""
        paces = self._paces.get(key, ())
        before = next((pace for pace in reversed(paces) if pace.time <= at), None)
        after = next((pace for pace in reversed(paces) if pace.time >= at + WINDOW_SECONDS), None)
        if before is None or after is None or before.parallel != after.parallel:
            return None
        return before.tokens_per_second, after.tokens_per_second


class Alarm(Struct):
    """An alert that is active, and what else is known of it."""

    number: int
    alert: Alert
    event: LoggedEvent
    lost: tuple[str, ...] = ()
    """Models that went with it, harmless to draw."""
    drop: Drop | None = None


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
    return Said((words,), tuple(alert.subject.split(" and ")))


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


def pid_of(model: ModelRecord) -> int | None:
    """Return the process that holds a model, or did."""
    key = model.runner or model.ended_runner or model.process
    return None if key is None else key.pid
