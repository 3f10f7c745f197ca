"""Takes in what is said of the machine: by the driver, the operating system, and earlier runs."""

from __future__ import annotations

from gpumon.app.state.histories import measure_loads
from gpumon.app.state.holders.measured import measure, unaccounted_bytes
from gpumon.app.state.holders.others import note_ended
from gpumon.app.state.holders.takes import follow_holds
from gpumon.app.state.records import Event, GpuRecord, SystemRecord, XidError
from gpumon.app.state.state import State, hear
from gpumon.collectors.samples import GpuReading, Learned, NvmlSample, SystemSample

LISTS_ALL_GPUS = frozenset({"serving", "idle"})
"""States of the driver in which a GPU that it does not list is no longer there."""


def apply_nvml(state: State, sample: NvmlSample) -> None:
    """Take in one poll of the driver."""
    hear(state, sample.source, sample.health, sample.driver_version)
    state.driver_version = sample.driver_version or state.driver_version
    state.touched.gpus.update(reading.uuid for reading in sample.gpus)
    state.other_gpu_makers = sample.other_makers
    state.driver_seen = state.now
    for reading in sample.gpus:
        _apply_reading(state, reading)
    if sample.health.state in LISTS_ALL_GPUS:
        _forget(state, keep={reading.uuid for reading in sample.gpus})
    if state.has_gpu and not state.gpu_shown:
        state.gpu_shown = True
        state.touched.claimed.update(state.models)  # a part in RAM is a spill only where there is a GPU
    measure(state)
    measure_loads(state)
    state.touched.measured.update(runner.model for runner in state.runners.values() if runner.model)


def _forget(state: State, keep: set[str]) -> None:
    for uuid in [uuid for uuid in state.gpus if uuid not in keep]:
        del state.gpus[uuid]
        state.touched.gpus.add(uuid)


def _apply_reading(state: State, reading: GpuReading) -> None:
    now = state.now
    record = state.gpus.get(reading.uuid)
    if record is None:
        record = state.gpus[reading.uuid] = GpuRecord(reading, seen=now)
    before, record.reading, record.seen = record.reading, reading, now
    record.unaccounted_before = unaccounted_bytes(before)
    note_ended(state, record, before)
    follow_holds(state, record)
    record.facts = reading.facts or record.facts
    record.slow = reading.slow or record.slow
    if reading.state != "lost":
        record.lost_since = None
    elif record.lost_since is None:
        record.lost_since = record.lost_at = now
        record.lost_pids = tuple(process.pid for process in before.processes or ())
    for number in reading.xids:
        _note_xid(state, record, number)
    record.vram.add(now, reading.memory.used_bytes if reading.memory else None)
    record.utilization.add(now, reading.utilization_percent)
    record.power.add(now, reading.power_watts)
    record.energy.add(now, reading.power_watts)
    record.temperature.add(now, reading.temperature_celsius)


XID_STORM_SECONDS = 60.0
"""The same error again within this time is counted, and is no news: a program that fails causes hundreds."""


def _note_xid(state: State, record: GpuRecord, number: int) -> None:
    """Note an Xid error; of a GPU that is lost what is told of its loss names it."""
    before = next((one for one in record.xids if one.number == number), None)
    if before is not None and state.now - before.last < XID_STORM_SECONDS:
        record.xids.remove(before)
        record.xids.append(before._replace(last=state.now, times=before.times + 1))
        return
    record.xids.append(XidError(number, state.now, state.now))
    if record.reading.state != "lost":
        label = f"GPU {record.reading.index}"
        event = Event(state.now, "xid", label, "", 0, number, record.reading.uuid)
        state.touched.events.append(event)


def gpu_pids(state: State) -> frozenset[int]:
    """Return the PIDs that the driver names on any GPU."""
    return frozenset(process.pid for gpu in state.gpus.values() for process in gpu.reading.processes or ())


def apply_system(state: State, sample: SystemSample) -> None:
    """Take in one look at the machine."""
    hear(state, sample.source, sample.health)
    now = state.now
    if state.system is None:
        state.system = SystemRecord(sample, seen=now)
    system = state.system
    system.sample, system.seen = sample, now
    state.touched.system = True
    system.ram_used.add(now, sample.ram_used_bytes)
    system.swap_used.add(now, sample.swap_used_bytes)
    system.cpu.add(now, sample.cpu_percent)


def apply_learned(state: State, sample: Learned) -> None:
    """Take in one reading; it changes nothing in which this run knows better."""
    hear(state, sample.source, sample.health)
    state.learned.absorb(sample)
