"""One rule applied to all its subjects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from msgspec.structs import replace

from gpumon.app.alerts.alert import Alert, AlertEvent, AlertKey, AlertKind, EndReason
from gpumon.app.alerts.finding import Finding
from gpumon.app.alerts.limits import Limits
from gpumon.app.alerts.track import Track, began

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
        *,
        clear_seconds: float,
        vanished: EndReason = "gone",
    ) -> None:
        self._kind = kind
        self._rule = rule
        self._limits = limits
        self._clear_seconds = clear_seconds
        self._vanished = vanished
        self._tracks: dict[K, Track] = {}

    def observe(
        self, subjects: Mapping[K, R], seen: Callable[[R], float], now: float
    ) -> Iterator[AlertEvent]:
        """Apply the rule to every subject as of when it was ``seen``; end the alerts of those not there."""
        for key, record in subjects.items():
            yield from self.look(key, record, seen)
        for key in [key for key in self._tracks if key not in subjects]:
            yield from _heard(self._tracks.pop(key).end(now, self._vanished))

    def look(self, key: K, record: R, seen: Callable[[R], float]) -> Iterator[AlertEvent]:
        """Apply the rule to one subject, whatever the others are like."""
        track = self._tracks.get(key)
        finding = self._rule(record, self._limits, track is not None and track.alert is not None)
        if track is not None or finding.level in {"watch", "bad"}:
            yield from self._step(key, track, finding, seen(record))

    @property
    def follows(self) -> bool:
        """Whether it follows a subject that is or was not well: time alone may raise or end its alert."""
        return bool(self._tracks)

    def active(self) -> Iterator[Alert]:
        """Give the alerts that are active now."""
        return (track.alert for track in self._tracks.values() if track.alert is not None)

    def acknowledge(self, key: AlertKey | None) -> None:
        """Mark the alert of ``key`` as seen by the user, or all for ``None``."""
        for track in self._tracks.values():
            if track.alert is not None and key in {None, track.key}:
                track.alert = replace(track.alert, acknowledged=True)

    def _step(self, key: K, track: Track | None, finding: Finding, time: float) -> Iterator[AlertEvent]:
        if track is None:
            alert_key = AlertKey(self._kind, key if isinstance(key, str) else " ".join(key))
            track = self._tracks[key] = Track(alert_key, began(finding, time))
        yield from _heard(track.take(finding, time, self._clear_seconds))
        if track.over:
            del self._tracks[key]


def _heard(event: AlertEvent | None) -> tuple[AlertEvent, ...]:
    return () if event is None else (event,)
