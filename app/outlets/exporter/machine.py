"""The series of GPUs, of RAM and CPU, of the sources, of what is wrong, and of the program itself."""

from __future__ import annotations

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import get_args

from msgspec import Struct

from gpumon.app.alerts.alert import Alert
from gpumon.app.insight.health import Level
from gpumon.app.outlets.exporter.series import Series, Value, Values, one_of, ratio
from gpumon.app.outlets.exporter.totals import GpuTotals
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.state.records import SourceRecord
from gpumon.collectors.samples import GpuReading, GpuState, SystemSample
from gpumon.text.safe import visible

GPU_LABELS = ("gpu_uuid", "gpu")
SOURCE_LABELS = ("source", "runtime")
LEVELS: tuple[str, ...] = get_args(Level)
ALERT_LEVELS = ("watch", "bad")
GPU_STATES: tuple[str, ...] = get_args(GpuState)
NAMELESS = "pid "
"""Begins what a process is called on the screen of which no name is known."""
UNNAMED = "processes without a name"
MHZ = 1e6


class GpuSubject(Struct, frozen=True):
    """A GPU, and what has been counted of it."""

    picture: GpuPicture
    totals: GpuTotals
    driver_version: str | None


class SourceSubject(Struct, frozen=True):
    """A source, at the time of the scrape."""

    record: SourceRecord
    now: float


class ProgramSubject(Struct, frozen=True):
    """The program itself, and how the whole is."""

    version: str
    level: str
    alerts: tuple[Alert, ...]
    began: float | None


def _current(read: Callable[[GpuReading], Values]) -> Callable[[GpuSubject], Values]:
    """Read a figure of the driver; of a GPU that is lost, and of a driver that is silent, there is none."""

    def current(one: GpuSubject) -> Values:
        picture = one.picture
        return (
            read(picture.reading) if picture.age_seconds is None and picture.reading.state != "lost" else None
        )

    return current


def _gpu_info(one: GpuSubject) -> Values:
    reading = one.picture.reading
    words = (reading.name, reading.pci_bus_id, one.driver_version)
    return {tuple(visible(word or "") for word in words): 1}


def _gpu_state(one: GpuSubject) -> Values:
    return one_of(GPU_STATES, one.picture.reading.state if one.picture.age_seconds is None else None)


def _owners(one: GpuSubject) -> Values:
    """Add up who holds memory by name: a PID is another one each time, and no name."""
    picture, held = one.picture, defaultdict[tuple[str, ...], int](int)
    if picture.age_seconds is not None or picture.reading.state == "lost":
        return None
    for part in picture.segments:
        name = UNNAMED if part.label.startswith(NAMELESS) else visible(part.label)
        held[name, part.kind] += part.size_bytes
    return held


def _link(read: Callable[[GpuPicture], Value]) -> Callable[[GpuSubject], Values]:
    return lambda one: read(one.picture) if one.picture.age_seconds is None else None


def _hertz(mhz: int | None) -> Value:
    return None if mhz is None else mhz * MHZ


GPU_SERIES: tuple[Series[GpuSubject], ...] = (
    Series("gpumon_gpu_info", "What a GPU is.", _gpu_info, ("name", "pci_bus_id", "driver")),
    Series("gpumon_gpu_state", "How a GPU is: 1 for that, 0 for the rest.", _gpu_state, ("state",)),
    Series(
        "gpumon_gpu_memory_capacity_bytes",
        "Memory of a GPU.",
        _current(lambda one: one.memory.total_bytes if one.memory else None),
    ),
    Series(
        "gpumon_gpu_memory_used_bytes",
        "Memory of a GPU that processes hold.",
        _current(lambda one: one.memory.used_bytes if one.memory else None),
    ),
    Series(
        "gpumon_gpu_memory_reserved_bytes",
        "Memory of a GPU that driver and firmware keep.",
        _current(lambda one: one.memory.reserved_bytes if one.memory else None),
    ),
    Series(
        "gpumon_gpu_memory_owner_bytes",
        "Memory of a GPU by who holds it: a model, another process, or a reserve.",
        _owners,
        ("owner", "kind"),
    ),
    Series(
        "gpumon_gpu_utilization_ratio",
        "The part of the time in which something ran on a GPU, 0 to 1.",
        _current(lambda one: ratio(one.utilization_percent)),
    ),
    Series(
        "gpumon_gpu_memory_utilization_ratio",
        "The part of the time in which memory of a GPU was read or written, 0 to 1.",
        _current(lambda one: ratio(one.memory_utilization_percent)),
    ),
    Series(
        "gpumon_gpu_temperature_celsius",
        "Temperature of a GPU.",
        _current(lambda one: one.temperature_celsius),
    ),
    Series(
        "gpumon_gpu_slowdown_temperature_celsius",
        "The temperature from which on a GPU slows down.",
        lambda one: one.picture.facts.slowdown_celsius,
    ),
    Series(
        "gpumon_gpu_fan_ratio",
        "How fast the fan turns, 0 to 1.",
        _current(lambda one: ratio(one.fan_percent)),
    ),
    Series("gpumon_gpu_power_watts", "What a GPU takes.", _current(lambda one: one.power_watts)),
    Series(
        "gpumon_gpu_power_limit_watts",
        "What a GPU may take.",
        _current(lambda one: one.power_limit_watts),
    ),
    Series(
        "gpumon_gpu_energy_joules_total",
        "What a GPU took while it was watched.",
        lambda one: one.totals.energy_joules.total,
    ),
    Series(
        "gpumon_gpu_sm_clock_hertz",
        "Clock of the multiprocessors.",
        _current(lambda one: _hertz(one.sm_clock_mhz)),
    ),
    Series(
        "gpumon_gpu_memory_clock_hertz",
        "Clock of the memory.",
        _current(lambda one: _hertz(one.memory_clock_mhz)),
    ),
    Series(
        "gpumon_gpu_throttled",
        "What holds the clocks down now, 1 for each reason.",
        _current(lambda one: dict.fromkeys(one.throttle_reasons or (), 1)),
        ("reason",),
    ),
    Series(
        "gpumon_gpu_throttled_seconds_total",
        "For how long a reason has held the clocks down while it was watched.",
        lambda one: dict(one.totals.throttled_seconds),
        ("reason",),
    ),
    Series(
        "gpumon_gpu_pcie_receive_bytes_per_second",
        "What a GPU receives over PCIe.",
        _current(lambda one: one.pcie_receive_bytes_per_second),
    ),
    Series(
        "gpumon_gpu_pcie_transmit_bytes_per_second",
        "What a GPU sends over PCIe.",
        _current(lambda one: one.pcie_transmit_bytes_per_second),
    ),
    Series(
        "gpumon_gpu_pcie_lanes",
        "Lanes of PCIe in use; at rest cards narrow them.",
        _link(lambda one: one.slow.pcie_width),
    ),
    Series(
        "gpumon_gpu_pcie_lanes_max",
        "Lanes of PCIe that a GPU can use.",
        _link(lambda one: one.facts.pcie_width_max),
    ),
    Series(
        "gpumon_gpu_pcie_generation",
        "Generation of PCIe in use; at rest cards lower it.",
        _link(lambda one: one.slow.pcie_generation),
    ),
    Series(
        "gpumon_gpu_xid_errors_total",
        "Errors that the driver has reported of a GPU while it was watched, by their number.",
        lambda one: {str(number): count for number, count in one.totals.xids.items()},
        ("xid",),
    ),
    Series(
        "gpumon_gpu_ecc_uncorrected_errors",
        "Memory errors that could not be corrected since the driver was loaded.",
        _link(lambda one: one.slow.ecc_uncorrected),
    ),
)


