"""Rules about the machine's memory."""

from __future__ import annotations

from gpumon.app.alerts.finding import CLEAR, UNKNOWN, Finding, above, below
from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.falls import swap_rate
from gpumon.app.state.records import SystemRecord
from gpumon.text.units import byte_rate, percent, size

SUBJECT = "system"


def ram_low(system: SystemRecord, limits: Limits, active: bool) -> Finding:
    """Find too little available RAM (MemAvailable of /proc/meminfo)."""
    sample = system.sample
    if sample.ram_total_bytes <= 0:
        return UNKNOWN
    share = sample.ram_available_bytes / sample.ram_total_bytes * 100
    if not below(share, limits.ram_low_percent, limits.ram_low_clear_percent, active):
        return CLEAR
    return Finding(
        level="bad",
        subject=SUBJECT,
        message=f"RAM is running out: {size(sample.ram_available_bytes)} ({percent(share)}) available",
        hold_seconds=limits.hold_seconds,
    )


def swapping(system: SystemRecord, limits: Limits, active: bool) -> Finding:
    """Find sustained traffic to and from swap."""
    sample, rate = system.sample, swap_rate(system.sample)
    if rate is None:
        return UNKNOWN
    if not above(rate, limits.swap_bytes_per_second, limits.swap_clear_bytes_per_second, active):
        return CLEAR
    both = (
        f"{byte_rate(sample.swap_in_bytes_per_second)} in, {byte_rate(sample.swap_out_bytes_per_second)} out"
    )
    return Finding(
        level="watch",
        subject=SUBJECT,
        message=f"swapping: {both}",
        hold_seconds=limits.hold_seconds,
        measure=rate,
    )
