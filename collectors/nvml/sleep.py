"""Which GPUs must not be asked just now: those that sleep, and those that are given time to fall asleep.

Being polled keeps a GPU awake; on a laptop this costs 5 to 7 W (beszel-docs#35). A GPU that does not fall
asleep when left alone is read again, and not left alone again before it has been busy. Which GPUs sleep is
read from sysfs, because any question to the driver would wake them.
"""

from __future__ import annotations

from pathlib import Path

from gpumon.collectors.nvml.pci import PciPower, pci_address
from gpumon.collectors.samples import GpuReading


class Sleepers:
    """Decides once per round which GPUs to leave alone; GPUs go by PCI address."""

    def __init__(self, sysfs: Path, procfs: Path) -> None:
        self._power = PciPower(sysfs, procfs)
        self._rests: dict[str, Rest] = {}
        self._alone: frozenset[str] = frozenset()

    def scan(self) -> None:
        """Look for GPUs and for what they can do; reads a few files for each PCI device."""
        self._power.scan()
        able = [address for address in self._power.addresses() if self._power.can_sleep(address)]
        self._rests = {address: self._rests.get(address, Rest()) for address in able}

    def begin(self, now: float) -> None:
        """Start a round at ``now`` (seconds)."""
        asleep = self._power.suspended()
        for address in asleep & self._rests.keys():
            self._rests[address].slept()
        self._alone = asleep | {address for address, rest in self._rests.items() if rest.resting(now)}

    def all_alone(self) -> bool:
        """Return whether there are GPUs and all of them are left alone."""
        return bool(self._alone) and self._alone == self._power.addresses()

    def alone(self, bus_id: str | None) -> bool:
        """Return whether the GPU with NVML's ``bus_id`` is left alone in this round."""
        return bus_id is not None and pci_address(bus_id) in self._alone

    def note(self, reading: GpuReading, now: float) -> None:
        """Take note of a reading, from which it follows whether the GPU is idle."""
        rest = None if reading.pci_bus_id is None else self._rests.get(pci_address(reading.pci_bus_id))
        if rest is not None:
            rest.read(reading, now)


IDLE_SECONDS = 10.0
"""How long a GPU is idle before it is left alone."""
REST_SECONDS = 10.0
"""How long it is given to fall asleep."""


class Rest:
    """Whether one GPU that can sleep is left alone just now."""

    def __init__(self) -> None:
        self._idle_since: float | None = None
        self._given_up = False

    def slept(self) -> None:
        """Note that it sleeps: after it wakes, it may be left alone again."""
        self._idle_since = None
        self._given_up = False

    def read(self, reading: GpuReading, now: float) -> None:
        """Note what a reading says."""
        if not _idle(reading):
            self._idle_since = None
            self._given_up = False
        elif self._idle_since is None:
            self._idle_since = now

    def resting(self, now: float) -> bool:
        """Return whether to leave it alone at ``now``."""
        if self._idle_since is None or self._given_up:
            return False
        idle_seconds = now - self._idle_since
        self._given_up = idle_seconds >= IDLE_SECONDS + REST_SECONDS
        return not self._given_up and idle_seconds >= IDLE_SECONDS


def _idle(reading: GpuReading) -> bool:
    """Return whether nothing computes and nothing holds memory to compute with."""
    computing = any(process.kinds != ("graphics",) for process in reading.processes or ())
    return reading.state == "ok" and not computing and not reading.utilization_percent
