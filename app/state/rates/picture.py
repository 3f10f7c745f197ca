"""The picture under way: how far it is, how long a step takes, and how long one took before."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from msgspec import Struct, field

from gpumon.collectors.samples import PictureJob, WorkSample

WINDOW_SECONDS = 15.0
"""So far back two looks at the steps tell how long one takes now."""
LEAST_STEPS = 3
"""Of a job: with fewer what a step took is no measure for others."""
SORTS_KEPT = 32
WORTH_TELLING = 1.15
"""By so much a step must take longer than it did."""
LOOKS = 4
"""In a row at which traffic to the GPU must be seen."""


class Sort(NamedTuple):
    """Jobs whose steps take the same time."""

    model: str
    width: int | None
    height: int | None
    batch_size: int | None


class Drawing(Struct, frozen=True):
    """A job at one look; ``None`` is unknown."""

    job: PictureJob
    seconds_per_step: float | None = None
    seconds_left: float | None = None
    best_seconds_per_step: float | None = None
    """Of earlier jobs of the same sort in this run, the fastest."""
    streamed_bytes_per_second: float | None = None
    """The least of what its GPUs received over PCIe at the last looks at this job."""

    @property
    def fraction(self) -> float | None:
        """The part of its steps that is done, 0 to 1."""
        step, count = self.job.step, self.job.step_count
        return None if step is None or not count else min(1.0, step / count)


class PictureTrack(Struct):
    """Follows the jobs of one generator."""

    now: Drawing | None = None
    """The job under way."""
    _changes: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=64))
    """When the number of steps was seen to have grown, and to what."""
    _received: deque[float | None] = field(default_factory=lambda: deque(maxlen=LOOKS))
    _best: dict[Sort, float] = field(default_factory=dict)

    def feed(self, sample: WorkSample, model: str, received: float | None) -> None:
        """Take in one look: ``received`` is what the generator's GPUs receive, in bytes per second."""
        job = sample.job
        if self.now is not None and (job is None or _is_another(self.now.job, job)):
            self._end(model)
        if job is None:
            return
        self._note_step(sample.time, job)
        self._received.append(received)
        per_step = job.seconds_per_step or self._measured(sample.time)
        self.now = Drawing(
            job,
            per_step,
            job.seconds_left if job.seconds_left is not None else _left(job, per_step),
            self._best.get(_sort(model, job)),
            self._streamed(),
        )

    def _note_step(self, time: float, job: PictureJob) -> None:
        last = self._changes[-1][1] if self._changes else None
        if job.step is None or (last is not None and job.step < last):
            self._changes.clear()
        if job.step is not None and job.step != last:
            self._changes.append((time, job.step))

    def _measured(self, now: float) -> float | None:
        known = [one for one in self._changes if now - one[0] <= WINDOW_SECONDS]
        if len(known) < 2:
            return None
        (begun, first), (ended, last) = known[0], known[-1]
        return (ended - begun) / (last - first)

    def _streamed(self) -> float | None:
        known = [rate for rate in self._received if rate is not None]
        return min(known) if len(known) == LOOKS else None

    def _end(self, model: str) -> None:
        ended, self.now = self.now, None
        self._changes.clear()
        self._received.clear()
        if ended is None or ended.seconds_per_step is None or (ended.job.step or 0) < LEAST_STEPS:
            return
        sort = _sort(model, ended.job)
        self._best[sort] = min(ended.seconds_per_step, self._best.pop(sort, ended.seconds_per_step))
        if len(self._best) > SORTS_KEPT:
            del self._best[next(iter(self._best))]


def _sort(model: str, job: PictureJob) -> Sort:
    return Sort(model, job.width, job.height, job.batch_size)


def _is_another(before: PictureJob, job: PictureJob) -> bool:
    return before.job_id != job.job_id


def _left(job: PictureJob, seconds_per_step: float | None) -> float | None:
    if seconds_per_step is None or job.step is None or job.step_count is None:
        return None
    return max(0, job.step_count - job.step) * seconds_per_step
