"""Processes on a GPU that are no runners: what they are called, and what kind of program they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gpumon.collectors.processes.holder_groups import holder_group, holder_name
from gpumon.collectors.processes.namespaces import is_contained
from gpumon.collectors.processes.proc import Proc, Stat
from gpumon.collectors.samples import HolderGroup, HolderProcess

RENAME_SECONDS = 30.0
"""Between looks at a name: some programs (vLLM) change theirs once they are up."""


class _Label(NamedTuple):
    name: str
    group: HolderGroup
    due_at: float


class HolderReader:
    """Names each holder, and looks at its name again seldom."""

    def __init__(self, proc: Proc) -> None:
        self._proc = proc
        self._labels: dict[tuple[int, int], _Label] = {}

    def read(self, pids: Iterable[int], now: float) -> tuple[HolderProcess, ...]:
        """Return what holds GPU memory as of ``now`` (seconds), in order of PID."""
        before, self._labels = self._labels, {}
        return tuple(self._holder(pid, before, now) for pid in sorted(pids))

    def _holder(self, pid: int, before: dict[tuple[int, int], _Label], now: float) -> HolderProcess:
        """Name one; a PID that is not to be seen here is the host's, seen by the driver from a container."""
        try:
            stat = self._proc.stat(pid)
        except (OSError, ValueError):
            return HolderProcess(pid=pid, group="container")
        key = (pid, stat.start_ticks)
        label = before.get(key)
        if label is None or now >= label.due_at:
            label = self._label(pid, stat, now)
        self._labels[key] = label
        started = self._proc.started(stat.start_ticks)
        return HolderProcess(pid=pid, started=started, name=label.name, group=label.group)

    def _label(self, pid: int, stat: Stat, now: float) -> _Label:
        try:
            argv = self._proc.command_line(pid)
            contained = is_contained(self._proc, pid, self._proc.table(pid, "status"))
        except OSError:
            argv, contained = (), False
        name = holder_name(stat.name, argv)
        group = holder_group(name, argv, self._directory(pid), contained)
        return _Label(name, group, now + RENAME_SECONDS)

    def _directory(self, pid: int) -> str | None:
        try:
            return self._proc.link(pid, "cwd")
        except OSError:
            return None
