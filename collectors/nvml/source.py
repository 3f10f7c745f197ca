"""The source ``nvml``: GPUs, their memory and who holds it.

``Monitor`` is everything that happens in the driver's thread: start, read, notice trouble, start again.
``Session`` is one start of NVML. At the end: what a failure of the driver means, and the next step.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from gpumon.collectors.nvml.device import Device, Identity, unwell
from gpumon.collectors.nvml.driver import (
    DRIVER_NOT_LOADED,
    LIB_RM_VERSION_MISMATCH,
    LIBRARY_NOT_FOUND,
    NO_PERMISSION,
    DriverError,
    DriverGoneError,
    GpuLostError,
    Handle,
    Nvml,
    Query,
    RefusedError,
    UnusableBindingError,
    call,
    load_pynvml,
    unload,
)
from gpumon.collectors.nvml.pci import gpu_makers
from gpumon.collectors.nvml.processes import ProcessNames
from gpumon.collectors.nvml.sleep import Sleepers
from gpumon.collectors.nvml.xids import XidEvents
from gpumon.collectors.samples import GpuReading, GpuState, NvmlSample, SourceHealth
from gpumon.collectors.source import Backoff, Clock
from gpumon.collectors.worker import Worker

_ASLEEP_SECONDS = 5.0
"""A sleeping GPU costs two small files to look at, so this bounds how late its waking is seen."""
_RETRY_FIRST_SECONDS = 1.0
_RETRY_MOST_SECONDS = 30.0


class NvmlSource:
    """Reads the driver in a thread of its own, so that neither its import nor a hang stops anything else.

    ``load`` returns the module ``pynvml`` and is called in that thread; ``sysfs``, ``procfs`` and ``dev`` are
    where /sys, /proc and /dev are mounted.
    """

    name = "nvml"

    def __init__(
        self,
        clock: Clock,
        load: Callable[[], Nvml] = load_pynvml,
        sysfs: Path = Path("/sys"),
        procfs: Path = Path("/proc"),
        dev: Path = Path("/dev"),
    ) -> None:
        self._monitor = Monitor(clock, load, sysfs, procfs, dev)
        self._worker = Worker("nvml")
        self._retry = Backoff(_RETRY_FIRST_SECONDS, _RETRY_MOST_SECONDS)
        self._asleep = False

    async def poll(self) -> Sequence[NvmlSample]:
        """Read all GPUs once."""
        sample = await self._worker.run(self._monitor.read)
        self._asleep = sample.health.state == "asleep"
        if self._asleep or sample.health.state == "serving":
            self._retry.succeeded()
        else:
            self._retry.failed()
        return (sample,)

    def delay(self, interval: float) -> float:
        """Return the interval; longer while GPUs sleep, and ever longer while there is no driver."""
        return max(interval, self._retry.current, _ASLEEP_SECONDS if self._asleep else 0.0)

    async def close(self) -> None:
        """Shut NVML down and end the thread; if the driver hangs, leave both to the end of the process."""
        await self._worker.finish(self._monitor.close)


RESTART_AFTER_POLLS = 3
"""With a GPU lost or failing for this many polls NVML is restarted, then after twice as many, and so on."""
RESTART_AFTER_POLLS_AT_MOST = 300


class Monitor:
    """Reads all GPUs and survives what drivers do. Not thread-safe; every method may block for ever."""

    def __init__(
        self,
        clock: Clock,
        load: Callable[[], Nvml],
        sysfs: Path,
        procfs: Path,
        dev: Path = Path("/dev"),
    ) -> None:
        self._clock = clock
        self._load = load
        self._makers = partial(gpu_makers, sysfs, dev)
        self._other_makers: tuple[str, ...] = ()
        self._sleepers = Sleepers(sysfs, procfs)
        self._names = ProcessNames(procfs)
        self._session: Session | None = None
        self._known: dict[str, Identity] = {}
        self._twins: set[str] = set()
        self._unwell_polls = 0
        self._patience = Backoff(2 * RESTART_AFTER_POLLS, RESTART_AFTER_POLLS_AT_MOST)

    def read(self) -> NvmlSample:
        """Read everything once; whatever is wrong is in the sample."""
        self._names.begin()
        if self._session is None:
            self._sleepers.scan()
        self._sleepers.begin(self._clock.now())
        if self._sleepers.all_alone():
            # An open session keeps a GPU from sleeping where its power management is coarse-grained.
            self.close()
            return self._without_values(ASLEEP, "asleep")
        try:
            return self._read_awake()
        except UnusableBindingError as error:
            return self._without_values(health_of_binding(error), "lost")
        except DriverError as error:
            self.close()
            return self._without_values(self._without_driver(error) or health_of_error(error), "lost")

    def _without_driver(self, error: DriverError) -> SourceHealth | None:
        """Return how a machine is that has no NVIDIA GPU to begin with; ``None`` where it has, or had."""
        if error.code not in _WITHOUT_DRIVER or self._known:
            return None
        makers = self._makers()
        if makers is None or "NVIDIA" in makers:
            return None
        self._other_makers = tuple(sorted(makers))
        return _of_others(self._other_makers) if makers else NO_GPU_AT_ALL

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
        return session.hardware_changed() or self._unwell_polls >= max(
            RESTART_AFTER_POLLS, self._patience.current
        )

    def _restart(self) -> Session:
        self.close()
        if self._unwell_polls:
            self._patience.failed()
            self._unwell_polls = 0
        return self._start()

    def _start(self) -> Session:
        nvml = self._load()
        try:
            self._session = Session(nvml, self._clock, self._twins)
        except DriverGoneError as error:
            if error.code == LIB_RM_VERSION_MISMATCH:
                unload(nvml)
            raise
        return self._session

    def _read_session(self, session: Session) -> NvmlSample:
        readings = session.xids.added(map(self._read_device, session.devices), session.devices)
        self._known |= {device.identity.uuid: device.identity for device in session.devices}
        self._count_unwell(readings, session.unopened)
        state = health_of_unopened(session.unopened) if readings or session.unopened else NO_GPU
        missing = self._known.keys() - self._twins - {reading.uuid for reading in readings}
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
            self._patience.succeeded()

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
            other_makers=self._other_makers,
            gpus=tuple(sorted(readings, key=lambda reading: (reading.index, reading.uuid))),
        )


def _missing(identity: Identity, session: Session) -> GpuReading:
    """Return the reading of a GPU that this session has not opened, though an earlier one had."""
    words = session.unopened.get(identity.index, "the driver no longer lists it")
    return unwell(identity, "lost", words)


_MOST_GPUS = 1024
"""A driver that says more is not to be believed."""


class Session:
    """NVML between ``nvmlInit`` and ``nvmlShutdown``; handles are void outside of it.

    Raises ``DriverError`` where NVML cannot be started.
    """

    def __init__(self, nvml: Nvml, clock: Clock, twins: set[str]) -> None:
        """``twins``: UUIDs that more than one card has; those that are found here are added."""
        self._nvml = nvml
        self._clock = clock
        self._twins = twins
        self.xids = XidEvents(nvml, clock)
        self.devices: list[Device] = []
        self.unopened: dict[int, str] = {}
        """The driver's words about the GPUs that it lists but will not open, by index."""
        call(nvml, "nvmlInit")
        try:
            self._begin()
        except DriverError:
            self.close()
            raise

    def _begin(self) -> None:
        self.driver_version = self._driver_version()
        self._count = self._listed()
        for index in range(self._count):
            self._open(index)
        self._tell_twins_apart()

    def hardware_changed(self) -> bool:
        """Return whether the driver lists another number of GPUs than when this session began.

        Raises ``DriverGoneError``.
        """
        try:
            return self._listed() != self._count
        except RefusedError:
            return False

    def open_missing(self) -> None:
        """Try again the GPUs that could not be opened."""
        for index in list(self.unopened):
            self._open(index)
        self._tell_twins_apart()

    def close(self) -> None:
        """Shut NVML down; a driver that is gone already is no error."""
        self.xids.close()
        with contextlib.suppress(DriverError):
            call(self._nvml, "nvmlShutdown")

    def _driver_version(self) -> str | None:
        try:
            return str(call(self._nvml, "nvmlSystemGetDriverVersion"))
        except RefusedError:
            return None

    def _tell_twins_apart(self) -> None:
        """Add to a UUID that several cards have where each of them is: ``GPU-…@00000000:01:00.0``.

        A UUID that was found to be shared is never used alone again, whichever card is there.
        """
        counts = Counter(device.identity.uuid for device in self.devices)
        self._twins.update(uuid for uuid, count in counts.items() if count > 1)
        for device in self.devices:
            if device.identity.uuid in self._twins:
                device.identity = _by_place(device.identity)

    def _listed(self) -> int:
        return min(int(call(self._nvml, "nvmlDeviceGetCount")), _MOST_GPUS)

    def _open(self, index: int) -> None:
        try:
            handle = call(self._nvml, "nvmlDeviceGetHandleByIndex", index)
            identity = self._identify(handle, index)
        except DriverGoneError:
            raise
        except DriverError as error:
            self.unopened[index] = error.words
            return
        self.unopened.pop(index, None)
        self.devices.append(Device(identity, Query(self._nvml, handle), self._clock))

    def _identify(self, handle: Handle, index: int) -> Identity:
        uuid = call(self._nvml, "nvmlDeviceGetUUID", handle)
        query = Query(self._nvml, handle)
        pci = query.ask("nvmlDeviceGetPciInfo")
        return Identity(uuid, index, query.ask("nvmlDeviceGetName"), pci and _text(pci.busId))


