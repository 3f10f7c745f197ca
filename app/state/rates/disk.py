"""Whether a process reads its model from storage again and again while it works, by the kernel's counts.

The weights of a model are mapped from a file as a rule: the kernel drops pages of them where RAM is short,
and reads them again when they are used. At the start each is read once, and stays; that is no trouble.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from msgspec import Struct, field

from gpumon.collectors.samples import RunnerProcess, SystemSample

READS_BYTES_PER_SECOND = 8.0 * 1024**2
"""From here on. A hard disk reads 75 pages a second that lie apart, each with the 128 KiB around it
(/sys/block/*/queue/read_ahead_kb): 9 MiB/s. A model that is in memory reads nothing."""
CALM_BYTES_PER_SECOND = 2.0 * 1024**2
READS_FAULTS_PER_SECOND = 50.0
"""The same where the bytes of another user's process may not be read. Few faults prove nothing: of pages that
lie in a row one in hundreds is waited for, the others are read ahead."""
CALM_FAULTS_PER_SECOND = 10.0
WAITING_PERCENT = 10.0
"""Of the time somebody has to wait for storage: below, it is fast enough for what is read."""
CALM_WAITING_PERCENT = 5.0
HOLD_SECONDS = 10.0
"""How long it must last, and be over: memory that is lost for a moment is read again in seconds."""
SURE_SECONDS, SURE_TIMES = 4.0, 2.0
"""So long is enough where it has read, since it is watched, twice what is missing of its file."""
UNDECIDED_SECONDS = 3.0
"""After it was last seen to read: three looks, as they are taken of a model at work."""
REST_SECONDS = 30.0
"""So long a rest may be between requests that read."""
MISSING_SHARE = 0.05
"""Of a file: where less of it is not in memory, something else is read."""
STAYS_SHARE = 0.5
"""Of what is read: where so much stays, the model is on its way into memory."""
PAGE_BYTES = 4096
WORKING_CPU_PERCENT = 20.0
"""Of one core, from which a process that does not read works without having to."""


class Look(NamedTuple):
    """Counts of a process at one instant; ``None`` where they may not be read."""

    time: float
    read_bytes: int | None
    major_faults: int | None
    file_bytes: int | None
    """Mapped from files and in memory."""


class Moved(NamedTuple):
    """What two looks differ by, per second."""

    read_bytes: float | None
    major_faults: float | None
    file_bytes: float | None


def moved(before: Look, after: Look) -> Moved | None:
    """Return what has changed; ``None`` where no time went by or a counter went back."""
    seconds = after.time - before.time
    if seconds <= 0 or any(
        old is not None and new is not None and new < old
        for old, new in zip(before[1:3], after[1:3], strict=True)
    ):
        return None
    rates = [
        None if old is None or new is None else (new - old) / seconds
        for old, new in zip(before[1:], after[1:], strict=True)
    ]
    return Moved(*rates)


class DiskReads(Struct):
    """Follows one process from look to look."""

    looks: deque[Look] = field(default_factory=lambda: deque(maxlen=64))
    """Of the last ``HOLD_SECONDS``, and the one before."""
    read_at: float | None = None
    """When it was last seen to read; ``None`` where it was seen to work without, or has long been at rest."""
    reading_seconds: float = 0.0
    """How long it has read, rests left out."""
    calm_seconds: float = 0.0
    """How long it has worked without, since it last read."""
    figures: Moved | None = None
    """What it read when it last did, over the seconds before."""
    active: bool = False
    """Whether it has read for long enough, and has not worked without for as long: a rest says nothing."""

    def reset(self) -> None:
        """Forget all: it is loading."""
        self.looks.clear()
        self._forget()

    def add(self, process: RunnerProcess, now: float, system: SystemSample | None) -> None:
        """Take in a look at the process."""
        look = Look(now, process.read_bytes, process.major_faults, process.file_bytes)
        before = self.looks[-1] if self.looks else None
        self.looks.append(look)
        while len(self.looks) > 2 and now - self.looks[1].time >= HOLD_SECONDS:
            self.looks.popleft()
        latest = moved(before, look) if before else None
        if before is None or latest is None:
            return
        seconds = now - before.time
        if self._reads(latest, system, process):
            self.read_at, self.calm_seconds, self.figures = now, 0.0, self.latest
            self.reading_seconds += seconds
            needed = SURE_SECONDS if self._reads_again(process, SURE_TIMES) else HOLD_SECONDS
            self.active = self.active or self.reading_seconds >= needed
        else:
            self._note_calm(now, seconds, is_at_work=(process.cpu_percent or 0.0) >= WORKING_CPU_PERCENT)

    def _note_calm(self, now: float, seconds: float, *, is_at_work: bool) -> None:
        """Note that it has not read for these ``seconds``, which tells something where it works."""
        if is_at_work:
            self.calm_seconds += seconds
            if not self.active or self.calm_seconds >= HOLD_SECONDS:
                self._forget()
        elif not self.active and self.read_at is not None and now - self.read_at >= REST_SECONDS:
            self._forget()

    def is_undecided(self, now: float) -> bool:
        """Return whether it reads just now, and has not for long enough to tell whether that lasts."""
        return not self.active and self.read_at is not None and now - self.read_at < UNDECIDED_SECONDS

    @property
    def latest(self) -> Moved | None:
        """What it reads, over the last seconds."""
        return moved(self.looks[0], self.looks[-1]) if self.looks else None

    def _forget(self) -> None:
        self.read_at, self.reading_seconds, self.calm_seconds, self.active = None, 0.0, 0.0, False

    def _reads(self, latest: Moved, system: SystemSample | None, process: RunnerProcess) -> bool:
        is_first, waiting = self.read_at is None, system.io_waiting_percent if system else None
        is_fast = waiting is not None and waiting < (WAITING_PERCENT if is_first else CALM_WAITING_PERCENT)
        if is_fast and not self._reads_again(process):
            return False
        if latest.read_bytes is None:
            limit = READS_FAULTS_PER_SECOND if is_first else CALM_FAULTS_PER_SECOND
            reads = (latest.major_faults or 0.0) >= limit
        else:
            limit = READS_BYTES_PER_SECOND if is_first else CALM_BYTES_PER_SECOND
            reads = latest.read_bytes >= limit
        return reads and not self._stays() and not _is_swap(latest, system)

    def _reads_again(self, process: RunnerProcess, times: float = 1.0) -> bool:
        """Return whether it has read, in ten seconds, more of its file than is not in memory: the same again.

        With ``times``, whether it was so many times as much. That tells it too where the storage
        is fast, or where it waits for the processor more than for that.
        """
        over, whole, resident = self.latest, process.model_file_bytes, process.file_bytes
        if over is None or over.read_bytes is None or not whole or resident is None:
            return False
        missing = whole - resident
        seconds = min(HOLD_SECONDS, self.looks[-1].time - self.looks[0].time)
        return missing >= MISSING_SHARE * whole and over.read_bytes * seconds > times * missing

    def _stays(self) -> bool:
        """Return whether what is read stays in memory, so that it will soon be over; or nobody can tell."""
        over = self.latest
        if over is None or over.file_bytes is None:
            return True
        return over.file_bytes >= STAYS_SHARE * least_read(over)


def least_read(latest: Moved) -> float:
    """Return the bytes read per second, at the least: a page for each fault."""
    return (latest.major_faults or 0.0) * PAGE_BYTES if latest.read_bytes is None else latest.read_bytes


def _is_swap(latest: Moved, system: SystemSample | None) -> bool:
    """Return whether it may be swap that is read: of that other words are said."""
    swapped = (system.swap_in_bytes_per_second if system else None) or 0.0
    return swapped > 0 and swapped >= STAYS_SHARE * least_read(latest)
