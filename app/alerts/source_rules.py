"""Rules about the sources themselves."""

from __future__ import annotations

from gpumon.app.alerts.rules import CLEAR, Finding, Limits
from gpumon.app.insight.faults import hangs, source_fault
from gpumon.app.insight.wording import source_label, source_words
from gpumon.app.state.records import SourceRecord


def source(record: SourceRecord, limits: Limits, _active: bool) -> Finding:
    """Find a source that hangs, or that no longer answers as it did earlier in this run.

    One that never answered is a fact about this machine, shown elsewhere.
    """
    fault = source_fault(record)
    if fault is None or (record.answered is None and not hangs(record)):
        return CLEAR
    return Finding(
        level=fault,
        subject=source_label(record.name),
        message=source_words(record),
        hold_seconds=limits.source_seconds,
        since=record.silent_since if record.silent_since is not None else record.since,
    )
