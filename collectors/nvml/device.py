"""One GPU: its identity, its handle, and one reading of it."""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import Struct

from gpumon.collectors.clock import Clock
from gpumon.collectors.nvml.facts import percent, read_facts, read_slow, watts
from gpumon.collectors.nvml.memory import read_memory
from gpumon.collectors.nvml.pcie import Counters, rates, read_counters
from gpumon.collectors.nvml.processes import KINDS, Kind, ProcessNames, read_processes
from gpumon.collectors.nvml.query import Answer, Query
from gpumon.collectors.nvml.throttle import throttle_words
from gpumon.collectors.samples import GpuMemory, GpuProcess, GpuReading, GpuState

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
        memory = read_memory(self._query)
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
        return rates(before, self._counters)

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
