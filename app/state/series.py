"""Bounded time series: fine for the last minutes, coarse for the last day, gaps kept."""

from __future__ import annotations

import math
from array import array
from typing import NamedTuple

TIERS: tuple[tuple[float, int], ...] = ((1.0, 300), (10.0, 360), (120.0, 720))
"""(bucket width in seconds, buckets kept): 5 minutes, 1 hour, 24 hours."""

HOLD_SECONDS = 15.0
"""A value stands until the next one if that comes within this time; after a longer silence there is a gap."""

RUNS_KEPT = 4
"""Widths of cell for which a series remembers cells; a screen looks at one or two."""

_ROUNDING = 1e-6
"""Slack in buckets: multiples of a cell width near the present Unix time are exact to about 2.4e-7 s."""


class Bucket(NamedTuple):
    """What happened within one span of time."""

    minimum: float
    mean: float
    maximum: float


class _Tier:
    """A ring of buckets of one width; the arrays grow to ``capacity`` and then wrap. NaN is a gap."""

    def __init__(self, width: float, capacity: int) -> None:
        self.width = width
        self.capacity = capacity
        self.newest: int | None = None
        self._minima = array("d")
        self._means = array("d")
        self._maxima = array("d")
        self._sum = 0.0
        self._count = 0

    def bucket(self, number: int) -> Bucket | None:
        """Return the bucket that covers ``number * width`` seconds, or ``None`` for a gap."""
        if self.newest is None or not self.newest - self.capacity < number <= self.newest:
            return None
        slot = number % self.capacity
        if slot >= len(self._means) or math.isnan(self._means[slot]):
            return None
        return Bucket(self._minima[slot], self._means[slot], self._maxima[slot])

    def is_over(self, end: float) -> bool:
        """Return whether every bucket that begins before ``end`` seconds has its last value."""
        return self.newest is not None and math.ceil(end / self.width - _ROUNDING) - 1 < self.newest

    def add(self, number: int, value: float, held: float | None) -> None:
        """Put ``value`` into bucket ``number``; buckets skipped since the newest become ``held`` or gaps."""
        if self.newest is None:
            self._grow(number % self.capacity)
        elif number > self.newest:
            for skipped in range(max(self.newest + 1, number - self.capacity + 1), number):
                self._fill(skipped, math.nan if held is None else held)
        if self.newest is None or number > self.newest:
            self._fill(number, value)
            self._sum, self._count = value, 1
            self.newest = number
        else:
            self._extend(value)

    def _extend(self, value: float) -> None:
        assert self.newest is not None  # noqa: S101 - add() has set it
        slot = self.newest % self.capacity
        self._sum += value
        self._count += 1
        if value < self._minima[slot]:
            self._minima[slot] = value
        elif value > self._maxima[slot]:
            self._maxima[slot] = value
        self._means[slot] = _within(self._sum / self._count, self._minima[slot], self._maxima[slot])

    def _fill(self, number: int, value: float) -> None:
        slot = number % self.capacity
        if slot >= len(self._means):
            self._grow(slot + 1)
        self._minima[slot] = self._means[slot] = self._maxima[slot] = value

    def _grow(self, length: int) -> None:
        missing = length - len(self._means)
        for values in (self._minima, self._means, self._maxima):
            values.extend([math.nan] * max(0, missing))


class _Run:
    """Cells of one width in a row, none of which can change any more."""

    __slots__ = ("buckets", "first")

    def __init__(self, first: int) -> None:
        self.first = first
        self.buckets: list[Bucket | None] = []

    @property
    def end(self) -> int:
        """Number of the cell after the last."""
        return self.first + len(self.buckets)

    def trim(self, first: int) -> None:
        """Drop the cells before ``first`` once they are as many as the others."""
        if first - self.first > self.end - first:
            del self.buckets[: first - self.first]
            self.first = first


