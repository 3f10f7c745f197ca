"""One GPU: its identity, its handle, and one reading of it.

PCIe traffic comes from byte counters: each call of ``nvmlDeviceGetPcieThroughput`` blocks for its 20 ms
measuring window.
"""

from __future__ import annotations

import re
from functools import partial
from typing import NamedTuple

import msgspec
import psutil
from msgspec import Struct

from gpumon.collectors.nvml.driver import ALL_ONES, NOT_SUPPORTED, Answer, Handle, Query, is_all_ones
from gpumon.collectors.nvml.processes import KINDS, Kind, ProcessNames, read_processes
from gpumon.collectors.samples import GpuFacts, GpuMemory, GpuProcess, GpuReading, GpuSlow, GpuState
from gpumon.collectors.source import Clock

SELDOM_SECONDS = 4.5
"""Least time between two looks at what moves in seconds: every fifth at one reading a second."""
SLOW_SECONDS = 6.5
"""The same for the slow fields."""

_CLOCK_SM, _CLOCK_MEMORY = 1, 2  # nvml.h: nvmlClockType_t
_TEMPERATURE_GPU = 0  # nvml.h: nvmlTemperatureSensors_t
_THROTTLE = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
"""Its name of today, and the one that drivers before R535 know."""
_STATE_UNKNOWN = 32  # nvml.h: NVML_PSTATE_UNKNOWN


class Identity(Struct, frozen=True):
    """``uuid`` is the identity; the others are labels."""

    uuid: str
    index: int
    name: str | None
    pci_bus_id: str | None


class Device:
    """A GPU that the driver has opened, with what one reading needs to know of the one before."""

    def __init__(self, identity: Identity, query: Query, clock: Clock) -> None:
        self.identity = identity
        self._query = query
        self._clock = clock
        self._facts_due = True
        self._seldom_at = float("-inf")
        self._slow_at = float("-inf")
        self._counters: Counters | None = None
        self._seldom: dict[tuple[object, ...], Answer] = {}
        """What was answered last to the questions that are asked seldom."""
        self._kinds_found: frozenset[Kind] = frozenset()
        self._is_partitioned = False
        """MIG is on: the card as a whole lists the processes of its parts to the privileged, else none, so
        that an empty list says nothing (nvml.h, note on ``nvmlDeviceGetComputeRunningProcesses``)."""

    @property
    def handle(self) -> Handle:
        """What the driver calls it in this session."""
        return self._query.handle

    def read(self, names: ProcessNames) -> GpuReading:
        """Ask for everything that is due.

        Raises ``GpuLostError`` and ``DriverGoneError``.
        """
        now = self._clock.now()
        seldom_due = now - self._seldom_at >= SELDOM_SECONDS
        slow_due = now - self._slow_at >= SLOW_SECONDS
        self._query.begin(ask_again=seldom_due)
        reading = self._fast(names, seldom_due=seldom_due)
        if slow_due:
            reading = msgspec.structs.replace(reading, slow=read_slow(self._query))
            self._is_partitioned = bool(reading.slow and reading.slow.mig_mode)
        if self._is_partitioned and not reading.processes:
            reading = msgspec.structs.replace(reading, processes=None)
        if self._facts_due:
            reading = msgspec.structs.replace(reading, facts=read_facts(self._query, reading.memory))
        if self._query.trouble is not None and self._query.answers == 0:
            return self.unwell("failing", self._query.trouble)
        self._seldom_at = now if seldom_due else self._seldom_at
        self._slow_at = now if slow_due else self._slow_at
        self._facts_due = False
        return reading

    def unwell(self, state: GpuState, detail: str | None = None) -> GpuReading:
        """Return a reading that holds nothing but who the GPU is and why nothing is known."""
        self._counters = None
        return unwell(self.identity, state, detail)

    def _fast(self, names: ProcessNames, *, seldom_due: bool) -> GpuReading:
        ask, seldom = self._query.ask, partial(self._ask_seldom, seldom_due)
        memory = read_memory(self._query, self.identity.name)
        utilization = ask("nvmlDeviceGetUtilizationRates")
        transmit, receive = self._pcie_rates()
        return GpuReading(
            uuid=self.identity.uuid,
            index=self.identity.index,
            name=self.identity.name,
            pci_bus_id=self.identity.pci_bus_id,
            memory=memory,
            utilization_percent=percent(utilization and utilization.gpu),
            memory_utilization_percent=percent(utilization and utilization.memory),
            temperature_celsius=ask("nvmlDeviceGetTemperature", _TEMPERATURE_GPU),
            fan_percent=seldom("nvmlDeviceGetFanSpeed"),
            power_watts=watts(ask("nvmlDeviceGetPowerUsage")),
            power_limit_watts=watts(seldom("nvmlDeviceGetEnforcedPowerLimit")),
            sm_clock_mhz=ask("nvmlDeviceGetClockInfo", _CLOCK_SM),
            memory_clock_mhz=seldom("nvmlDeviceGetClockInfo", _CLOCK_MEMORY),
            performance_state=_known_state(seldom("nvmlDeviceGetPerformanceState")),
            throttle_reasons=throttle_words(self._query.ask_newest(*_THROTTLE)),
            pcie_transmit_bytes_per_second=transmit,
            pcie_receive_bytes_per_second=receive,
            processes=self._processes(memory, names, seldom_due=seldom_due),
        )

    def _ask_seldom(self, due: bool, function: str, *arguments: object) -> Answer:
        if due:
            self._seldom[function, *arguments] = self._query.ask(function, *arguments)
        return self._seldom.get((function, *arguments))

    def _pcie_rates(self) -> tuple[float | None, float | None]:
        before, self._counters = self._counters, read_counters(self._query, self._clock.now())
        return pcie_rates(before, self._counters)

    def _processes(
        self, memory: GpuMemory | None, names: ProcessNames, *, seldom_due: bool
    ) -> tuple[GpuProcess, ...] | None:
        """List processes; a desktop and clients of MPS are looked for every time only once there are some."""
        kinds = [kind for kind in KINDS if kind == "compute" or seldom_due or kind in self._kinds_found]
        total_bytes = None if memory is None else memory.total_bytes
        found = read_processes(self._query, kinds, total_bytes, names)
        if found is not None:
            self._kinds_found = frozenset(kind for process in found for kind in process.kinds)
        return found


