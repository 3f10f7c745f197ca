"""Plays samples at their own pace into a monitor: pause, step, seek, speed; and the feed of a recording."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from gpumon.app.feeds.reels import Counted, Item, Open, Place, Recorded, Reel, Stop, Stops
from gpumon.app.monitor import Monitor
from gpumon.app.recording.lines import Header
from gpumon.app.recording.reader import Landing, Recording
from gpumon.collectors.samples import AnySample
from gpumon.text import units

SPEED_MINIMUM = 0.25
SPEED_MAXIMUM = 64.0


class PlayClock:
    """Time in the recording as a function of elapsed time outside."""

    def __init__(self, elapsed: Callable[[], float], speed: float = 1.0) -> None:
        self._elapsed = elapsed
        self._anchor_outside = elapsed()
        self._anchor = 0.0
        self._speed = min(max(speed, SPEED_MINIMUM), SPEED_MAXIMUM)
        self._paused = False

    @property
    def time(self) -> float:
        """Seconds since the epoch, in the recording."""
        if self._paused:
            return self._anchor
        return self._anchor + (self._elapsed() - self._anchor_outside) * self._speed

    @property
    def speed(self) -> float:
        """Recorded seconds per second."""
        return self._speed

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._paused

    def jump(self, time: float) -> None:
        """Go on from ``time``."""
        self._anchor, self._anchor_outside = time, self._elapsed()

    def change_speed(self, speed: float) -> None:
        """Run at ``speed``, kept between 0.25 and 64."""
        self.jump(self.time)
        self._speed = min(max(speed, SPEED_MINIMUM), SPEED_MAXIMUM)

    def pause(self, paused: bool) -> None:
        """Stand still, or go on."""
        self.jump(self.time)
        self._paused = paused

    def until(self, time: float) -> float:
        """Return the seconds outside until it is ``time``; never ends where it stands still."""
        left = (time - self.time) / self._speed
        return float("inf") if self._paused and left > 0 else left


LONGEST_GAP_SECONDS = 5.0
"""A longer silence in the recording (suspended, recorded again the next day) is played as this."""
LATEST_SECONDS = 2.0
"""A player that is further behind (outside time) lets the lost time go instead of racing after it."""
SEEN_AFTER_SECONDS = 0.5
"""A seek that takes longer says how far it is."""
BREATH_SAMPLES = 50
"""How many samples a seek feeds before it lets the screen have its turn."""

Wait = Callable[[asyncio.Event, float], Awaitable[None]]
"""Returns after this many seconds (may be infinite), or earlier when the event is set."""


async def wait_for_change(changed: asyncio.Event, seconds: float) -> None:
    """Sleep for ``seconds`` or until ``changed`` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds if math.isfinite(seconds) else None):
            await changed.wait()


class _Seek(NamedTuple):
    """A seek that is not there yet."""

    asked: float
    """When, in elapsed time."""
    begun: float | None
    """From where on it feeds, once that is found."""
    target: float

    def done(self, position: float) -> float:
        """Return how much of the way there is fed, 0 to 1."""
        begun = self.target if self.begun is None else self.begun
        return min(1.0, (position - begun) / max(self.target - begun, 1.0))


