"""Who holds memory on a GPU: three lists of the driver made one, checked, and named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from gpumon.collectors.nvml.driver import ALL_ONES, Answer, Query
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.samples import GpuProcess

Kind = Literal["compute", "graphics", "mps"]

_LISTS: dict[Kind, str] = {
    "compute": "nvmlDeviceGetComputeRunningProcesses",
    "graphics": "nvmlDeviceGetGraphicsRunningProcesses",
    "mps": "nvmlDeviceGetMPSComputeRunningProcesses",
}
KINDS = tuple(_LISTS)
_VERSIONS = ("_v3", "_v2")
"""Older drivers, and R535 before 535.104.05, lack the third version; the rows are the same."""

_PID_END = 2**31


class ProcessNames:
    """Names of processes, each asked once in its life; forgets those that are no longer asked about.

    ``proc`` is where /proc is mounted, if anywhere.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = Proc(proc)
        self._known: dict[tuple[int, float], str | None] = {}
        self._before: dict[tuple[int, float], str | None] = {}

    def begin(self) -> None:
        """Start a new round: names that the last one did not ask for are dropped."""
        self._before, self._known = self._known, {}

    def identify(self, pid: int) -> tuple[str | None, float | None]:
        """Return name and start time of ``pid``.

        Both are ``None`` for a PID that is not of this namespace: the driver reports the host's PIDs inside
        a container (nvidia-docker#1483).
        """
        started = self._started(pid)
        if started is None:
            return None, None
        identity = (pid, started)
        if identity not in self._known:
            self._known[identity] = self._before[identity] if identity in self._before else _name(pid)
        return self._known[identity], started

    def _started(self, pid: int) -> float | None:
        """Return the start as the processes' own source tells it: ``psutil`` may see another time of boot."""
        try:
            return self._proc.started(self._proc.stat(pid).start_ticks)
        except (OSError, ValueError):
            return _started_elsewhere(pid)


def _started_elsewhere(pid: int) -> float | None:
    """Return the start on a system without /proc."""
    try:
        return psutil.Process(pid).create_time()
    except (psutil.Error, OSError):
        return None


def _name(pid: int) -> str | None:
    try:
        return psutil.Process(pid).name()
    except (psutil.Error, OSError):
        return None


class Row(NamedTuple):
    """One row of one list."""

    pid: int
    vram_bytes: int | None
    kind: Kind


def read_processes(
    query: Query, kinds: Iterable[Kind], total_bytes: int | None, names: ProcessNames
) -> tuple[GpuProcess, ...] | None:
    """List the processes on a device, each once, with the largest of the sizes reported for it.

    ``None`` when the driver refuses to list compute processes, or when a PID is impossible: a library whose
    structures differ from ours hands out such rows (nvitop#75, gpustat#161), and then none can be trusted.
    """
    answers = {kind: query.ask_newest(*(_LISTS[kind] + v for v in _VERSIONS)) for kind in kinds}
    if answers.get("compute") is None:
        return None
    rows = list(_rows(answers, total_bytes))
    if not all(0 < row.pid < _PID_END for row in rows):
        return None
    return tuple(_process(pid, rows, names) for pid in dict.fromkeys(row.pid for row in rows))


def _rows(answers: dict[Kind, Answer], total_bytes: int | None) -> Iterator[Row]:
    for kind, rows in answers.items():
        for row in rows or ():
            yield Row(row.pid, _plausible(row.usedGpuMemory, total_bytes), kind)


def _plausible(vram_bytes: int | None, total_bytes: int | None) -> int | None:
    """Return the size, or ``None`` for "not available" (WDDM, WSL) and for more than the GPU has."""
    if vram_bytes is None or vram_bytes == ALL_ONES:
        return None
    return None if total_bytes is not None and vram_bytes > total_bytes else vram_bytes


def _process(pid: int, rows: list[Row], names: ProcessNames) -> GpuProcess:
    own = [row for row in rows if row.pid == pid]
    name, started = names.identify(pid)
    return GpuProcess(
        pid=pid,
        vram_bytes=max((row.vram_bytes for row in own if row.vram_bytes is not None), default=None),
        kinds=tuple(dict.fromkeys(row.kind for row in own)),
        name=name,
        started=started,
    )
