"""Feeding samples to a monitor and asking which alerts came of it: what ``tests.scene`` says of a machine."""

from __future__ import annotations

from collections.abc import Iterable

from gpumon.app.alerts.alert import Alert, AlertEvent, AlertKind
from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.collectors.samples import AnySample


def watch(*samples: AnySample, limits: Limits | None = None) -> Monitor:
    """Return a monitor that has taken ``samples``."""
    monitor = Monitor(limits or Limits())
    feed(monitor, samples)
    return monitor


def feed(monitor: Monitor, samples: Iterable[AnySample]) -> tuple[AlertEvent, ...]:
    """Feed ``samples`` and return what is new."""
    for sample in samples:
        monitor.feed(sample)
    return monitor.alerts.fresh()


def active(monitor: Monitor, kind: AlertKind) -> Alert | None:
    """Return the active alert of ``kind``, if there is one."""
    found = [alert for alert in monitor.alerts.active if alert.kind == kind]
    assert len(found) <= 1, f"more than one {kind} alert"
    return found[0] if found else None
