"""Where in time the screen is: now, or at an instant of the last hour, while sampling goes on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

from gpumon.app.events.event import LoggedEvent
from gpumon.app.feeds.ring import KEPT_SECONDS, Edge, Ring
from gpumon.text import units

if TYPE_CHECKING:
    from gpumon.app.feeds.player import Player
    from gpumon.app.monitor import Monitor

NOTICED_WITHIN_SECONDS = 10
"""So long after its time an event may be told: it is gone to once it is on the screen."""

EDGES: dict[Edge, str] = {
    "began": "watching since {since}",
    "age": f"{KEPT_SECONDS / 3600:g} hour is kept, since {{since}}",
    "size": "there was room for what came after {since}",
}


class Travel(Protocol):
    """What the keys of time move. Each returns what there is to tell in one line, mostly nothing."""

    def seek(self, time: float) -> str:
        """Go to an instant, in seconds since the epoch."""
        ...

    def seek_by(self, seconds: float) -> str:
        """Go so much on, or back where negative."""
        ...

    def to_event(self, step: int) -> str:
        """Go to the next event, or to the one before."""
        ...

    def to_told(self, number: int, time: float) -> str:
        """Go to where the event of a number is told."""
        ...

    def to_oldest(self) -> str:
        """Go back as far as is kept."""
        ...

    def to_newest(self) -> str:
        """Go to now, or to the end."""
        ...


class Past:
    """The instant that the screen shows of a monitor that goes on being fed."""

    def __init__(self, live: Monitor) -> None:
        self._live = live
        self._ring = Ring(live)
        self._shown: Monitor | None = None
        self._event_time: float | None = None
        """Of the event that was gone to last, for as long as one stays there."""
        self.at: float | None = None
        """The instant that is shown; ``None`` is now."""
        live.listen(self._ring.take, "looking back")

    @property
    def shown(self) -> Monitor:
        """What is drawn: the live monitor, or one as that was. An instant is reached when it is asked for."""
        if self.at is None:
            return self._live
        if self._shown is None:
            with self._live.fuses.guard("looking back"):
                place = self._ring.reach(self.at)
                self._shown = place.monitor if place is not None else None
        if self._shown is None:
            self.to_newest()
        return self._shown or self._live

    @property
    def ago_words(self) -> str:
        """How far back it is: ``23 min``."""
        return ago_words(self._live.state.now - (self._live.state.now if self.at is None else self.at))

    @property
    def mark(self) -> str:
        """The words of the band, nothing where it is now: ``23 min ago · 14:18:07``."""
        return "" if self.at is None else f"{self.ago_words} ago · {units.clock(self.at)}"

    def seek(self, time: float) -> str:
        """Go to an instant of the last hour; what comes after the newest sample is now."""
        oldest, self._event_time = self._ring.oldest, None
        if oldest is None:
            return "nothing has been seen yet"
        if time >= self._live.state.now:
            return self.to_newest()
        if (at := max(time, oldest)) != self.at:
            self.at, self._shown = at, None
        return self._edge_words("no further") if time < oldest else ""

    def seek_by(self, seconds: float) -> str:
        """Go so much on from what is shown."""
        if self.at is None and seconds > 0:
            return "this is now"
        return self.seek((self._live.state.now if self.at is None else self.at) + seconds)

    def to_event(self, step: int) -> str:
        """Go to the next event, or to the one before; after the last is now."""
        at = self._live.state.now if self.at is None else self.at
        base, oldest = at if self._event_time is None else self._event_time, self._ring.oldest
        events = sorted(_told(self._live), key=lambda event: event.time)
        if step > 0:
            found = next((event for event in events if event.time > base), None)
            return self.to_newest() if found is None else self.to_told(found.number, found.time)
        earlier = (event for event in reversed(events) if event.time < base)
        found = next((event for event in earlier if oldest is not None and event.time >= oldest), None)
        if found is None:
            return self._edge_words("no event before this")
        return self.to_told(found.number, found.time)

    def to_told(self, number: int, time: float) -> str:
        """Go to an event: to the first instant at which it is told."""
        words = self.seek(time)
        for later in range(1, NOTICED_WITHIN_SECONDS + 1):
            if self.at is None or any(event.number == number for event in _told(self.shown)):
                break
            self.seek(time + later)
        self._event_time = time
        return words

    def to_oldest(self) -> str:
        """Go back as far as samples are kept, and say how far that is."""
        return self.seek(float("-inf"))

    def to_newest(self) -> str:
        """Show what is known now."""
        self.at = self._shown = self._event_time = None
        self._ring.leave()
        return ""

    def _edge_words(self, what: str) -> str:
        since = units.clock(self._ring.oldest) if self._ring.oldest is not None else units.UNKNOWN
        return f"{what}: {EDGES[self._ring.edge].format(since=since)}"


class Replayed:
    """The same keys where a recording is played: they move the player."""

    def __init__(self, player: Player, monitor: Monitor) -> None:
        self._player = player
        self._monitor = monitor

    def seek(self, time: float) -> str:
        """Play on from an instant."""
        self._player.seek(time)
        return ""

    def seek_by(self, seconds: float) -> str:
        """Play on from so much later."""
        self._player.seek_by(seconds)
        return ""

    def to_event(self, step: int) -> str:
        """Play on from the next event, which may have to be found first, or from the one before."""
        if step > 0:
            self._player.seek_event()
            return ""
        position = self._player.position or 0.0
        before = position if self._player.paused else position - 2 * self._player.speed
        earlier = max((event.time for event in _told(self._monitor) if event.time < before), default=None)
        if earlier is not None:
            self._player.seek(earlier)
        return "" if earlier is not None else "no event before this"

    def to_told(self, number: int, time: float) -> str:
        """Play on from an event."""
        del number
        return self.seek(time)

    def to_oldest(self) -> str:
        """Play from the start."""
        if self._player.start is not None:
            self._player.seek(self._player.start)
        return ""

    def to_newest(self) -> str:
        """Go to the end."""
        if self._player.end is not None:
            self._player.seek(self._player.end)
        return ""


def ago_words(seconds: float) -> str:
    """Write how long ago something was, in whole units: ``12 s``, ``23 min``, ``1 h 04 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _told(monitor: Monitor) -> Iterator[LoggedEvent]:
    feed = monitor.events.feed
    groups: Iterable[Iterable[LoggedEvent]] = (feed.ongoing, feed.past)
    return (event for group in groups for event in group)