def unwell(identity: Identity, state: GpuState, detail: str | None) -> GpuReading:
    """Return a reading without values."""
    return GpuReading(
        uuid=identity.uuid,
        index=identity.index,
        name=identity.name,
        pci_bus_id=identity.pci_bus_id,
        state=state,
        detail=detail,
    )


def _known_state(state: int | None) -> int | None:
    return None if state == _STATE_UNKNOWN else state


_THRESHOLD_SHUTDOWN, _THRESHOLD_SLOWDOWN = 0, 1  # nvml.h: nvmlTemperatureThresholds_t
_CORRECTED, _UNCORRECTED, _VOLATILE = 0, 1, 0  # nvml.h: nvmlMemoryErrorType_t, nvmlEccCounterType_t

_BRANDS = {
    1: "Quadro",
    2: "Tesla",
    3: "NVS",
    4: "GRID",
    5: "GeForce",
    6: "Titan",
    7: "Virtual Applications",
    8: "Virtual PC",
    9: "vGPU for Compute",
    10: "RTX Virtual Workstation",
    11: "Cloud Gaming",
    12: "Quadro RTX",
    13: "NVIDIA RTX",
    14: "NVIDIA",
    15: "GeForce RTX",
    16: "Titan RTX",
}
"""nvml.h: ``nvmlBrandType_t``."""


