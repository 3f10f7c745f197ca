"""The source ``nvml``: GPUs, their memory and who holds it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from gpumon.collectors.clock import Clock
from gpumon.collectors.nvml.binding import load_pynvml
from gpumon.collectors.nvml.monitor import Monitor
from gpumon.collectors.nvml.query import Nvml
from gpumon.collectors.samples import NvmlSample
from gpumon.collectors.worker import Worker

_ASLEEP_SECONDS = 5.0
"""A sleeping GPU costs two small files to look at, so this bounds how late its waking is seen."""
_RETRY_FIRST_SECONDS = 1.0
_RETRY_MOST_SECONDS = 30.0
_CLOSE_SECONDS = 0.2
"""How long ``close`` waits for the driver's thread, which may hang; NVML ends with the process anyway."""


class NvmlSource:
    """Reads the driver in a thread of its own, so that neither its import nor a hang stops anything else.

    ``load`` returns the module ``pynvml`` and is called in that thread; ``sysfs`` and ``procfs`` are where
    /sys and /proc are mounted.
    """

    name = "nvml"

    def __init__(
        self,
        clock: Clock,
        load: Callable[[], Nvml] = load_pynvml,
        sysfs: Path = Path("/sys"),
        procfs: Path = Path("/proc"),
    ) -> None:
        self._monitor = Monitor(clock, load, sysfs, procfs)
        self._worker = Worker("nvml")
        self._least_delay = 0.0
        """Least seconds to the next poll, whatever the user's interval."""

    async def poll(self) -> Sequence[NvmlSample]:
        """Read all GPUs once."""
        sample = await self._worker.run(self._monitor.read)
        self._least_delay = self._pause_after(sample)
        return (sample,)

    def delay(self, interval: float) -> float:
        """Return the interval; longer while GPUs sleep, and ever longer while there is no driver."""
        return max(interval, self._least_delay)

    async def close(self) -> None:
        """Shut NVML down and end the thread; if the driver hangs, leave both to the end of the process."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._worker.run(self._monitor.close)
        self._worker.close()

    def _pause_after(self, sample: NvmlSample) -> float:
        if sample.health.state == "serving":
            return 0.0
        if sample.health.state == "asleep":
            return _ASLEEP_SECONDS
        return min(max(2 * self._least_delay, _RETRY_FIRST_SECONDS), _RETRY_MOST_SECONDS)
