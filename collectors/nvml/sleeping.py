"""Which NVIDIA GPUs sleep or could, from sysfs: any question to the driver would wake them and cost watts."""

from __future__ import annotations

from pathlib import Path

_NVIDIA = "0x10de"
_DISPLAY_CLASS = "0x03"


class PciPower:
    """Runtime power state of the NVIDIA display devices of this machine.

    Reads ``<sysfs>/bus/pci/devices/*/power/runtime_status`` and the driver's
    ``<procfs>/driver/nvidia/gpus/*/power``.
    """

    def __init__(self, sysfs: Path, procfs: Path) -> None:
        self._sysfs = sysfs
        self._procfs = procfs
        self._devices: list[Path] = []

    def scan(self) -> None:
        """Look for devices; needed at the start and when the hardware may have changed."""
        self._devices = [path for path in self._sysfs.glob("bus/pci/devices/*") if _is_nvidia_gpu(path)]

    def addresses(self) -> frozenset[str]:
        """Return the PCI addresses (``0000:01:00.0``) of all GPUs."""
        return frozenset(path.name.lower() for path in self._devices)

    def suspended(self) -> frozenset[str]:
        """Return the PCI addresses of the GPUs that sleep."""
        return frozenset(path.name.lower() for path in self._devices if _suspended(path))

    def can_sleep(self, address: str) -> bool:
        """Tell whether the driver would put this GPU to sleep ("Runtime D3 status: Enabled (...)")."""
        lines = _text(self._procfs / "driver" / "nvidia" / "gpus" / address / "power").splitlines()
        words = [line.split(":", 1)[1].strip() for line in lines if line.startswith("Runtime D3 status:")]
        return any(word.startswith("Enabled") for word in words)


def pci_address(bus_id: str) -> str:
    """Return NVML's ``00000000:01:00.0`` as sysfs spells it, ``0000:01:00.0``."""
    domain, _, rest = bus_id.partition(":")
    return f"{domain[-4:]}:{rest}".lower()


def _is_nvidia_gpu(device: Path) -> bool:
    return _text(device / "vendor") == _NVIDIA and _text(device / "class").startswith(_DISPLAY_CLASS)


def _suspended(device: Path) -> bool:
    return _text(device / "power" / "runtime_status") == "suspended"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