def read_facts(query: Query, memory: GpuMemory | None) -> GpuFacts:
    """Ask for the limits of a device and how it is attached.

    Power comes in milliwatts from NVML. A device without memory of its own is an integrated one (nvml.h,
    note on ``nvmlDeviceGetMemoryInfo``).
    """
    limits = query.ask("nvmlDeviceGetPowerManagementLimitConstraints")
    return GpuFacts(
        brand=_BRANDS.get(query.ask("nvmlDeviceGetBrand")),
        memory_bus_width_bits=query.ask("nvmlDeviceGetMemoryBusWidth"),
        max_sm_clock_mhz=query.ask("nvmlDeviceGetMaxClockInfo", _CLOCK_SM),
        max_memory_clock_mhz=query.ask("nvmlDeviceGetMaxClockInfo", _CLOCK_MEMORY),
        slowdown_celsius=query.ask("nvmlDeviceGetTemperatureThreshold", _THRESHOLD_SLOWDOWN),
        shutdown_celsius=query.ask("nvmlDeviceGetTemperatureThreshold", _THRESHOLD_SHUTDOWN),
        power_limit_default_watts=watts(query.ask("nvmlDeviceGetPowerManagementDefaultLimit")),
        power_limit_max_watts=watts(limits and limits[1]),
        pcie_generation_max=query.ask("nvmlDeviceGetMaxPcieLinkGeneration"),
        pcie_width_max=query.ask("nvmlDeviceGetMaxPcieLinkWidth"),
        persistence_mode=_enabled(query.ask("nvmlDeviceGetPersistenceMode")),
        integrated=None if memory is None else memory.unified,
    )


def read_slow(query: Query) -> GpuSlow:
    """Ask for what changes seldom: PCIe link, video engines, ECC and MIG."""
    encoder = query.ask("nvmlDeviceGetEncoderUtilization")
    decoder = query.ask("nvmlDeviceGetDecoderUtilization")
    ecc = query.ask("nvmlDeviceGetEccMode")
    mig = query.ask("nvmlDeviceGetMigMode")
    return GpuSlow(
        pcie_generation=query.ask("nvmlDeviceGetCurrPcieLinkGeneration"),
        pcie_width=query.ask("nvmlDeviceGetCurrPcieLinkWidth"),
        encoder_percent=percent(encoder and encoder[0]),
        decoder_percent=percent(decoder and decoder[0]),
        ecc_enabled=_enabled(ecc and ecc[0]),
        ecc_corrected=query.ask("nvmlDeviceGetTotalEccErrors", _CORRECTED, _VOLATILE),
        ecc_uncorrected=query.ask("nvmlDeviceGetTotalEccErrors", _UNCORRECTED, _VOLATILE),
        mig_mode=_enabled(mig and mig[0]),
    )


def watts(milliwatts: int | None) -> float | None:
    """Convert NVML's milliwatts."""
    return None if milliwatts is None or is_all_ones(milliwatts) else milliwatts / 1000


def percent(value: int | None) -> int | None:
    """Return a share as it is, ``None`` for the impossible values that some drivers hand out (nvtop#110)."""
    return value if value is not None and 0 <= value <= 100 else None


def _enabled(state: int | None) -> bool | None:
    return None if state is None or is_all_ones(state) else bool(state)


_FUNCTION = "nvmlDeviceGetMemoryInfo"


_INTEGRATED = re.compile(r"\b(?:GB10|N1X?|Thor|Orin|Xavier|Tegra)\b|nvgpu", re.ASCII | re.IGNORECASE)
"""Names of GPUs that share the system's RAM: some drivers answer for them with a total of 0 (nvtop#411)."""


def read_memory(query: Query, name: str | None) -> GpuMemory | None:
    """Read ``nvmlDeviceGetMemoryInfo_v2``, or the call before it in drivers older than R510.

    The older one counts the driver's reserve as used (gpustat#141). A GPU that answers NOT_SUPPORTED shares
    the system's RAM (nvml.h: "the integrated GPU does not use a dedicated framebuffer"). A total of 0 means
    the same only of a GPU whose ``name`` is known to; of a card it says nothing.
    """
    version = query.nvml.nvmlMemory_v2
    newer = query.ask(_FUNCTION, version)
    if newer is not None:
        return _device_memory(newer, newer.reserved, name)
    if query.refusal(_FUNCTION, version) is None:
        return None
    older = query.ask(_FUNCTION)
    if older is not None:
        return _device_memory(older, None, name)
    return _system_memory() if query.refusal(_FUNCTION) == NOT_SUPPORTED else None