class Player:
    """Plays what ``samples()`` yields from the start each time it is called.

    The controls may be called at any time in the event loop's thread; they take effect in ``run``.
    """

    def __init__(
        self,
        samples: Open | Reel,
        *,
        speed: float = 1.0,
        open_at: float | None = None,
        end: float | None = None,
        hold_at_end: bool = False,
        wait: Wait = wait_for_change,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reel: Reel = Counted(samples) if callable(samples) else samples
        self._wait = wait
        self._elapsed = elapsed
        self._clock = PlayClock(elapsed, speed)
        self._hold_at_end = hold_at_end
        self._iterator: Iterator[Item] = iter(())
        self._place: Place = None
        """Where the next sample is in the stream."""
        self._next: AnySample | None = None
        self._next_begins_run = False
        self._target: float | None = open_at
        self._steps = 0
        self._is_new = False
        self._stops = Stops()
        self._wants_event = False
        self._seeking: _Seek | None = None
        self._changed = asyncio.Event()
        self.start: float | None = None
        """Time of the first sample, known once ``run`` has begun."""
        self.end = end
        """Time of the last sample where it is known."""
        self.position: float | None = None
        """Time of the sample that was fed last."""
        self.ended = False
        """Whether the last sample was fed."""
        self.known_since: float | None = None
        """Where what is known begins, if that is later than the start: what came before was passed over."""

    @property
    def speed(self) -> float:
        """Recorded seconds per second, 0.25 to 64."""
        return self._clock.speed

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._clock.paused

    def pause(self) -> None:
        """Stand still."""
        self._clock.pause(True)
        self._changed.set()

    def resume(self) -> None:
        """Go on."""
        self._clock.pause(False)
        self._changed.set()

    def faster(self) -> None:
        """Double the speed, up to 64."""
        self._clock.change_speed(self.speed * 2)
        self._changed.set()

    def slower(self) -> None:
        """Halve the speed, down to 0.25."""
        self._clock.change_speed(self.speed / 2)
        self._changed.set()

    def step(self) -> None:
        """Stand still and show the samples of the next second that has any."""
        self._clock.pause(True)
        self._steps += 1
        self._changed.set()

    def seek_event(self) -> None:
        """Go to where the next event is told, without waiting."""
        self._wants_event = True
        self._changed.set()

    def seek(self, time: float) -> None:
        """Go to ``time`` (seconds since the epoch) without waiting; before the start is the start."""
        self._wants_event = False
        self._target = time if self.start is None else max(time, self.start)
        self._changed.set()

    def play_anew(self, open_at: float) -> None:
        """Play what the samples are now, from their start, without waiting until ``open_at``."""
        self._clock.pause(False)
        self._is_new, self._target, self._steps = True, open_at, 0
        self.position = None
        self._changed.set()

    def forget_stops(self) -> None:
        """Play what was played again from the start when it is sought: the samples are others now."""
        self._stops.clear()

    def seek_by(self, seconds: float) -> None:
        """Go ``seconds`` forward, or back where negative."""
        base = self._target if self._target is not None else self.position
        if base is not None:
            self.seek(base + seconds)

    async def run(self, monitor: Monitor) -> None:
        """Feed ``monitor`` until the samples end (or for ever, where it holds at the end)."""
        self._rewind()
        self.start = self._next.time if self._next else None
        self._clock.jump(self.start or 0.0)
        while True:
            self._changed.clear()
            if self._target is not None:
                await self._jump(monitor, self._target)
            elif self._next is None and not self._hold_at_end:
                return
            elif self._next is None:
                self._steps, self._wants_event = 0, False
                await self._changed.wait()
            elif self._wants_event:
                await self._jump_to_event(monitor)
            elif self._steps:
                self._feed_second(monitor)
            else:
                await self._feed_when_due(monitor, self._next)

    def _rewind(self) -> None:
        self._enter(None, None)
        self.known_since = None

    def _enter(self, place: Place, position: float | None) -> None:
        """Go on from a place of the stream."""
        self._iterator, self._place, self.position = self._reel.open(place), place, position
        self._stops.moved(float("-inf") if position is None else position)
        self._advance()

    def _go_to(self, stop: Stop, monitor: Monitor) -> None:
        """Know what was known at a stop, and go on from there."""
        stop.thaw(monitor)
        self._enter(stop.place, stop.position)
        self._next_begins_run, self.known_since = stop.begins_run, stop.known_since

    def _land(self, landing: Landing, monitor: Monitor) -> None:
        """Know what was known at a place of the stream, and go on from there."""
        monitor.reset()
        self._enter(landing.place, landing.time)
        self._next_begins_run, self.known_since = False, landing.time
        for sample in landing.samples:
            monitor.feed(sample)

    def _advance(self) -> None:
        self._next_begins_run = False
        self._place, item = self._reel.place, next(self._iterator, None)
        while isinstance(item, Header):
            self._next_begins_run = True
            self._place, item = self._reel.place, next(self._iterator, None)
        self._next = item
        self.ended = item is None

    def _feed(self, monitor: Monitor, sample: AnySample) -> None:
        if self._next_begins_run and self.position is not None:
            monitor.reset()
            self.known_since = None
        self._advance()
        self.position = sample.time if self.position is None else max(self.position, sample.time)
        monitor.feed(sample)
        self._stops.note(monitor, self._stop, self.position)

    def _stop(self, frozen: bytes) -> Stop:
        """Return the stop that is here."""
        position = self.position or 0.0
        return Stop(position, self._place, self._next_begins_run, frozen, self.known_since)

    def _feed_second(self, monitor: Monitor) -> None:
        self._steps -= 1
        second = math.floor(self._next.time) if self._next else 0
        while self._next is not None and math.floor(self._next.time) == second:
            self._feed(monitor, self._next)
        if self.position is not None:
            self._clock.jump(self.position)

    async def _feed_when_due(self, monitor: Monitor, sample: AnySample) -> None:
        if sample.time - self._clock.time > LONGEST_GAP_SECONDS:
            self._clock.jump(sample.time - LONGEST_GAP_SECONDS)
        wait = self._clock.until(sample.time)
        if wait < -LATEST_SECONDS:
            self._clock.jump(sample.time)
        if wait > 0:
            await self._wait(self._changed, wait)
        else:
            self._feed(monitor, sample)
            await asyncio.sleep(0)

    async def _jump(self, monitor: Monitor, target: float) -> None:
        """Feed up to ``target``, unless another one is sought meanwhile."""
        seek = self._seeking = _Seek(self._elapsed(), None, target)
        await self._start_towards(monitor, target)
        self._seeking = seek._replace(begun=self.position or self.start or target)
        fed = 0
        while self._next is not None and self._next.time <= target and self._target == target:
            if self._is_new:
                return
            self._feed(monitor, self._next)
            fed += 1
            if fed % BREATH_SAMPLES == 0:
                await asyncio.sleep(0)
        if self._target == target:
            self._target = self._seeking = None
        self._clock.jump(max(target, self.start or target))

    @property
    def sought(self) -> float | None:
        """How far a seek has come that takes its time, 0 to 1; ``None`` where there is none."""
        seek = self._seeking
        if seek is None or self._elapsed() - seek.asked < SEEN_AFTER_SECONDS:
            return None
        return self._reel.looked if seek.begun is None else seek.done(self.position or seek.begun)

    async def _start_towards(self, monitor: Monitor, target: float) -> None:
        """Go to where ``target`` is reached soonest: on from here, a stop, a landing or the start."""
        if self._is_new:
            self._stops.clear()
        position = float("-inf") if self.position is None or self.position > target else self.position
        landing = await self._reel.landing(target)
        stop = self._stops.before(target)
        if landing is not None and landing.time > max(position, stop.position if stop else position):
            self._land(landing, monitor)
        elif stop is not None and stop.position > position:
            self._go_to(stop, monitor)
        elif self._is_new or (self.position is not None and target < self.position):
            self._is_new = False
            monitor.reset()
            self._rewind()
            self.start = self._next.time if self._next else None

    async def _jump_to_event(self, monitor: Monitor) -> None:
        """Feed until an event is told that was not, unless something else is sought meanwhile."""
        known, fed = _newest_event(monitor), 0
        while self._next is not None and self._wants_event and self._target is None and not self._is_new:
            self._feed(monitor, self._next)
            self._wants_event = _newest_event(monitor) == known
            fed += 1
            if fed % BREATH_SAMPLES == 0:
                await asyncio.sleep(0)
        if self.position is not None:
            self._clock.jump(self.position)


def _newest_event(monitor: Monitor) -> int:
    feed = monitor.events.feed
    return max((event.number for event in (*feed.ongoing, *feed.past)), default=-1)


def play_marks(title: str, player: Player) -> tuple[str, ...]:
    """Return ``title``, with the speed where it is not its own, and ``PAUSED`` or ``END``."""
    first = title if player.speed == 1.0 else f"{title} {player.speed:g}x"
    if (sought := player.sought) is not None:
        return (first, f"SEEKING {sought:.0%}")
    if player.ended:
        return (first, "END")
    return (first, "PAUSED") if player.paused else (first,)


class ReplayFeed:
    """Plays a recording at ``speed``; at its end it stays, to be sought back, or returns as it is told."""

    def __init__(self, recording: Recording, *, speed: float = 1.0, hold_at_end: bool = True) -> None:
        self.recording = recording
        self.player = Player(
            Recorded(recording), speed=speed, end=recording.last_time(), hold_at_end=hold_at_end
        )
        """Pause, step, seek and speed."""

    def marks(self) -> tuple[str, ...]:
        """Return ``REPLAY``, how it is played, ``DEMO`` where that was recorded, and what was left out."""
        demo = ("DEMO",) if self.recording.header.demo else ()
        since, left_out = self.player.known_since, self.recording.left_out
        known = (f"known since {units.clock(since)}",) if since is not None else ()
        return play_marks("REPLAY", self.player) + demo + known + ((left_out,) if left_out else ())

    async def run(self, monitor: Monitor) -> None:
        """Feed samples into ``monitor`` until they end or it is cancelled."""
        await self.player.run(monitor)

    async def close(self) -> None:
        """Release nothing: the file is open only while it is read."""
