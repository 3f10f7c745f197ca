"""Everything that happens in the driver's thread: start, read, notice trouble, start anew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from gpumon.collectors.clock import Clock
from gpumon.collectors.nvml import health
from gpumon.collectors.nvml.asleep import Sleepers
from gpumon.collectors.nvml.binding import UnusableBindingError, unload
from gpumon.collectors.nvml.device import Device, Identity, unwell
from gpumon.collectors.nvml.processes import ProcessNames
from gpumon.collectors.nvml.query import (
    LIB_RM_VERSION_MISMATCH,
    DriverError,
    DriverGoneError,
    GpuLostError,
    Nvml,
)
from gpumon.collectors.nvml.session import Session
from gpumon.collectors.samples import GpuReading, GpuState, NvmlSample, SourceHealth

RESTART_AFTER_POLLS = 3
"""With a GPU lost or failing for so many polls NVML is started anew, then after twice as many, and so on."""
RESTART_AFTER_POLLS_AT_MOST = 300


class Monitor:
    """Reads all GPUs and survives what drivers do. Not thread-safe; every method may block for ever."""

    def __init__(self, clock: Clock, load: Callable[[], Nvml], sysfs: Path, procfs: Path) -> None:
        self._clock = clock
        self._load = load
        self._sleepers = Sleepers(sysfs, procfs)
        self._names = ProcessNames(procfs)
        self._session: Session | None = None
        self._known: dict[str, Identity] = {}
        self._unwell_polls = 0
        self._patience = RESTART_AFTER_POLLS

    def read(self) -> NvmlSample:
        """Read everything once; whatever is wrong is in the sample."""
        self._names.begin()
        if self._session is None:
            self._sleepers.scan()
        self._sleepers.begin(self._clock.now())
        if self._sleepers.all_alone():
            # An open session keeps a GPU from sleeping where its power management is coarse-grained.
            self.close()
            return self._without_values(health.ASLEEP, "asleep")
        try:
            return self._read_awake()
        except UnusableBindingError as error:
            return self._without_values(health.of_binding(error), "lost")
        except DriverError as error:
            self.close()
            return self._without_values(health.of_error(error), "lost")

    def close(self) -> None:
        """Shut NVML down; the next ``read`` starts it again."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _read_awake(self) -> NvmlSample:
        """Read; if the driver has gone since the last time, start it and read once more."""
        if self._session is not None:
            with contextlib.suppress(DriverGoneError):
                if not self._restart_due(self._session):
                    self._session.open_missing()
                    return self._read_session(self._session)
        return self._read_session(self._restart())

    def _restart_due(self, session: Session) -> bool:
        return session.hardware_changed() or self._unwell_polls >= self._patience

    def _restart(self) -> Session:
        self.close()
        if self._unwell_polls:
            self._patience = min(2 * self._patience, RESTART_AFTER_POLLS_AT_MOST)
            self._unwell_polls = 0
        return self._start()

    def _start(self) -> Session:
        nvml = self._load()
        try:
            self._session = Session(nvml, self._clock)
        except DriverGoneError as error:
            if error.code == LIB_RM_VERSION_MISMATCH:
                unload(nvml)
            raise
        return self._session

    def _read_session(self, session: Session) -> NvmlSample:
        readings = [self._read_device(device) for device in session.devices]
        self._known |= {device.identity.uuid: device.identity for device in session.devices}
        self._count_unwell(readings, session.unopened)
        state = health.of_unopened(session.unopened) if readings or session.unopened else health.NO_GPU
        missing = self._known.keys() - {reading.uuid for reading in readings}
        readings += (_missing(self._known[uuid], session) for uuid in missing)
        return self._sample(state, readings, session.driver_version)

    def _read_device(self, device: Device) -> GpuReading:
        if self._sleepers.alone(device.identity.pci_bus_id):
            return device.unwell("asleep")
        try:
            reading = device.read(self._names)
        except GpuLostError as error:
            return device.unwell("lost", error.words)
        self._sleepers.note(reading, self._clock.now())
        return reading

    def _count_unwell(self, readings: list[GpuReading], unopened: dict[int, str]) -> None:
        if unopened or any(reading.state in {"lost", "failing"} for reading in readings):
            self._unwell_polls += 1
        else:
            self._unwell_polls = 0
            self._patience = RESTART_AFTER_POLLS

    def _without_values(self, state: SourceHealth, gpu_state: GpuState) -> NvmlSample:
        """Return a sample with every GPU that was seen before and nothing about it."""
        detail = state.detail if gpu_state == "lost" else None
        return self._sample(state, [unwell(known, gpu_state, detail) for known in self._known.values()])

    def _sample(
        self, state: SourceHealth, readings: Iterable[GpuReading], driver_version: str | None = None
    ) -> NvmlSample:
        return NvmlSample(
            time=self._clock.now(),
            source="nvml",
            health=state,
            driver_version=driver_version,
            gpus=tuple(sorted(readings, key=lambda reading: (reading.index, reading.uuid))),
        )


def _missing(identity: Identity, session: Session) -> GpuReading:
    """Return the reading of a GPU that this session has not opened, though an earlier one had."""
    words = session.unopened.get(identity.index, "the driver no longer lists it")
    return unwell(identity, "lost", words)