def _device_memory(memory: Answer, reserved_bytes: int | None, name: str | None) -> GpuMemory | None:
    """Return the figures that can be true; ``None`` without a total."""
    total = _plausible(memory.total)
    if total is None:
        return None
    if total == 0:
        return _system_memory() if name is not None and _INTEGRATED.search(name) else None
    return GpuMemory(
        total_bytes=total,
        used_bytes=_plausible(memory.used, total),
        free_bytes=_plausible(memory.free, total),
        reserved_bytes=_plausible(reserved_bytes, total),
    )


def _plausible(size_bytes: int | None, most_bytes: int = ALL_ONES - 1) -> int | None:
    """Return a size, ``None`` for all ones, which stands for "not known", and for more than there is."""
    return size_bytes if size_bytes is not None and size_bytes <= most_bytes else None


def _system_memory() -> GpuMemory:
    """Return MemTotal and MemAvailable of /proc/meminfo."""
    ram = psutil.virtual_memory()
    return GpuMemory(
        total_bytes=ram.total,
        used_bytes=ram.total - ram.available,
        free_bytes=ram.available,
        unified=True,
    )


_TRANSMIT, _RECEIVE = 197, 198  # nvml.h: NVML_FI_DEV_PCIE_COUNT_TX_BYTES, NVML_FI_DEV_PCIE_COUNT_RX_BYTES
_UNSIGNED_LONG, _UNSIGNED_LONG_LONG = 2, 3  # nvml.h: nvmlValueType_t
_SUCCESS = 0


class Counters(NamedTuple):
    """Bytes since some moment in the past, as of ``time`` (seconds)."""

    time: float
    transmit_bytes: int | None
    receive_bytes: int | None


def read_counters(query: Query, time: float) -> Counters | None:
    """Ask for both counters at once; ``None`` if the call is refused."""
    values = query.ask("nvmlDeviceGetFieldValues", (_TRANSMIT, _RECEIVE))
    return None if values is None else Counters(time, _counter(values[0]), _counter(values[1]))


def _counter(field: Answer) -> int | None:
    """Return a counter of 64 bits; one of 32 bits wraps several times a second and says nothing."""
    if field.nvmlReturn != _SUCCESS or field.valueType not in {_UNSIGNED_LONG, _UNSIGNED_LONG_LONG}:
        return None
    return _plausible(int(field.value.ullVal))


def pcie_rates(before: Counters | None, now: Counters | None) -> tuple[float | None, float | None]:
    """Return transmitted and received bytes per second between two readings."""
    if before is None or now is None:
        return None, None
    seconds = now.time - before.time
    transmit = _bytes_per_second(before.transmit_bytes, now.transmit_bytes, seconds)
    return transmit, _bytes_per_second(before.receive_bytes, now.receive_bytes, seconds)


def _bytes_per_second(before: int | None, now: int | None, seconds: float) -> float | None:
    """Divide; ``None`` after a counter went back, as a wrap and a reset look the same."""
    if before is None or now is None or now < before or seconds <= 0:
        return None
    return (now - before) / seconds


_THROTTLE_IDLE = 0x1

_THROTTLE_WORDS = {
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "reliability",
}
"""nvml.h: ``nvmlClocksEventReason*``."""


def throttle_words(reasons: int | None) -> tuple[str, ...] | None:
    """Return the set bits of ``nvmlClocksEventReasons`` in words, without "idle", which holds nothing down.

    Bits that nvml.h does not name yet are given as numbers; ``None`` stays ``None``.
    """
    if reasons is None:
        return None
    bits = (1 << position for position in range(reasons.bit_length()))
    return tuple(
        _THROTTLE_WORDS.get(bit, f"reason {bit:#x}")
        for bit in bits
        if reasons & bit and bit != _THROTTLE_IDLE
    )
