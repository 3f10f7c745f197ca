"""One rule applied to its subjects, and the life of an alert: pending, active, clearing, ended."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.alerts.alert import Alert, AlertEvent, AlertKey, AlertKind, EndReason, Finding
from gpumon.app.alerts.limits import Limits
from gpumon.app.fuses import UNFUSED, Fuses


class Track(Struct):
    """One subject of one rule, from the first sign of trouble until it is over."""

    key: AlertKey
    since: float
    bad_since: float | None = None
    """Since when it has been at level ``bad`` without a break."""
    clear_since: float | None = None
    alert: Alert | None = None
    """``None`` while pending."""
    due: float | None = None
    """When time alone may raise, escalate or end the alert; ``None`` while nothing but a change can."""
    first_measure: float | None = None
    base_measure: float | None = None
    """The measure when the alert was raised or last renewed."""

    def take(self, finding: Finding, time: float, clear_seconds: float) -> AlertEvent | None:
        """Go on with what was found at ``time``; return what the user should hear of."""
        if finding.level == "unknown":
            return None
        if finding.level == "clear":
            return self._clear(time, clear_seconds)
        self._note(finding, time)
        if self.alert is None:
            event = self._raise(finding) if self._held(finding, time) else None
        else:
            event = self._carry_on(self.alert, finding, time)
        is_settled = self.alert is not None and finding.level == self.alert.severity
        self.due = None if is_settled else self._begin() + finding.hold_seconds
        return event

    @property
    def over(self) -> bool:
        """Whether nothing is left to remember: never raised and clear, or ended."""
        return self.clear_since is not None if self.alert is None else self.alert.until is not None

    def end(self, time: float, reason: EndReason) -> AlertEvent | None:
        """End it at ``time``; a pending one ends unheard."""
        self.clear_since = time
        if self.alert is None:
            return None
        self.alert = replace(self.alert, until=max(time, self.alert.since), ended=reason)
        return AlertEvent("ended", self.alert)

    def _clear(self, time: float, clear_seconds: float) -> AlertEvent | None:
        self.bad_since = None
        if self.clear_since is None:
            self.clear_since = time
        self.due = self.clear_since + clear_seconds
        if self.alert is None or time - self.clear_since < clear_seconds:
            return None
        return self.end(self.clear_since, "recovered")

    def _note(self, finding: Finding, time: float) -> None:
        self.clear_since = None
        if finding.level != "bad":
            self.bad_since = None
        elif self.bad_since is None:
            self.bad_since = began(finding, time)

    def _held(self, finding: Finding, time: float) -> bool:
        return time - self._begin() >= finding.hold_seconds

    def _begin(self) -> float:
        """Return since when the level that is to be raised has lasted."""
        return self.since if self.bad_since is None else self.bad_since

    def _raise(self, finding: Finding) -> AlertEvent:
        self.first_measure = self.base_measure = finding.measure
        self.alert = Alert(
            kind=self.key.kind,
            subject_id=self.key.subject_id,
            subject=finding.subject,
            severity="bad" if finding.level == "bad" else "watch",
            since=self.since,
            message=finding.message,
            measure=finding.measure,
            peak=finding.measure,
        )
        return AlertEvent("raised", self.alert)

    def _carry_on(self, alert: Alert, finding: Finding, time: float) -> AlertEvent | None:
        escalated = finding.level == "bad" and alert.severity == "watch" and self._held(finding, time)
        renewed = escalated or grew(finding, self.base_measure)
        if renewed:
            alert = replace(
                alert, renewed=time, acknowledged=False, severity="bad" if escalated else alert.severity
            )
            self.base_measure = finding.measure
        self.alert = self._with_figures(alert, finding)
        return AlertEvent("renewed", self.alert) if renewed else None

    def _with_figures(self, alert: Alert, finding: Finding) -> Alert:
        further = alert.renewed is not None and grew(finding, self.first_measure)
        message = finding.further if further and finding.further else finding.message
        if message == alert.message and finding.measure == alert.measure:
            return alert
        peaks = [measure for measure in (alert.peak, finding.measure) if measure is not None]
        return replace(alert, message=message, measure=finding.measure, peak=max(peaks, default=None))


def began(finding: Finding, time: float) -> float:
    """Return when the condition began: what the finding says, else now."""
    return time if finding.since is None else min(finding.since, time)


def grew(finding: Finding, base: float | None) -> bool:
    """Return whether the measure has grown by the finding's step since it was ``base``."""
    if finding.step is None or finding.measure is None or base is None:
        return False
    return finding.measure - base >= finding.step - 1e-9


