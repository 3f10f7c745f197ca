"""The level of each subject: the worst alert that is active on it."""

from __future__ import annotations

from collections.abc import Iterable

from gpumon.app.alerts.alert import Alert
from gpumon.widgets.kit.lines import Level


class Levels:
    """Looks up the level of a GPU, a model or the system by its alert subject."""

    def __init__(self, alerts: Iterable[Alert]) -> None:
        self._worst: dict[str, Level] = {}
        for alert in alerts:
            if self._worst.get(alert.subject_id) != "bad":
                self._worst[alert.subject_id] = alert.severity

    def of(self, subject_id: str, known: bool = True) -> Level:
        """Return the worst active level; without an alert "ok", or "unknown" where nothing is known."""
        return self._worst.get(subject_id) or ("ok" if known else "unknown")
