"""One start of NVML: which GPUs it opened, until it is shut down or the driver goes away."""

from __future__ import annotations

import contextlib

from gpumon.collectors.clock import Clock
from gpumon.collectors.nvml.device import Device, Identity
from gpumon.collectors.nvml.query import DriverError, DriverGoneError, Handle, Nvml, Query, RefusedError, call


class Session:
    """NVML between ``nvmlInit`` and ``nvmlShutdown``; handles are void outside of it.

    Raises ``DriverError`` where NVML cannot be started.
    """

    def __init__(self, nvml: Nvml, clock: Clock) -> None:
        self._nvml = nvml
        self._clock = clock
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

    def hardware_changed(self) -> bool:
        """Tell whether the driver lists another number of GPUs than when this session began.

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

    def close(self) -> None:
        """Shut NVML down; a driver that is gone already is no error."""
        with contextlib.suppress(DriverError):
            call(self._nvml, "nvmlShutdown")

    def _driver_version(self) -> str | None:
        try:
            return str(call(self._nvml, "nvmlSystemGetDriverVersion"))
        except RefusedError:
            return None

    def _listed(self) -> int:
        return int(call(self._nvml, "nvmlDeviceGetCount"))

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


def _text(value: str | bytes) -> str:
    """Return a text field of a structure, which ``pynvml`` hands out as bytes or as text."""
    return value if isinstance(value, str) else value.decode("ascii", "replace")
