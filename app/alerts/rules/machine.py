"""Rules on GPUs, RAM, swap and the sources."""

from __future__ import annotations

from gpumon.app.alerts.alert import CLEAR, UNKNOWN, Finding, above, below
from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.falls import costly_reasons, is_severe, link_below_best, slowdown_words, swap_rate
from gpumon.app.insight.health import gpu_fault, hangs, is_needed, source_fault
from gpumon.app.insight.wording import gpu_label, gpu_state_words, source_label, source_words
from gpumon.app.state.records import GpuRecord, SourceRecord, SystemRecord
from gpumon.collectors.samples import GpuReading, SourceState
from gpumon.text.safe import visible
from gpumon.text.units import byte_rate, celsius, gib, percent, size


def vram_full(gpu: GpuRecord, limits: Limits, active: bool) -> Finding:
    """Find device memory that is nearly full; shared memory is the system's affair."""
    memory = gpu.reading.memory
    if memory is None or memory.used_bytes is None or memory.total_bytes <= 0:
        return _not_measured(gpu.reading)
    if memory.unified:
        return CLEAR
    taken = memory.used_bytes + (memory.reserved_bytes or 0)
    share = taken / memory.total_bytes * 100
    if not above(share, limits.vram_nearly_full_percent, limits.vram_nearly_full_clear_percent, active):
        return CLEAR
    label = gpu_label(gpu)
    amounts = f"{gib(taken)} of {gib(memory.total_bytes)} GiB ({percent(share)})"
    return Finding(
        level="watch",
        subject=label,
        message=f"{label} memory is nearly full: {amounts}",
        hold_seconds=limits.hold_seconds,
        measure=share,
    )


def throttling(gpu: GpuRecord, limits: Limits, _active: bool) -> Finding:
    """Find clocks held down by heat, by the hardware or by the power cap."""
    costly = costly_reasons(gpu.reading)
    if costly is None:
        return _not_measured(gpu.reading)
    if not costly:
        return CLEAR
    label = gpu_label(gpu)
    severe = is_severe(costly)
    return Finding(
        level="bad" if severe else "watch",
        subject=label,
        message=slowdown_words(gpu, costly),
        hold_seconds=limits.throttling_seconds if severe else limits.power_cap_seconds,
    )


def too_hot(gpu: GpuRecord, limits: Limits, active: bool) -> Finding:
    """Find a temperature near (watch) or at (bad) the card's own slowdown limit."""
    temperature, slowdown = gpu.reading.temperature_celsius, gpu.facts.slowdown_celsius
    if temperature is None or slowdown is None:
        return _not_measured(gpu.reading)
    raise_at = slowdown - limits.temperature_margin_celsius
    if not above(temperature, raise_at, slowdown - limits.temperature_clear_margin_celsius, active):
        return CLEAR
    label = gpu_label(gpu)
    return Finding(
        level="bad" if temperature >= slowdown else "watch",
        subject=label,
        message=f"{label} is hot: {celsius(temperature)}, it slows down at {celsius(slowdown)}",
        hold_seconds=limits.temperature_seconds,
        measure=temperature,
    )


def gpu_lost(gpu: GpuRecord, limits: Limits, _active: bool) -> Finding:
    """Find a GPU that fell off the bus (NVML_ERROR_GPU_IS_LOST), or that answers with errors."""
    fault = gpu_fault(gpu)
    if fault is None:
        return CLEAR
    return Finding(
        level=fault,
        subject=gpu_label(gpu),
        message=gpu_state_words(gpu),
        hold_seconds=0.0 if fault == "bad" else limits.source_seconds,
        since=gpu.lost_since,
    )


def pcie_link(gpu: GpuRecord, limits: Limits, active: bool) -> Finding:
    """Find a link below its maximum under load. Only a link read under load counts: idle ones downshift."""
    utilization, slow = gpu.reading.utilization_percent, gpu.reading.slow
    if utilization is None and not active:
        return _not_measured(gpu.reading)
    if utilization is None or utilization < limits.pcie_busy_percent:
        return UNKNOWN if active else CLEAR
    if slow is None or (slow.pcie_width is None and slow.pcie_generation is None):
        return UNKNOWN
    below = link_below_best(gpu)
    if not below:
        return CLEAR
    label = gpu_label(gpu)
    return Finding(
        level="watch",
        subject=label,
        message=f"{label} PCIe link is below its maximum under load: {', '.join(below)}",
        hold_seconds=limits.pcie_link_seconds,
    )


def ecc(gpu: GpuRecord, _limits: Limits, _active: bool) -> Finding:
    """Find memory errors that could not be corrected since the driver was loaded."""
    count = gpu.slow.ecc_uncorrected
    if count is None:
        return _not_measured(gpu.reading)
    if count == 0:
        return CLEAR
    label = gpu_label(gpu)
    words = "error" if count == 1 else "errors"
    return Finding(
        level="bad",
        subject=label,
        message=f"{label} has had {count} uncorrectable memory {words} since the driver was loaded",
        measure=count,
        step=1.0,
    )


def not_returned(gpu: GpuRecord, limits: Limits, _active: bool) -> Finding:
    """Find memory that did not come back when its process ended."""
    if gpu.reading.memory is None or gpu.reading.processes is None:
        return _not_measured(gpu.reading)
    if not gpu.leftovers:
        return CLEAR
    largest = max(gpu.leftovers, key=lambda left: left.vram_bytes)
    label, name = gpu_label(gpu), visible(largest.name) if largest.name else f"process {largest.pid}"
    return Finding(
        level="watch",
        subject=label,
        message=f"{label}: {gib(largest.vram_bytes)} GiB of {name}, which has ended, did not come back",
        hold_seconds=limits.not_returned_seconds,
        since=largest.since,
    )


def _not_measured(reading: GpuReading) -> Finding:
    return CLEAR if reading.state == "asleep" else UNKNOWN


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
