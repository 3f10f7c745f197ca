"""Which GPUs must not be asked just now: those that sleep, and those that are given time to fall asleep."""

from __future__ import annotations

from pathlib import Path

from gpumon.collectors.nvml.rest import Rest
from gpumon.collectors.nvml.sleeping import PciPower, pci_address
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
        """Tell whether there are GPUs and all of them are left alone."""
        return bool(self._alone) and self._alone == self._power.addresses()

    def alone(self, bus_id: str | None) -> bool:
        """Tell whether the GPU with NVML's ``bus_id`` is left alone in this round."""
        return bus_id is not None and pci_address(bus_id) in self._alone

    def note(self, reading: GpuReading, now: float) -> None:
        """Take note of a reading, from which it follows whether the GPU is idle."""
        rest = None if reading.pci_bus_id is None else self._rests.get(pci_address(reading.pci_bus_id))
        if rest is not None:
            rest.read(reading, now)
