"""What a player plays: a stream that can be opened at its start, and where it can be entered later on."""

from __future__ import annotations

import asyncio
import zlib
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from gpumon.app.monitor import Monitor
from gpumon.app.recording.lines import Header
from gpumon.app.recording.reader import Items, Landing, Recording
from gpumon.collectors.samples import AnySample

Item = AnySample | Header
Open = Callable[[], Iterable[Item]]
"""Opens a stream at its start; a header in it begins a new run, which knows nothing of the one before."""
Place = Any
"""Where a stream can be entered again, as its reel has told it."""


class Reel(Protocol):
    """A stream, and its places."""

    def open(self, place: Place | None = None) -> Iterator[Item]:
        """Yield what comes from a place on, or from the start."""
        ...

    @property
    def place(self) -> Place:
        """Where what was yielded last ends."""
        ...

    @property
    def looked(self) -> float:
        """How far it has looked for a landing, 0 to 1."""
        ...

    async def landing(self, time: float) -> Landing | None:
        """Return where to begin so that an instant is soon reached; ``None`` is the start."""
        ...


class Counted:
    """A stream that has no places but how much of it has been taken: a demonstration."""

    def __init__(self, samples: Open) -> None:
        self._samples = samples
        self.place = 0
        self.looked = 0.0

    def open(self, place: int | None = None) -> Iterator[Item]:
        """Yield what comes from a place on: all before it is made again."""
        self.place = place or 0
        for item in islice(iter(self._samples()), self.place, None):
            self.place += 1
            yield item

    async def landing(self, time: float) -> None:
        """Return no place: what is made anew is known from its start."""
        del time


class Recorded:
    """A recording, which can be entered anywhere."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._items: Items | None = None

    @property
    def place(self) -> Place:
        """Where what was yielded last ends."""
        return None if self._items is None else self._items.place

    def open(self, place: Place | None = None) -> Iterator[Item]:
        """Yield what comes from a place on."""
        self._items = self._recording.items() if place is None else self._recording.items(place)
        return self._items

    @property
    def looked(self) -> float:
        """How far it has looked for a landing, 0 to 1."""
        return self._recording.looked or 0.0

    async def landing(self, time: float) -> Landing | None:
        """Return where to begin so that an instant is soon reached; the screen is drawn meanwhile."""
        return await asyncio.to_thread(self._recording.landing, time)


class Stop(NamedTuple):
    """What was known at a time of the stream, and where the stream goes on."""

    position: float
    place: Place
    """Where the next sample is."""
    begins_run: bool
    frozen: bytes
    known_since: float | None
    """Where what was known began, if that is not the start."""

    def thaw(self, monitor: Monitor) -> None:
        """Let a monitor know what was known then."""
        monitor.thaw(zlib.decompress(self.frozen))


STOP_SAMPLES = 1000
"""After so many samples what is known is kept, so that a seek need not feed all from the start."""
STOPS_KEPT = 128
"""Of a longer recording every other one is let go."""

_POSITION = attrgetter("position")


class Stops:
    """What was known now and then in what was played, by time."""

    def __init__(self) -> None:
        self._stops: list[Stop] = []
        self._fed = 0
        self._since = float("-inf")

    def note(self, monitor: Monitor, stop: Callable[[bytes], Stop], position: float) -> None:
        """Count a sample, and keep what is known now if that was long not done."""
        self._fed += 1
        if self._fed < STOP_SAMPLES:
            return
        known, self._fed = self.before(position), 0
        if known is None or known.position <= self._since:
            with monitor.fuses.guard("looking back"):
                insort(self._stops, stop(zlib.compress(monitor.freeze(), 1)), key=_POSITION)
        self._since = position
        if len(self._stops) > STOPS_KEPT:
            del self._stops[::2]

    def moved(self, position: float) -> None:
        """Count from another time on."""
        self._fed, self._since = 0, position

    def before(self, time: float) -> Stop | None:
        """Return the last one that is not after a time."""
        at = bisect_right(self._stops, time, key=_POSITION)
        return self._stops[at - 1] if at else None

    def clear(self) -> None:
        """Forget them all."""
        self._stops.clear()
        self.moved(float("-inf"))
