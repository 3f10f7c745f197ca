"""What a machine shows of its hardware, whatever is built into the one that runs the tests."""

from __future__ import annotations

from pathlib import Path

DISPLAY, VGA_3D, ACCELERATOR, NETWORK = "0x030000", "0x030200", "0x120000", "0x020000"
NVIDIA, AMD, INTEL, ASPEED, VIRTIO = "0x10de", "0x1002", "0x8086", "0x1a03", "0x1af4"


class Bus:
    """A /sys and a /dev of a test: those of a machine of which nothing is known until something is added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sysfs, self.dev = folder / "sys", folder / "dev"
        self.dev.mkdir(parents=True)

    def add(self, vendor: str, code: str = DISPLAY, address: str = "0000:01:00.0") -> None:
        device = self.sysfs / "bus/pci/devices" / address
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{code}\n")
