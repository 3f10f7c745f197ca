"""An alert, and what a rule finds that may become one."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from gpumon.app.insight.wording import runtime_name, source_label
from gpumon.app.insight.xids import OF_PROGRAMS, xid_words
from gpumon.app.state.records import Event
from gpumon.text.safe import visible

AlertKind = Literal[
    "spill",
    "silent_fallback",
    "hidden_spill",
    "likely_spill",
    "read_from_disk",
    "cache_full",
    "stuck",
    "ended",  # the process of a model that is still listed; as an event, one that told of itself alone
    "unlisted",
    "restarted",  # an event
    "vram_full",
    "throttling",
    "too_hot",
    "gpu_lost",
    "pcie_link",
    "xid",  # an event
    "ecc",
    "ram_low",
    "swapping",
    "source",
    "load_failed",
    "slower",
    "prompt_reread",
    "waiting",
    "thrash",
]

Severity = Literal["watch", "bad"]

EndReason = Literal[
    "recovered",  # the condition was seen to be over
    "unloaded",  # the model is no longer loaded
    "gone",  # the GPU or source is no longer there
    "event",  # it happened, and nothing of it lasts
]

Change = Literal["raised", "renewed", "ended"]


class AlertKey(NamedTuple):
    """Identity of an alert: at most one is active per kind and subject."""

    kind: AlertKind
    subject_id: str
    """GPU UUID, source name, source and digest of a model, or blob of a load."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong; a new value replaces it when something about it changes. Times are Unix."""

    kind: AlertKind
    subject_id: str
    subject: str
    """How the subject is called on the screen, harmless to draw: model name, ``GPU 0``, source."""
    severity: Severity
    """The worst it has been since it was raised."""
    since: float
    """When the condition was first seen (or began, where the source knows)."""
    message: str
    """One line with the latest figures, harmless to draw."""
    until: float | None = None
    """When the condition was first seen to be over; ``None`` while the alert is active."""
    ended: EndReason | None = None
    renewed: float | None = None
    """When it last got worse."""
    acknowledged: bool = False
    measure: float | None = None
    """The latest figure that it rests on, in the unit of its kind."""
    peak: float | None = None
    """The highest ``measure`` while it was active."""

    @property
    def key(self) -> AlertKey:
        """What it is acknowledged by."""
        return AlertKey(self.kind, self.subject_id)

    def duration_seconds(self, now: float) -> float:
        """Return how long it has lasted at ``now``, or did last."""
        return max(0.0, (now if self.until is None else self.until) - self.since)


class AlertEvent(NamedTuple):
    """Something that the user should hear of."""

    change: Change
    alert: Alert


def event_alert(event: Event) -> Alert:
    """Return what has happened as an alert that is over: it stands among those that have ended."""
    if event.kind == "xid":
        return _xid_alert(event)
    is_process = event.kind == "process_ended"
    name, label = visible(event.subject), runtime_name(event.runtime)
    words = f"{name}: its {label}, process {event.pid}, has ended"
    return Alert(
        kind="ended" if is_process else "restarted",
        subject_id=event.subject,
        subject=name if is_process else source_label(event.subject, event.runtime),
        severity="watch",
        since=event.time,
        message=words if is_process else f"{source_label(event.subject, event.runtime)} has restarted",
        until=event.time,
        ended="event",
    )


def _xid_alert(event: Event) -> Alert:
    """Return an error that the driver has reported of a GPU: bad where it is none of a program's."""
    name = visible(event.subject)
    return Alert(
        kind="xid",
        subject_id=event.subject_id,
        subject=name,
        severity="watch" if event.number in OF_PROGRAMS else "bad",
        since=event.time,
        message=f"{name}: {xid_words(event.number).whole}",
        until=event.time,
        ended="event",
    )


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule says about one subject at one instant."""

    level: Literal["clear", "unknown", "watch", "bad"]
    subject: str = ""
    message: str = ""
    further: str | None = None
    """The message once it has grown since it was raised."""
    hold_seconds: float = 0.0
    """How long it must last at this level before it is raised."""
    since: float | None = None
    """When it began, where that is known better than by when it was first seen."""
    measure: float | None = None
    step: float | None = None
    """Growth of ``measure`` that renews the alert."""


CLEAR = Finding(level="clear")
UNKNOWN = Finding(level="unknown")
"""Neither raises nor clears."""


def above(value: float, raise_at: float, clear_at: float, active: bool) -> bool:
    """Return whether ``value`` is too high: from ``raise_at``, and for an active alert from ``clear_at``."""
    return value >= (min(clear_at, raise_at) if active else raise_at)


def below(value: float, raise_at: float, clear_at: float, active: bool) -> bool:
    """Return whether ``value`` is too low: below ``raise_at``, and for an active alert below ``clear_at``."""
    return value < (max(clear_at, raise_at) if active else raise_at)