R = TypeVar("R")
K = TypeVar("K", bound="str | tuple[str, ...]")

Rule = Callable[[R, Limits, bool], Finding]
"""Says how one subject is. The last argument tells whether its alert is active, for hysteresis."""


class Watcher(Generic[K, R]):
    """Keeps the tracks of one rule; a subject that is well costs one call of the rule and nothing else."""

    def __init__(
        self,
        kind: AlertKind,
        rule: Rule[R],
        limits: Limits,
        fuses: Fuses = UNFUSED,
        *,
        clear_seconds: float,
        vanished: EndReason = "gone",
        by_time: bool = False,
    ) -> None:
        self._kind = kind
        self._rule = rule
        self._limits = limits
        self._clear_seconds = clear_seconds
        self._vanished = vanished
        self._by_time = by_time
        """Whether ``look_again`` is called; else nobody takes from ``_due``."""
        self._fuses = fuses
        self._place = f"rule {kind}"
        self._tracks: dict[K, Track] = {}
        self._due: list[tuple[float, K]] = []
        """A heap of when which subject is to be looked at again; an entry may be out of date."""

    def observe(self, subjects: Mapping[K, R], seen: Callable[[R], float], now: float) -> list[AlertEvent]:
        """Apply the rule to every subject as of when it was ``seen``; end the alerts of those not there."""
        events: list[AlertEvent] = []
        for key, record in subjects.items():
            events += self.look(key, record, seen(record))
        for key in [key for key in self._tracks if key not in subjects]:
            events += self.end(key, now)
        return events

    def end(self, key: K, now: float) -> tuple[AlertEvent, ...]:
        """End the alert of a subject that is not there any more, if it has one."""
        track = self._tracks.pop(key, None)
        return () if track is None else _heard(track.end(now, self._vanished))

    def look(self, key: K, record: R, at: float) -> tuple[AlertEvent, ...]:
        """Apply the rule to one subject as it was seen ``at`` a time, whatever the others are like.

        If the rule fails, the subject's alert stays as it was.
        """
        track = self._tracks.get(key)
        try:  # what a guard does, at less cost: this runs for every subject of every sample
            finding = self._rule(record, self._limits, track is not None and track.alert is not None)
            is_news = track is not None or finding.level in {"watch", "bad"}
            events = self._step(key, track, finding, at) if is_news else ()
        except Exception as error:
            self._fuses.blow(error, self._place, key)
            return ()
        if self._fuses.is_blown:
            self._fuses.hold(self._place, key)
        return events

    def look_again(
        self, subjects: Mapping[K, R], seen: Callable[[R], float], now: float
    ) -> Iterator[AlertEvent]:
        """Apply the rule to those subjects of which time alone, by ``now``, may raise or end the alert."""
        due: list[tuple[float, K]] = []
        while self._due and self._due[0][0] <= now:
            due.append(heapq.heappop(self._due))
        for at, key in due:
            track = self._tracks.get(key)
            if track is None or track.due != at or key not in subjects:
                continue
            yield from self.look(key, subjects[key], seen(subjects[key]))
            if track.due == at:  # not yet by a rounding error, or its rule fails
                heapq.heappush(self._due, (at, key))

    def active(self) -> list[Alert]:
        """Return the alerts that are active now."""
        return [track.alert for track in self._tracks.values() if track.alert is not None]

    @property
    def is_idle(self) -> bool:
        """Whether nothing is wrong, and nothing begins to be."""
        return not self._tracks

    def acknowledge(self, key: AlertKey | None) -> None:
        """Mark the alert of ``key`` as seen by the user, or all for ``None``."""
        for track in self._tracks.values():
            if track.alert is not None and key in {None, track.key}:
                track.alert = replace(track.alert, acknowledged=True)

    def _step(self, key: K, track: Track | None, finding: Finding, time: float) -> tuple[AlertEvent, ...]:
        if track is None:
            alert_key = AlertKey(self._kind, key if isinstance(key, str) else " ".join(key))
            track = self._tracks[key] = Track(alert_key, began(finding, time))
        due_before = track.due
        event = track.take(finding, time, self._clear_seconds)
        if track.over:
            del self._tracks[key]
        elif self._by_time and track.due is not None and track.due != due_before:
            heapq.heappush(self._due, (track.due, key))
        return _heard(event)


def _heard(event: AlertEvent | None) -> tuple[AlertEvent, ...]:
    return () if event is None else (event,)
