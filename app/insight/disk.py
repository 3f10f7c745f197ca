"""A model that is read from storage while it works: how fast, and what of it should be in RAM and is not."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gpumon.app.insight.wording import amount
from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.records.model import Split
from gpumon.app.state.state import State
from gpumon.text import units

DiskCause = Literal["larger_than_ram", "limited", "pushed_out", "unknown"]


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
    ram_available_bytes: int | None = None
    """What programs could still have; what is mapped from files counts in it, the model's own too."""
    limit_bytes: int | None = None
    """What its control group may take of RAM, where that is less than there is."""
    limit_group: str | None = None

    @property
    def cause(self) -> DiskCause:
        """Why it is not in RAM; unknown where there is RAM for it, and no limit is seen that keeps it out."""
        needed, available = self.needed_bytes, self.ram_available_bytes
        if not needed or self.ram_total_bytes is None:
            return "unknown"
        if needed > self.ram_total_bytes:
            return "larger_than_ram"
        if self.limit_bytes is not None and needed > self.limit_bytes:
            return "limited"
        return "unknown" if available is not None and available >= needed else "pushed_out"

    @property
    def room_bytes(self) -> int | None:
        """All the RAM that it could have."""
        known = [size for size in (self.ram_total_bytes, self.limit_bytes) if size is not None]
        return min(known, default=None)

    @property
    def pace(self) -> str:
        """How fast it is read: ``1.2 GiB/s``."""
        if self.bytes_per_second is not None:
            return units.byte_rate(self.bytes_per_second)
        return f"{self.faults_per_second or 0:.0f} page faults a second"


def disk_reading(
    runner: RunnerRecord, state: State, placement: Split, *, is_claimed: bool = False
) -> DiskReading | None:
    """Return how a model is read from storage by its process; ``None`` where it is not, or nothing tells.

    At rest it stays as it was at work: the next request will find it so.
    """
    if not runner.disk.active or runner.disk.figures is None:
        return None
    figures, sample = runner.disk.figures, state.system.sample if state.system else None
    process, total_bytes = runner.process, sample.ram_total_bytes if sample else None
    limit = process.ram_limit_bytes
    is_limited = limit is not None and (total_bytes is None or limit < total_bytes)
    return DiskReading(
        bytes_per_second=figures.read_bytes,
        faults_per_second=figures.major_faults,
        resident_bytes=process.file_bytes,
        needed_bytes=_needed(runner, placement.ram_bytes, is_claimed=is_claimed),
        ram_total_bytes=total_bytes,
        waiting_percent=sample.io_waiting_percent if sample else None,
        ram_available_bytes=sample.ram_available_bytes if sample else None,
        limit_bytes=limit if is_limited else None,
        limit_group=process.ram_limit_group if is_limited else None,
    )


def _needed(runner: RunnerRecord, in_ram_bytes: int | None, *, is_claimed: bool) -> int | None:
    """Return what belongs in RAM: by a claim, else its file less what is on GPUs, and what it has beside.

    What it has there now is less, as it is read again and again.
    """
    if is_claimed and in_ram_bytes is not None:
        return in_ram_bytes
    process, by_file = runner.process, _beside_gpus(runner)
    if by_file is not None and process.rss_bytes is not None and process.file_bytes is not None:
        by_file += max(0, process.rss_bytes - process.file_bytes)
    return max((size for size in (in_ram_bytes, by_file) if size is not None), default=None)


def _beside_gpus(runner: RunnerRecord) -> int | None:
    file_bytes, on_gpu = runner.process.model_file_bytes, runner.measured_vram_bytes
    return None if file_bytes is None else max(0, file_bytes - (on_gpu or 0))


def disk_words(label: str, reading: DiskReading, cost: str = "") -> str:
    """Say it, and why: ``…: 1.2 GiB/s; 60.0 GiB of it belong in RAM, which has 31.2 GiB``."""
    said = f"{label} is read from disk while it works: {reading.pace}{cost}"
    if reading.cause == "larger_than_ram":
        needed, total = amount(reading.needed_bytes or 0), amount(reading.ram_total_bytes or 0)
        return f"{said}; {needed} of it belong in RAM, which has {total}"
    if reading.cause == "limited":
        needed, limit = amount(reading.needed_bytes or 0), amount(reading.limit_bytes or 0)
        return f"{said}; {needed} of it belong in RAM, of which its control group may take {limit}"
    if reading.cause == "pushed_out":
        return f"{said}; others hold the RAM that its weights need"
    available = reading.ram_available_bytes if reading.needed_bytes else None
    return f"{said}, though {amount(available)} of RAM are available" if available else said
