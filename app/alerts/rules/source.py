"""Rules about the sources themselves."""

from __future__ import annotations

from gpumon.app.alerts.finding import CLEAR, Finding
from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.faults import hangs, is_needed, source_fault
from gpumon.app.insight.wording import source_label, source_words
from gpumon.app.state.records import SourceRecord
from gpumon.collectors.samples import SourceState

WRONG_ANSWERS: frozenset[SourceState] = frozenset({"foreign", "nonsense", "forbidden", "failing"})
"""Something is there, and is not as it should be."""


def source(record: SourceRecord, limits: Limits, _active: bool) -> Finding:
    """Find a source that hangs, answers wrongly, or no longer answers as it did earlier in this run.

    That nothing ever was there is a fact about this machine, shown elsewhere.
    """
    fault = source_fault(record)
    if fault is None or (record.answered is None and not _is_wrong_from_the_start(record)):
        return CLEAR
    return Finding(
        level=fault,
        subject=source_label(record.name, record.runtime),
        message=source_words(record),
        hold_seconds=limits.source_seconds,
        since=record.silent_since if record.silent_since is not None else record.since,
    )


def _is_wrong_from_the_start(record: SourceRecord) -> bool:
    return hangs(record) or (is_needed(record) and record.health.state in WRONG_ANSWERS)
