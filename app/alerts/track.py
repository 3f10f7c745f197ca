"""The life of an alert: pending, active, clearing, ended. Time is that of the evidence, never a clock's."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.alerts.alert import Alert, AlertEvent, AlertKey, EndReason
from gpumon.app.alerts.finding import Finding


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
    """Tell whether the measure has grown by the finding's step since it was ``base``."""
    if finding.step is None or finding.measure is None or base is None:
        return False
    return finding.measure - base >= finding.step - 1e-9
