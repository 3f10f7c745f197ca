"""Lines of the alert feed."""

from __future__ import annotations

import time

from gpumon.app.alerts.alert import Alert
from gpumon.app.alerts.book import AlertBook
from gpumon.app.views.ended import ended_words
from gpumon.text import units
from gpumon.widgets.views import AlertRow


def alert_rows(book: AlertBook, now: float) -> tuple[AlertRow, ...]:
    """Return the active alerts, worst and newest first, then those that have ended."""
    return tuple(alert_row(alert, now) for alert in (*book.active, *book.recent))


def alert_row(alert: Alert, now: float) -> AlertRow:
    """Return the line of one alert."""
    message = alert.message if alert.ended is None else ended_words(alert)
    is_named = alert.subject in message
    is_said = is_named or alert.subject_id == "system" or _names_its_address(alert, message)
    return AlertRow(
        key=f"{alert.kind} {alert.subject_id} {alert.since}",
        level=alert.severity,
        subject="" if is_said else alert.subject,
        message=message,
        started=clock_words(alert.since),
        duration_seconds=alert.duration_seconds(now),
        ongoing=alert.until is None,
        acknowledged=alert.acknowledged,
        name=alert.subject if is_named else "",
    )


def _names_its_address(alert: Alert, message: str) -> bool:
    """Tell whether the message on a server has its address: ``Ollama stopped: connection refused at …``."""
    return alert.kind == "source" and alert.subject.rpartition(" at ")[2] in message


def clock_words(at: float) -> str:
    """Write a Unix time as local clock time; one that no calendar has is unknown."""
    try:
        return time.strftime("%H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        return units.UNKNOWN
