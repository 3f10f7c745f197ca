"""What earlier runs have learned of this machine, as far as it bears on ``gpumon fit``."""

from __future__ import annotations

from gpumon.app.learned import learned_path
from gpumon.app.state.records.learned import LearnedRecord, record_of
from gpumon.collectors.learned import DocumentError, read


def learned() -> LearnedRecord:
    """Return what the state directory holds; a file that cannot be used teaches nothing."""
    try:
        return record_of([read(learned_path()).as_sample(0.0, "learned")])
    except (DocumentError, OSError):
        return LearnedRecord()


def with_ram_bandwidth(record: LearnedRecord, bytes_per_second: float | None) -> LearnedRecord:
    """Return the record without its own bandwidths of RAM, where the user names one."""
    if bytes_per_second is None:
        return record
    return LearnedRecord(scales=record.scales, memory=record.memory)
