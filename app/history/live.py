"""Keeps the history of a monitor that watches this machine, and tells it what is wrong with that."""

from __future__ import annotations

import platform
import uuid
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from gpumon.app.history.file import Bounds, Run
from gpumon.app.history.gather import Clocks, Gatherer
from gpumon.app.history.keeper import HistoryKeeper
from gpumon.app.insight.health import HISTORY_SOURCE

if TYPE_CHECKING:
    from gpumon.app.monitor import Monitor
    from gpumon.collectors.samples import AnySample, SourceHealth

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DISTRIBUTION = "gpumon-llm"


def this_run(command: str, clocks: Clocks) -> Run:
    """Return what this process is called in the history."""
    now, elapsed = clocks.now()
    return Run(
        session_id=uuid.uuid4().hex,
        boot_id=_boot_id(),
        host=platform.node() or "localhost",
        gpumon_version=_version(),
        command=command,
        started=now,
        started_monotonic=elapsed,
    )


class LiveHistory:
    """The history of one run, from the first sample that it hears of to its close."""

    def __init__(self, monitor: Monitor, path: Path, bounds: Bounds, command: str) -> None:
        clocks = Clocks()
        self._monitor = monitor
        self._keeper = HistoryKeeper(path, this_run(command, clocks), bounds)
        self._gatherer = Gatherer(monitor, self._keeper.put, clocks)
        self._told: SourceHealth | None = None
        monitor.listen(self.on_sample, "history")

    def on_sample(self, sample: AnySample) -> None:
        """Follow a sample; never waits for the disk."""
        self._gatherer.on_sample(sample)
        trouble = self._keeper.trouble()
        if trouble != self._told:
            self._told = trouble
            self._monitor.note_own(HISTORY_SOURCE, trouble)

    def close(self) -> None:
        """Keep what is left; does not wait long for a disk that hangs."""
        with self._monitor.fuses.guard("history"):
            self._gatherer.close()
        self._keeper.close()


def _boot_id() -> str | None:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _version() -> str | None:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return None
