"""One rule applied to all its subjects."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from msgspec.structs import replace

from gpumon.app.alerts.alert import Alert, AlertEvent, AlertKey, AlertKind, EndReason
from gpumon.app.alerts.finding import Finding
from gpumon.app.alerts.limits import Limits
from gpumon.app.alerts.track import Track, began
from gpumon.app.fuses import UNFUSED, Fuses

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
            events += self.look(key, record, seen)
        for key in [key for key in self._tracks if key not in subjects]:
            events += _heard(self._tracks.pop(key).end(now, self._vanished))
        return events

    def look(self, key: K, record: R, seen: Callable[[R], float]) -> tuple[AlertEvent, ...]:
        """Apply the rule to one subject, whatever the others are like.

        If the rule fails, the subject's alert stays as it was.
        """
        with self._fuses.guard(self._place, key):
            track = self._tracks.get(key)
            finding = self._rule(record, self._limits, track is not None and track.alert is not None)
            if track is None and finding.level not in {"watch", "bad"}:
                return ()
            return self._step(key, track, finding, seen(record))
        return ()

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
            yield from self.look(key, subjects[key], seen)
            if track.due == at:  # not yet by a rounding error, or its rule fails
                heapq.heappush(self._due, (at, key))

    def active(self) -> Iterator[Alert]:
        """Give the alerts that are active now."""
        return (track.alert for track in self._tracks.values() if track.alert is not None)

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
