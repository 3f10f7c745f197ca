"""A model that is read from storage while it works: how fast, and what of it should be in RAM and is not."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gpumon.app.insight.wording import amount
from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.records.model import Split
from gpumon.app.state.state import State
from gpumon.text import units

DiskCause = Literal["larger_than_ram", "pushed_out", "unknown"]


class DiskReading(NamedTuple):
    """What the kernel counts for its process; ``None`` is unknown."""

    bytes_per_second: float | None
    """``None`` where the process is another user's."""
    faults_per_second: float | None
    resident_bytes: int | None
    """Of its files, in RAM."""
    needed_bytes: int | None
    """What of the model belongs in RAM: by the claim, else its file less what is on GPUs."""
    ram_total_bytes: int | None
    waiting_percent: float | None
    """Of the time somebody waits for storage."""

    @property
    def cause(self) -> DiskCause:
        """Why it is not in RAM."""
        if not self.needed_bytes or self.ram_total_bytes is None:
            return "unknown"
        return "larger_than_ram" if self.needed_bytes > self.ram_total_bytes else "pushed_out"

    @property
    def pace(self) -> str:
        """How fast it is read: ``1.2 GiB/s``."""
        if self.bytes_per_second is not None:
            return units.byte_rate(self.bytes_per_second)
        return f"{self.faults_per_second or 0:.0f} page faults a second"


def disk_reading(runner: RunnerRecord, state: State, placement: Split) -> DiskReading | None:
    """Return how a model is read from storage by its process; ``None`` where it is not, or nothing tells.

    At rest it stays as it was at work: the next request will find it so.
    """
    if not runner.disk.active or runner.disk.figures is None:
        return None
    figures, sample = runner.disk.figures, state.system.sample if state.system else None
    return DiskReading(
        bytes_per_second=figures.read_bytes,
        faults_per_second=figures.major_faults,
        resident_bytes=runner.process.file_bytes,
        needed_bytes=_beside_gpus(runner) if placement.ram_bytes is None else placement.ram_bytes,
        ram_total_bytes=sample.ram_total_bytes if sample else None,
        waiting_percent=sample.io_waiting_percent if sample else None,
    )


def _beside_gpus(runner: RunnerRecord) -> int | None:
    file_bytes, on_gpu = runner.process.model_file_bytes, runner.measured_vram_bytes
    return None if file_bytes is None else max(0, file_bytes - (on_gpu or 0))


def disk_words(label: str, reading: DiskReading, cost: str = "") -> str:
    """Say it, and why: ``…: 1.2 GiB/s; 60.0 GiB of it belong in RAM, which has 31.2 GiB``."""
    said = f"{label} is read from disk while it works: {reading.pace}{cost}"
    if reading.cause == "larger_than_ram":
        needed, total = amount(reading.needed_bytes or 0), amount(reading.ram_total_bytes or 0)
        return f"{said}; {needed} of it belong in RAM, which has {total}"
    return f"{said}; others hold the RAM that its weights need" if reading.cause == "pushed_out" else said