def _psi(sample: SystemSample) -> Values:
    pressure = sample.pressure
    return (
        {}
        if pressure is None
        else {"some": ratio(pressure.some_percent), "full": ratio(pressure.full_percent)}
    )


SYSTEM_SERIES: tuple[Series[SystemSample], ...] = (
    Series("gpumon_ram_capacity_bytes", "RAM of the machine.", lambda one: one.ram_total_bytes),
    Series("gpumon_ram_used_bytes", "RAM in use.", lambda one: one.ram_used_bytes),
    Series(
        "gpumon_ram_available_bytes",
        "RAM that a new program could have.",
        lambda one: one.ram_available_bytes,
    ),
    Series("gpumon_swap_capacity_bytes", "Swap of the machine.", lambda one: one.swap_total_bytes),
    Series("gpumon_swap_used_bytes", "Swap in use.", lambda one: one.swap_used_bytes),
    Series(
        "gpumon_swap_in_bytes_per_second", "What comes from swap.", lambda one: one.swap_in_bytes_per_second
    ),
    Series(
        "gpumon_swap_out_bytes_per_second", "What goes to swap.", lambda one: one.swap_out_bytes_per_second
    ),
    Series(
        "gpumon_memory_pressure_ratio",
        "The part of the last 10 s in which tasks waited for memory: some of them, or all (full).",
        _psi,
        ("tasks",),
    ),
    Series(
        "gpumon_io_pressure_ratio",
        "The part of the last 10 s in which some task waited for storage.",
        lambda one: ratio(one.io_waiting_percent),
    ),
    Series(
        "gpumon_cpu_utilization_ratio", "How busy all cores are, 0 to 1.", lambda one: ratio(one.cpu_percent)
    ),
)


def _last_answer(one: SourceSubject) -> Value:
    answered = one.record.answered
    return None if answered is None else max(0.0, one.now - answered)


SOURCE_SERIES: tuple[Series[SourceSubject], ...] = (
    Series(
        "gpumon_source_up",
        "Whether a source answers as it should, 1 or 0: the driver, the system, each server.",
        lambda one: one.record.healthy,
    ),
    Series(
        "gpumon_source_last_answer_seconds",
        "How long ago a source answered as it should; absent where it never has.",
        _last_answer,
    ),
)


def _level(one: ProgramSubject) -> Values:
    return one_of(LEVELS, one.level)


def _by_level(alerts: Iterable[Alert]) -> Values:
    tally = Tally[str](alert.severity for alert in alerts)
    return {level: tally[level] for level in ALERT_LEVELS}


def _alerts(one: ProgramSubject) -> Values:
    return {(alert.kind, alert.severity, alert.subject): 1 for alert in one.alerts}


PROGRAM_SERIES: tuple[Series[ProgramSubject], ...] = (
    Series("gpumon_build_info", "The program itself.", lambda one: {one.version: 1}, ("version",)),
    Series(
        "gpumon_watching_since_timestamp_seconds",
        "Unix time of the first look; the counters begin there.",
        lambda one: one.began,
    ),
    Series("gpumon_level", "The verdict on the whole: 1 for it, 0 for the rest.", _level, ("level",)),
    Series(
        "gpumon_alerts", "Alerts that are active, by level.", lambda one: _by_level(one.alerts), ("level",)
    ),
    Series(
        "gpumon_alert_active",
        "Alerts that are active, 1 for each.",
        _alerts,
        ("rule", "level", "subject"),
    ),
)
