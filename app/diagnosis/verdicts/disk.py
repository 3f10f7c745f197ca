"""The verdict on a model that is read from storage while it works, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.diagnosis.arithmetic import NoArithmetic
from gpumon.app.diagnosis.diagnosis import Evidence, Verdict
from gpumon.app.diagnosis.subject import Subject, placement_now
from gpumon.app.diagnosis.words import ARITHMETIC, ESTIMATE, SLOTS, about, size_evidence
from gpumon.app.insight.disk import DiskReading, disk_words
from gpumon.app.physics.speed import traffic_of
from gpumon.text import units
from gpumon.text.safe import visible

IO, STAT, STATUS = "/proc/PID/io", "/proc/PID/stat", "/proc/PID/status"
MEMINFO, PRESSURE, GROUPS = "/proc/meminfo", "/proc/pressure/io", "/sys/fs/cgroup"
GROUP_WIDTH = 60


def read_from_disk(subject: Subject) -> Verdict | None:
    """Find a model that generates at the pace of the disk: it is larger than RAM, or was pushed out of it."""
    reading = subject.loaded.disk
    if reading is None:
        return None
    sentence = disk_words(subject.name, reading, _cost_words(subject))
    return Verdict("read_from_disk", "bad", sentence, tuple(_evidence(subject, reading)))


def _cost_words(subject: Subject) -> str:
    """Say the rate, and what it would be from RAM: ``, 0.4 tok/s, about 6 from RAM``."""
    measured = subject.rates.measured
    if measured is None:
        return ""
    from_ram = subject.expected_now
    return f", {units.rate(measured)}" + (f", {about(from_ram)} from RAM" if from_ram else "")


def _evidence(subject: Subject, reading: DiskReading) -> Iterator[Evidence]:
    if reading.bytes_per_second is not None:
        yield Evidence("read from disk", units.byte_rate(reading.bytes_per_second), IO)
    if reading.faults_per_second is not None:
        yield Evidence("waits for a page", f"{reading.faults_per_second:.0f}/s", STAT)
    if reading.waiting_percent is not None:
        yield Evidence("time waited for storage", units.percent(reading.waiting_percent), PRESSURE)
    if reading.resident_bytes is not None:
        yield size_evidence("of its files in RAM", reading.resident_bytes, STATUS)
    if reading.needed_bytes is not None:
        yield size_evidence("belongs in RAM", reading.needed_bytes, subject.split_source)
    if reading.ram_total_bytes is not None:
        yield size_evidence("RAM", reading.ram_total_bytes, MEMINFO)
    if reading.limit_bytes is not None:
        name = f"RAM that {visible(reading.limit_group or '', GROUP_WIDTH)} may take"
        yield size_evidence(name, reading.limit_bytes, GROUPS)
    yield from _rate_evidence(subject, reading)


def _rate_evidence(subject: Subject, reading: DiskReading) -> Iterator[Evidence]:
    """Yield what the disk allows: its bytes a second over the bytes of a token."""
    rate, pace = subject.rates.now, reading.bytes_per_second
    if rate:
        yield Evidence("decode rate", units.rate(rate), SLOTS)
        if pace:
            yield size_evidence("read for each token", round(pace / rate), ARITHMETIC)
        return
    token_bytes = _token_bytes(subject)
    if pace and token_bytes:
        yield size_evidence("weights in RAM used for a token", round(token_bytes), ARITHMETIC)
        yield Evidence("decode rate at this pace", f"{units.rate(pace / token_bytes)} or more", ESTIMATE)


def _token_bytes(subject: Subject) -> float | None:
    """Return the bytes of weights in RAM that a token passes through; ``None`` where that is unknown."""
    arithmetic = subject.arithmetic
    if isinstance(arithmetic, NoArithmetic):
        return None
    present = placement_now(subject.loaded, arithmetic, subject.split)
    if present is None:
        return None
    tokens = subject.rates.usual_context_tokens
    _, in_ram = traffic_of(arithmetic.geometry, arithmetic.options, present, tokens)
    return in_ram.weights_bytes
