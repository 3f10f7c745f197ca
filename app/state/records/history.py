"""What is remembered of a model however often it is loaded: how its figures went, and what happened to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal, NamedTuple

from msgspec import Struct, field

from gpumon.app.state.rates.figures import RunnerRates
from gpumon.app.state.series import Series

MARKS_KEPT = 64
PACES_KEPT = 16
SAME_PACE_RATIO = 1.5
"""Steps that differ by less take as long: the first ones of a job take longer."""
SUSTAINED_SECONDS = 5.0
"""A rate counts as one that a model reaches if it holds so long; requests in turn count together."""
STANDS_SECONDS = 2.0
"""A rate stands no longer than that until the next poll."""

MarkKind = Literal[
    "reload",  # it is loaded again: in another process, or after it had left
    "ready",
    "left",
]


class Mark(NamedTuple):
    """An instant that a chart can point at."""

    time: float
    kind: MarkKind
    words: str
    """Short, for the axis of a chart."""


class StepPace(NamedTuple):
    """How long an image generator took for a step of one job."""

    time: float
    """When it was last seen."""
    seconds_per_step: float
    job_id: str | None
    size: tuple[int | None, int | None, int | None]
    """Width, height and pictures at once: a larger one takes longer by nature."""
    model: str = ""
    """What was loaded: a row of an image generator stays while its model changes."""


class BestRate(Struct):
    """The best mean over ``SUSTAINED_SECONDS`` of generating."""

    tokens_per_second: float | None = None
    _tokens: float = 0.0
    _seconds: float = 0.0
    _rate: float | None = None
    _time: float = 0.0

    def add(self, time: float, rate: float | None) -> None:
        """Go on with the rate from ``time`` on; ``None`` is none, or one that does not count."""
        if self._rate is not None and time > self._time:
            seconds = min(time - self._time, STANDS_SECONDS)
            self._tokens += self._rate * seconds
            self._seconds += seconds
        self._rate, self._time = rate or None, time
        if self._seconds >= SUSTAINED_SECONDS:
            mean = self._tokens / self._seconds
            self.tokens_per_second = max(mean, self.tokens_per_second or 0.0)
            self._tokens = self._seconds = 0.0


class History(Struct, eq=False):
    """The series of a model, which go on when it is loaded again, with a gap while it was not."""

    first_seen: float = 0.0
    """When it was first seen to load or to be loaded, in this run."""
    first_loaded: float | None = None
    """When it first was loaded; ``None`` while it never was."""
    left: float | None = None
    """When it was last unloaded; ``None`` while it is loaded, and of one that never was."""
    marks: deque[Mark] = field(default_factory=lambda: deque(maxlen=MARKS_KEPT))
    """Oldest first."""
    measured_vram: Series = field(default_factory=Series)
    """What the driver measures for its process, over all GPUs, also while it loads."""
    vram: Series = field(default_factory=Series)
    ram: Series = field(default_factory=Series)
    decode: Series = field(default_factory=Series)
    """Tokens generated per second; a gap where no request is in that phase."""
    prefill: Series = field(default_factory=Series)
    """Prompt tokens computed per second."""
    context: Series = field(default_factory=Series)
    """Tokens in the fullest slot; a gap where no request is at work."""
    whole_until: float | None = None
    """When all of it was last on GPUs by its server's claim; ``None`` while that never was so."""
    step_paces: deque[StepPace] = field(default_factory=lambda: deque(maxlen=PACES_KEPT))
    """Of an image generator, one for each job unless it changes within one, oldest first."""
    peak: BestRate = field(default_factory=BestRate)
    """Of all requests together, wherever the model lay."""
    peak_on_gpu: BestRate = field(default_factory=BestRate)
    """Of one request alone, while all of the model was on GPUs by its server's claim."""

    def take_rates(self, time: float, rates: RunnerRates, *, on_gpu: bool = False) -> None:
        """Add how fast the model works, and whether all of it is ``on_gpu`` meanwhile."""
        rate = rates.decode_tokens_per_second
        self.decode.add(time, rate)
        self.prefill.add(time, rates.prefill_tokens_per_second)
        self.context.add(time, rates.context_tokens)
        counts = None if rates.is_estimate else rate
        self.peak.add(time, counts)
        is_alone = sum(slot.phase == "decode" for slot in rates.slots) <= 1 and (rates.running or 0) <= 1
        self.peak_on_gpu.add(time, counts if on_gpu and is_alone else None)

    def take_step(self, pace: StepPace) -> None:
        """Note how long a step takes, in place of what was much the same for the same job."""
        last = self.step_paces[-1] if self.step_paces else None
        if last is not None and last[2:] == pace[2:]:
            ratio = pace.seconds_per_step / last.seconds_per_step
            if 1 / SAME_PACE_RATIO < ratio < SAME_PACE_RATIO:
                self.step_paces.pop()
        self.step_paces.append(pace)

    def mark(self, time: float, kind: MarkKind) -> None:
        """Note an instant; what is noted later is not before it."""
        before = self.marks[-1].time if self.marks else time
        self.marks.append(Mark(max(time, before), kind, kind))

    def begin_gap(self, time: float) -> None:
        """Have no value stand from ``time`` on."""
        for series in self._series():
            series.add(time, None)
        self.peak.add(time, None)
        self.peak_on_gpu.add(time, None)

    def _series(self) -> Iterator[Series]:
        yield from (self.measured_vram, self.vram, self.ram)
        yield from (self.decode, self.prefill, self.context)