class Series:
    """One quantity over time, in a fixed amount of memory."""

    __slots__ = ("_runs", "_tiers", "last", "last_time")

    def __init__(self) -> None:
        self._tiers = tuple(_Tier(width, capacity) for width, capacity in TIERS)
        self._runs: dict[tuple[float, float], _Run] = {}
        """Cells looked at before that will not change, by width of tier and cell."""
        self.last: float | None = None
        """The newest value, ``None`` if the newest sample had none."""
        self.last_time: float | None = None

    def __getstate__(self) -> tuple[object, ...]:
        """Copy what was added; the cells that were looked at are found again."""
        return (self._tiers, self.last, self.last_time)

    def __setstate__(self, state: tuple[tuple[_Tier, ...], float | None, float | None]) -> None:
        self._tiers, self.last, self.last_time = state
        self._runs = {}

    def add(self, time: float, value: float | None) -> None:
        """Add what was seen at ``time`` (seconds); ``None`` begins a gap. Times that go back are ignored."""
        if self.last_time is not None and time < self.last_time:
            return
        if value is None or not math.isfinite(value):
            self.last = None
            return
        held = self._held(time)
        for tier in self._tiers:
            tier.add(math.floor(time / tier.width), value, held)
        self.last, self.last_time = value, time

    def window(self, until: float, seconds: float, cells: int) -> list[Bucket | None]:
        """Return ``cells`` buckets that cover the ``seconds`` before ``until``, oldest first.

        Cells lie on multiples of their own width, so that old cells do not change as time goes on.
        """
        width = seconds / cells
        tier = self._tier_for(until, seconds)
        last_cell = math.floor(until / width)
        first_cell = last_cell - cells + 1
        over = self._over(tier, width, first_cell, last_cell)
        seen_cell = -math.inf if tier.newest is None else math.floor(tier.newest * tier.width / width) + 1
        rest = [
            self._cell(tier, cell * width, width) if cell <= seen_cell else None
            for cell in range(first_cell + len(over), last_cell + 1)
        ]
        return over + rest

    def _over(self, tier: _Tier, width: float, first_cell: int, last_cell: int) -> list[Bucket | None]:
        """Return the cells from ``first_cell`` that no sample can change any more."""
        key = (tier.width, width)
        run = self._runs.get(key)
        if run is None or not run.first <= first_cell <= run.end:
            if run is None and len(self._runs) >= RUNS_KEPT:
                self._runs.clear()
            run = self._runs[key] = _Run(first_cell)
        while run.end <= last_cell and tier.is_over((run.end + 1) * width):
            run.buckets.append(self._cell(tier, run.end * width, width))
        run.trim(first_cell)
        return run.buckets[first_cell - run.first : last_cell + 1 - run.first]

    def _held(self, time: float) -> float | None:
        recent = self.last_time is not None and time - self.last_time <= HOLD_SECONDS
        return self.last if recent else None

    def _tier_for(self, until: float, seconds: float) -> _Tier:
        lag = 0.0 if self.last_time is None else max(0.0, self.last_time - until)
        return next((t for t in self._tiers if t.width * t.capacity >= seconds + lag), self._tiers[-1])

    @staticmethod
    def _cell(tier: _Tier, start: float, width: float) -> Bucket | None:
        first = math.floor(start / tier.width + _ROUNDING)
        if tier.newest is None or first > tier.newest:
            return None
        last = max(first, math.ceil((start + width) / tier.width - _ROUNDING) - 1)
        seen = [bucket for number in range(first, last + 1) if (bucket := tier.bucket(number)) is not None]
        return _merged(seen) if seen else None


def _merged(buckets: list[Bucket]) -> Bucket:
    if len(buckets) == 1:
        return buckets[0]
    minimum = min(bucket.minimum for bucket in buckets)
    maximum = max(bucket.maximum for bucket in buckets)
    mean = sum(bucket.mean for bucket in buckets) / len(buckets)
    return Bucket(minimum, _within(mean, minimum, maximum), maximum)


def _within(mean: float, minimum: float, maximum: float) -> float:
    """Keep a mean between its extremes, which rounding may put it an ulp outside of."""
    if mean < minimum:
        return minimum
    return min(mean, maximum)
