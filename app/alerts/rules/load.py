"""Rules about loads: those that fail, and those that come again and again."""

from __future__ import annotations

from gpumon.app.alerts.finding import UNKNOWN, Finding
from gpumon.app.alerts.limits import Limits
from gpumon.app.state.loads.endings import WINDOW_SECONDS
from gpumon.app.state.records import FailedLoad, SettingChange, Thrash
from gpumon.text.safe import visible
from gpumon.text.units import duration

RETRY_SECONDS = 2.0
"""A server that tries again has begun by then."""


def load_failed(failed: FailedLoad, _limits: Limits, _active: bool) -> Finding:
    """Find a load that ended before its model was ready; one that is tried again has not failed yet."""
    if failed.retrying:
        return UNKNOWN
    load, name = failed.load, visible(failed.load.name)
    why = f": {visible(load.reason)}" if load.reason else ""
    return Finding(
        level="bad",
        subject=name,
        message=f"{name} failed to load after {duration(load.total_seconds)}{why}",
        hold_seconds=RETRY_SECONDS,
        since=load.ended,
    )


def thrash(found: Thrash, _limits: Limits, _active: bool) -> Finding:
    """Say what is loaded again and again, and why."""
    subject = " and ".join(map(visible, found.names))
    return Finding(
        level="watch",
        subject=subject,
        message=f"{subject} {_thrash_words(found)}",
        since=found.since,
        measure=found.count,
    )


def _thrash_words(found: Thrash) -> str:
    loads = f"{found.count} loads in {WINDOW_SECONDS / 60:.0f} min"
    if len(found.names) > 1:
        return f"evict each other: {loads}"
    match found.cause:
        case "settings":
            return f"is loaded again and again, {loads}: {', '.join(map(_change_words, found.changes))}"
        case "memory":
            return f"is loaded again and again, {loads}: other models make it leave"
        case "expired":
            return f"is loaded again and again, {loads}: its keep_alive is too short"
        case None:
            return f"is loaded again and again, {loads}"


def _change_words(change: SettingChange) -> str:
    before, after = ("default" if value is None else str(value) for value in (change.before, change.after))
    return f"{change.setting} changes from {visible(before)} to {visible(after)}"
