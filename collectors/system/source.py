"""RAM, swap, CPU and memory pressure of this machine.

Read on the event loop: a poll takes 0.1 ms and none of these files can block.
"""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import psutil
from msgspec import Struct

from gpumon.collectors.clock import Clock
from gpumon.collectors.samples import AnySample, SourceSilent, SystemSample
from gpumon.collectors.system.dmi import read_ram_bandwidth
from gpumon.collectors.system.pressure import read_memory_pressure

_T = TypeVar("_T")


class Swap(Struct, frozen=True):
    """Swap space in bytes, and the bytes moved since boot; ``None`` where the kernel hides them."""

    total_bytes: int | None = None
    used_bytes: int | None = None
    moved_in_bytes: int | None = None
    moved_out_bytes: int | None = None


class SystemSource:
    """Reads the system through ``psutil``. A rate needs two polls: the first one has none."""

    name = "system"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._host = socket.gethostname()
        self._cpu_primed = False
        self._swap = Swap()
        self._polled_at: float | None = None
        self._ram_bandwidth = read_ram_bandwidth().bytes_per_second
        self._memory_known_at = clock.now()

    async def poll(self) -> Sequence[AnySample]:
        """Return one ``SystemSample``, or what is wrong if even RAM cannot be read."""
        now = self._clock.now()
        memory = attempt(psutil.virtual_memory)
        if memory is None:
            return [self._silent(now)]
        self._memory_known_at = now
        cores = self._cpu_percent_by_core()
        before, swap = self._swap, attempt(read_swap) or Swap()
        seconds = None if self._polled_at is None else now - self._polled_at
        self._swap, self._polled_at = swap, now
        return [
            SystemSample(
                time=now,
                source=self.name,
                host=self._host,
                ram_total_bytes=memory.total,
                ram_used_bytes=memory.used,
                ram_available_bytes=memory.available,
                swap_total_bytes=swap.total_bytes,
                swap_used_bytes=swap.used_bytes,
                swap_in_bytes_per_second=rate(before.moved_in_bytes, swap.moved_in_bytes, seconds),
                swap_out_bytes_per_second=rate(before.moved_out_bytes, swap.moved_out_bytes, seconds),
                cpu_percent=sum(cores) / len(cores) if cores else None,
                cpu_percent_by_core=cores,
                load_average=attempt(psutil.getloadavg),
                pressure=read_memory_pressure(),
                ram_bandwidth_bytes_per_second=self._ram_bandwidth,
            )
        ]

    def delay(self, interval: float) -> float:
        """Return the user's interval."""
        return interval

    async def close(self) -> None:
        """Hold nothing, release nothing."""

    def _silent(self, now: float) -> SourceSilent:
        detail = "psutil cannot read this machine's memory"
        return SourceSilent(time=now, source=self.name, seconds=now - self._memory_known_at, detail=detail)

    def _cpu_percent_by_core(self) -> tuple[float, ...] | None:
        """Return each core's busy share since the last poll; the first answer of psutil means nothing."""
        percents = attempt(lambda: psutil.cpu_percent(percpu=True))
        primed, self._cpu_primed = self._cpu_primed, percents is not None
        return tuple(percents) if percents and primed else None


def attempt(read: Callable[[], _T]) -> _T | None:
    """Return what ``psutil`` reads, ``None`` where it cannot: a container may hide parts of ``/proc``."""
    try:
        with warnings.catch_warnings():
            # psutil warns of what it cannot find; on standard error that would tear the screen.
            warnings.simplefilter("ignore")
            return read()
    except (OSError, RuntimeError, ValueError, KeyError, psutil.Error):
        return None


def read_swap() -> Swap:
    """Return swap figures; psutil warns, and writes 0, where ``/proc/vmstat`` is hidden."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        swap = psutil.swap_memory()
    return Swap(swap.total, swap.used) if caught else Swap(swap.total, swap.used, swap.sin, swap.sout)


def rate(before: int | None, after: int | None, seconds: float | None) -> float | None:
    """Return the rise of a counter per second; ``None`` without two readings or after a reset."""
    if before is None or after is None or not seconds or seconds < 0 or after < before:
        return None
    return (after - before) / seconds
