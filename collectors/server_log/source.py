"""The source ``server log``: the logs of the servers that run here. Nothing depends on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from gpumon.collectors.clock import Clock
from gpumon.collectors.samples import LogSample, ServerProcess, SourceHealth
from gpumon.collectors.server_log.follower import Follower
from gpumon.collectors.server_log.journal import Journal
from gpumon.collectors.server_log.places import Place, find_places, nothing_found
from gpumon.collectors.server_log.reader import Reader
from gpumon.collectors.server_log.tail import BACKLOG_BYTES, Tail
from gpumon.collectors.worker import Worker

LOOK_SECONDS = 10.0
"""Between looks for logs while the servers stay the same."""
NO_LOG_SECONDS = 5.0
"""Between polls while there is no log."""
_CLOSE_SECONDS = 0.2

_Servers = Sequence[ServerProcess]
Find = Callable[[_Servers, Sequence[Path]], Sequence[Place]]
Open = Callable[[Place], Reader]


def find_here(servers: _Servers, named: Sequence[Path]) -> Sequence[Place]:
    """Find the logs on this machine."""
    with contextlib.suppress(RuntimeError):
        return find_places(servers, named, home=Path.home())
    return find_places(servers, named)


def open_place(place: Place) -> Reader:
    """Return the reader of a place; opens nothing yet."""
    if place.path is None:
        return Journal(since=place.since or 0.0)
    return Tail(place.path, backlog_bytes=0 if place.from_end else BACKLOG_BYTES)


class Logs:
    """All logs that are followed; used from one thread."""

    def __init__(self, clock: Clock, paths: Sequence[Path], find: Find, open_reader: Open) -> None:
        self._clock = clock
        self._paths = paths
        self._find = find
        self._open = open_reader
        self._servers: _Servers | None = None
        self._looked_at = clock.now()
        self._followers: dict[str, Follower] = {}

    def read(self, servers: _Servers, name: str) -> list[LogSample]:
        """Return how the source is doing, under ``name``, and what is new in each log."""
        now = self._clock.now()
        if servers != self._servers or now - self._looked_at >= LOOK_SECONDS:
            self._look(servers, now)
        samples = [follower.read(now) for follower in self._followers.values()]
        health = SourceHealth(state="serving") if samples else nothing_found(servers)
        return [LogSample(time=now, source=name, health=health), *samples]

    def awaits_nothing(self, servers: _Servers) -> bool:
        """Tell whether no log is followed, and these are the servers of which none was found."""
        return not self._followers and servers == self._servers

    def close(self) -> None:
        """Close all of them."""
        for follower in self._followers.values():
            follower.close()
        self._followers.clear()

    def _look(self, servers: _Servers, now: float) -> None:
        """Find the logs; go on with those that are followed already."""
        self._servers, self._looked_at = servers, now
        places = {place.source: place for place in self._find(servers, self._paths)}
        for source in self._followers.keys() - places.keys():
            self._followers.pop(source).close()
        for source, place in places.items():
            if source not in self._followers:
                self._followers[source] = Follower(place, self._open(place))


class LogSource:
    """Follows the logs that ``paths`` name, or else those of ``servers`` (asked at each poll).

    Each poll returns one sample under the name of the source, that says whether there is any log, and one for
    each log, under that log's name.
    """

    name = "server log"

    def __init__(
        self,
        clock: Clock,
        servers: Callable[[], Sequence[ServerProcess]],
        paths: Sequence[Path] = (),
        find: Find = find_here,
        open_reader: Open = open_place,
    ) -> None:
        self._servers = servers
        self._logs = Logs(clock, tuple(paths), find, open_reader)
        self._worker = Worker("server log")

    async def poll(self) -> Sequence[LogSample]:
        """Read what is new in all logs, off the event loop."""
        servers = self._now()
        return await self._worker.run(lambda: self._logs.read(servers, self.name))

    def delay(self, interval: float) -> float:
        """Return the user's interval; longer while there is no log, until there are other servers."""
        return max(interval, NO_LOG_SECONDS) if self._logs.awaits_nothing(self._now()) else interval

    def _now(self) -> tuple[ServerProcess, ...]:
        return tuple(self._servers())

    async def close(self) -> None:
        """Close the logs and end the thread; if a file system hangs, leave both to the end of the process."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._worker.run(self._logs.close)
        self._worker.close()