def _by_place(identity: Identity) -> Identity:
    """Return an identity that is unique where UUIDs are not."""
    place = identity.pci_bus_id or identity.index
    return msgspec.structs.replace(identity, uuid=f"{identity.uuid}@{place}")


def _text(value: str | bytes) -> str:
    """Return a text field of a structure, which ``pynvml`` hands out as bytes or as text."""
    return value if isinstance(value, str) else value.decode("ascii", "replace")


SERVING = SourceHealth(state="serving")

ASLEEP = SourceHealth(
    state="asleep", detail="the GPU sleeps", hint="it is left alone until something else wakes it"
)

NO_GPU = SourceHealth(
    state="absent", detail="the NVIDIA driver finds no GPU", hint="check that it is seen: lspci -d 10de:"
)

NO_GPU_AT_ALL = SourceHealth(state="idle", detail="no GPU in this machine")
"""As the PCI bus shows: nothing is missing."""

_WITHOUT_DRIVER = frozenset({LIBRARY_NOT_FOUND, DRIVER_NOT_LOADED})


def _of_others(makers: Sequence[str]) -> SourceHealth:
    """Return how a machine is whose GPUs are not NVIDIA's."""
    detail = f"no NVIDIA GPU; what {' and '.join(makers)} made is not read"
    return SourceHealth(state="absent", detail=detail, hint="what servers say of it is shown")


