"""The source ``server log``: the logs of the servers that run here. Nothing depends on it."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from gpumon.collectors.samples import LogSample, ServerProcess, SourceHealth
from gpumon.collectors.server_log.follower import Follower, Place
from gpumon.collectors.server_log.readers import BACKLOG_BYTES, UNIT, Journal, Reader, Tail
from gpumon.collectors.source import Clock
from gpumon.collectors.worker import Worker

PROC: Final = Path("/proc")
USUAL_FILES: Final = (
    Path("/opt/homebrew/var/log/ollama.log"),
    Path("/usr/local/var/log/ollama.log"),
    Path("/var/log/ollama.log"),
)
CONTAINER_LOGS: Final = (
    "/var/lib/docker/containers/{container}/{container}-json.log",
    "/var/lib/containers/storage/overlay-containers/{container}/userdata/ctr.log",
)
"""Where Docker (log driver json-file) and Podman (k8s-file) keep them, for root to read."""
_CONTAINER = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_OUTPUTS = (1, 2)
_CLOCK_SECONDS = 2.0
"""How far the start of a process, counted from boot, may be off the wall clock."""


def find_places(
    servers: Sequence[ServerProcess],
    named: Sequence[Path] = (),
    home: Path | None = None,
    proc: Path = PROC,
    usual_files: Sequence[Path] = USUAL_FILES,
) -> tuple[Place, ...]:
    """Return the logs to follow: those that the user named, or else those that can be found."""
    if named:
        return tuple(Place(path, named=True) for path in named)
    here = [server for server in servers if not server.other_namespace]
    written = [_place(file, server) for server in servers for file in _outputs(proc, server.pid)]
    written += [_place(file, server) for server in servers for file in _kept_by_container(proc, server.pid)]
    others = [server for server in here if not server.holds_model]
    usual = _usual([*_logs_beside_models(others, home), *usual_files], others)
    journal = [] if any(place.pid is None for place in written) else _journal(others, proc)
    return (*_different([*written, *usual]), *journal)


def nothing_found(servers: Sequence[ServerProcess]) -> SourceHealth:
    """Say why there is no log, and how to get one."""
    if not servers:
        return SourceHealth(state="absent", detail="no server is running, so there is no log to read")
    if all(server.other_namespace for server in servers):
        return SourceHealth(
            state="absent",
            detail="the server runs in a container; its log is no file that can be read from here",
            hint="docker logs -f NAME > FILE 2>&1, and name FILE in log_files of the settings",
        )
    return SourceHealth(
        state="absent",
        detail="the server writes its log to a terminal, or where it cannot be seen",
        hint="put > FILE 2>&1 behind the line that starts it, and name FILE in log_files of the settings",
    )


def _place(file: Path, server: ServerProcess) -> Place:
    """Return a log that a server writes; of one that holds its model itself it is known whose it is."""
    return Place(file, pid=server.pid if server.holds_model else None)


def _outputs(proc: Path, pid: int) -> Iterator[Path]:
    """Return the regular files that a process writes to, by the name that they have here.

    In a container they have one below its own root.
    """
    for output in _OUTPUTS:
        link = proc / str(pid) / "fd" / str(output)
        with contextlib.suppress(OSError, ValueError, StopIteration):
            file = link.readlink()
            inside = proc / str(pid) / "root" / file.relative_to("/")
            if _is_regular(link):
                yield next(path for path in (file, inside) if _is_same(path, link))


def _kept_by_container(proc: Path, pid: int) -> Iterator[Path]:
    """Return the log that its container's engine keeps: the control group names the container."""
    try:
        groups = (proc / str(pid) / "cgroup").read_text(errors="replace")
    except OSError:
        return
    for container in dict.fromkeys(_CONTAINER.findall(groups)):
        for pattern in CONTAINER_LOGS:
            file = Path(pattern.format(container=container))
            with contextlib.suppress(OSError):
                if os.access(file, os.R_OK) and _is_regular(file):
                    yield file


def _is_same(path: Path, link: Path) -> bool:
    with contextlib.suppress(OSError):
        return _identity(path) == _identity(link)
    return False


def _logs_beside_models(servers: Sequence[ServerProcess], home: Path | None) -> Iterator[Path]:
    """Return where the desktop app keeps its log: ``~/.ollama/logs``, next to ``~/.ollama/models``."""
    if home is not None:
        yield home / ".ollama" / "logs" / "server.log"
    for server in servers:
        if server.models_path:
            yield Path(server.models_path).parent / "logs" / "server.log"


def _usual(files: Sequence[Path], servers: Sequence[ServerProcess]) -> Iterator[Place]:
    """Return those that exist and, if a server is known, were written to since it started."""
    started = min((server.started for server in servers), default=None)
    for file in files:
        with contextlib.suppress(OSError):
            is_of_this_run = started is None or file.stat().st_mtime >= started - _CLOCK_SECONDS
            if is_of_this_run and _is_regular(file):
                yield Place(file, from_end=started is None)


def _journal(servers: Sequence[ServerProcess], proc: Path) -> Iterator[Place]:
    """Return the journal if Ollama is a service of systemd: its control group says so (man 7 cgroups)."""
    for server in servers:
        with contextlib.suppress(OSError):
            groups = (proc / str(server.pid) / "cgroup").read_text(errors="replace").splitlines()
            if any(group.endswith(f"/{UNIT}") and "/user@" not in group for group in groups):
                yield Place(since=server.started - _CLOCK_SECONDS)
                return


def _different(places: Sequence[Place]) -> list[Place]:
    """Drop places that are the same file as one before, and those that are gone meanwhile."""
    files: dict[tuple[int, int], Place] = {}
    for place in places:
        with contextlib.suppress(OSError):
            if place.path:
                files.setdefault(_identity(place.path), place)
    return list(files.values())


def _is_regular(file: Path) -> bool:
    return stat.S_ISREG(file.stat().st_mode)


def _identity(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_dev, status.st_ino


LOOK_SECONDS = 10.0
"""Between looks for logs while the servers stay the same."""
NO_LOG_SECONDS = 5.0
"""Between polls while there is no log."""

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
        """Return whether no log is followed, and these are the servers of which none was found."""
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
        await self._worker.finish(self._logs.close)
