"""Xid errors: what goes wrong on a GPU, as the driver tells any user who asks for its events.

The kernel's log has them too, and is root's. Events are counted from the moment that they are asked for. The
driver is never waited for: a poll takes what has come meanwhile (nvml.h: ``nvmlEventSetWait`` with a
time-out of 0), each few seconds, and at once where a GPU is not well. Where the driver refuses (MIG, WSL, no
permission) there are none, and nothing else changes.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from gpumon.collectors.nvml.device import SELDOM_SECONDS, Device
from gpumon.collectors.nvml.driver import DriverError, GpuLostError, Handle, Nvml, RefusedError, call
from gpumon.collectors.samples import GpuReading
from gpumon.collectors.source import Clock

XID_EVENTS = 8
"""nvml.h: ``nvmlEventTypeXidCriticalError``."""
MOST_A_POLL = 32
"""A driver that reports without end stops no poll: the rest is taken at the next one."""


class XidEvents:
    """The Xid errors of one session of NVML, by the handles of its GPUs."""

    def __init__(self, nvml: Nvml, clock: Clock) -> None:
        self._nvml = nvml
        self._clock = clock
        self._taken_at = float("-inf")
        self._set: Handle = None
        self._is_off = False
        self._asked: set[int | None] = set()
        """GPUs whose events were asked for, granted or not."""
        self._listening = False

    def added(self, readings: Iterable[GpuReading], devices: Sequence[Device]) -> list[GpuReading]:
        """Return the readings of ``devices`` with what the driver has reported since the last time.

        Raises ``DriverGoneError``.
        """
        read = list(readings)
        for reading, device in zip(read, devices, strict=True):
            if reading.state == "ok":  # one that sleeps is left alone, of one that is lost it is too late
                self._listen_to(device)
        told = self._take() if self._listening and self._is_due(read) else {}
        if not told:
            return read
        found = (told.get(_address(device.handle), []) for device in devices)
        pairs = zip(read, found, strict=True)
        return [replace(reading, xids=tuple(xids)) if xids else reading for reading, xids in pairs]

    def close(self) -> None:
        """Let go of the events, before the session ends."""
        if self._set is not None:
            with contextlib.suppress(DriverError):
                call(self._nvml, "nvmlEventSetFree", self._set)
            self._set = None

    def _is_due(self, readings: Sequence[GpuReading]) -> bool:
        now = self._clock.now()
        is_due = now - self._taken_at >= SELDOM_SECONDS or any(one.state != "ok" for one in readings)
        self._taken_at = now if is_due else self._taken_at
        return is_due

    def _listen_to(self, device: Device) -> None:
        """Ask for the events of a GPU, once."""
        address = _address(device.handle)
        if self._is_off or address in self._asked:
            return
        self._asked.add(address)
        try:
            if self._set is None:
                self._set = call(self._nvml, "nvmlEventSetCreate")
        except RefusedError:
            self._is_off = True
            return
        with contextlib.suppress(RefusedError, GpuLostError):
            call(self._nvml, "nvmlDeviceRegisterEvents", device.handle, XID_EVENTS, self._set)
            self._listening = True

    def _take(self) -> dict[int | None, list[int]]:
        """Return the numbers that have come, by GPU, in their order."""
        told: dict[int | None, list[int]] = {}
        for _ in range(MOST_A_POLL):
            try:
                event = call(self._nvml, "nvmlEventSetWait_v2", self._set, 0)
            except (RefusedError, GpuLostError):  # a time-out: nothing more has come
                break
            if event.eventType & XID_EVENTS:
                told.setdefault(_address(event.device), []).append(int(event.eventData))
        return told


def _address(handle: Handle) -> int | None:
    """Return by what two handles of one GPU compare: a lost one no longer tells its UUID."""
    return ctypes.cast(handle, ctypes.c_void_p).value