_BY_CODE = {
    LIBRARY_NOT_FOUND: SourceHealth(
        state="absent",
        detail="no NVIDIA driver: libnvidia-ml.so.1 not found",
        hint="install the NVIDIA driver; in a container: --gpus all",
    ),
    DRIVER_NOT_LOADED: SourceHealth(
        state="failing", detail="the nvidia kernel module is not loaded", hint="load it: sudo modprobe nvidia"
    ),
    LIB_RM_VERSION_MISMATCH: SourceHealth(
        state="failing",
        detail="driver and library versions differ",
        hint="reboot, or reload the nvidia kernel module",
    ),
    NO_PERMISSION: SourceHealth(
        state="forbidden",
        detail="no permission to use the NVIDIA driver",
        hint="check who may open them: ls -l /dev/nvidia*",
    ),
}


def health_of_error(error: DriverError) -> SourceHealth:
    """Say why NVML could not be started."""
    known = _BY_CODE.get(error.code)
    return known or SourceHealth(
        state="failing", detail=f"the NVIDIA driver says: {error.words}", hint="look for NVRM in: sudo dmesg"
    )


def health_of_binding(error: UnusableBindingError) -> SourceHealth:
    """Say why ``pynvml`` cannot be used."""
    return SourceHealth(state="failing", detail=error.detail, hint=error.hint)


def health_of_unopened(unopened: dict[int, str]) -> SourceHealth:
    """Say which GPUs the driver lists but will not open, with its words by index."""
    if not unopened:
        return SERVING
    detail = "; ".join(f"GPU {index} cannot be opened: {words}" for index, words in unopened.items())
    return SourceHealth(state="serving", detail=detail, hint="look for NVRM in: sudo dmesg")
