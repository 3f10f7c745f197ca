"""Keeps the history of a monitor that watches this machine, and tells it what is wrong with that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gpumon.app.insight.health import HISTORY_SOURCE

if TYPE_CHECKING:
    from gpumon.app.history.file import Run
    from gpumon.app.history.gather import Clocks, Gatherer
    from gpumon.app.history.keeper import HistoryKeeper
    from gpumon.app.monitor import Monitor
    from gpumon.collectors.samples import AnySample, SourceHealth

BEGINS_AFTER_SECONDS = 2.0
"""After the first sample: the first frame does not wait for the imports."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DISTRIBUTION = "gpumon-llm"


class LiveHistory:
    """The history of one run, from some seconds after its first sample to its close."""

    def __init__(
        self,
        monitor: Monitor,
        command: str,
        *,
        age_seconds: float,
        size_bytes: float,
        path: Path | None = None,
    ) -> None:
        self._monitor = monitor
        self._path = path
        self._command = command
        self._bounds = (age_seconds, size_bytes)
        self._keeper: HistoryKeeper | None = None
        self._gatherer: Gatherer | None = None
        self._told: SourceHealth | None = None
        monitor.listen(self.on_sample, "history")

    @property
    def has_begun(self) -> bool:
        """Whether anything is kept yet."""
        return self._gatherer is not None

    def on_sample(self, sample: AnySample) -> None:
        """Follow a sample; never waits for the disk."""
        if self._gatherer is None or self._keeper is None:
            state = self._monitor.state
            if state.now - (state.began or state.now) < BEGINS_AFTER_SECONDS:
                return
            self._gatherer, self._keeper = self._begun()
        self._gatherer.on_sample(sample)
        trouble = self._keeper.trouble()
        if trouble != self._told:
            self._told = trouble
            self._monitor.note_own(HISTORY_SOURCE, trouble)

    def close(self) -> None:
        """Keep what is left; does not wait long for a disk that hangs."""
        if self._gatherer is not None and self._keeper is not None:
            with self._monitor.fuses.guard("history"):
                self._gatherer.close()
            self._keeper.close()

    def _begun(self) -> tuple[Gatherer, HistoryKeeper]:
        from gpumon.app.history.file import Bounds  # noqa: PLC0415 - after the first frame
        from gpumon.app.history.gather import Clocks, Gatherer  # noqa: PLC0415
        from gpumon.app.history.keeper import HistoryKeeper  # noqa: PLC0415
        from gpumon.app.history.reader import history_path  # noqa: PLC0415

        clocks = Clocks()
        keeper = HistoryKeeper(
            self._path or history_path(), this_run(self._command, clocks), Bounds(*self._bounds)
        )
        keeper.put(())  # what is wrong is told at once
        return Gatherer(self._monitor, keeper.put, clocks), keeper


def this_run(command: str, clocks: Clocks) -> Run:
    """Return what this process is called in the history."""
    import platform  # noqa: PLC0415 - after the first frame
    import uuid  # noqa: PLC0415

    from gpumon.app.history.file import Run  # noqa: PLC0415

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


def _boot_id() -> str | None:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _version() -> str | None:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - after the first frame

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return None
