"""What the PCI bus tells of GPUs without asking a driver: whose they are, and whether they sleep."""

from __future__ import annotations

from pathlib import Path

_NVIDIA, _AMD, _INTEL = "0x10de", "0x1002", "0x8086"
_MAKERS = {_NVIDIA: "NVIDIA", _AMD: "AMD", _INTEL: "Intel"}
_DISPLAY_CLASS, _ACCELERATOR_CLASS = "0x03", "0x12"
"""PCI Code and ID Assignment Specification 1.14: base classes 03h and 12h."""
_ROOT_BUS = "0000:00:"
_AMD_FILE = "kfd"
"""Of AMD's driver for computing."""
_FILES_OF_OTHERS = ("dxg", "nvhost-gpu", "nvgpu")
"""GPUs that are no devices on the bus: Windows' own below WSL, and those of Tegra chips."""


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
        """Return whether the driver would put this GPU to sleep ("Runtime D3 status: Enabled (...)")."""
        lines = _text(self._procfs / "driver" / "nvidia" / "gpus" / address / "power").splitlines()
        words = [line.split(":", 1)[1].strip() for line in lines if line.startswith("Runtime D3 status:")]
        return any(word.startswith("Enabled") for word in words)


def pci_address(bus_id: str) -> str:
    """Return NVML's ``00000000:01:00.0`` as sysfs spells it, ``0000:01:00.0``."""
    domain, _, rest = bus_id.partition(":")
    return f"{domain[-4:]}:{rest}".lower()


def _is_nvidia_gpu(device: Path) -> bool:
    return _text(device / "vendor") == _NVIDIA and _text(device / "class").startswith(_DISPLAY_CLASS)


def gpu_makers(sysfs: Path, dev: Path) -> frozenset[str] | None:
    """Return who made the GPUs of this machine that can hold a model; ``None`` where it cannot be told.

    What Intel puts into processors, and the cards of servers and virtual machines that only draw, are not
    counted. Where there is no PCI bus, or a device file for a GPU that is not on it (WSL, Jetson), nothing
    is known.
    """
    devices = list(sysfs.glob("bus/pci/devices/*"))
    if (dev / _AMD_FILE).exists():
        return frozenset({"AMD", *filter(None, map(_maker, devices))})
    if not devices or any((dev / name).exists() for name in _FILES_OF_OTHERS):
        return None
    return frozenset(filter(None, map(_maker, devices)))


def _maker(device: Path) -> str | None:
    """Return who made a GPU; ``None`` for what is none, or sits in an Intel processor (on its bus 0)."""
    if not _text(device / "class").startswith((_DISPLAY_CLASS, _ACCELERATOR_CLASS)):
        return None
    maker = _MAKERS.get(_text(device / "vendor"))
    return None if maker == "Intel" and device.name.startswith(_ROOT_BUS) else maker


def _suspended(device: Path) -> bool:
    return _text(device / "power" / "runtime_status") == "suspended"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
