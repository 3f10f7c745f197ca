"""Where a server listens and where its models are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePath

from msgspec import Struct, field

from gpumon.collectors.http.endpoint import parse_host
from gpumon.collectors.processes.finder import Runner, Server
from gpumon.collectors.processes.owners import Users, is_contained, is_unreachable, owner_id
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.processes.published import Publications, Reached
from gpumon.collectors.processes.sockets import PROVEN_SECONDS, Listener, listeners_of_user, own_listeners
from gpumon.collectors.samples import ServerProcess
from gpumon.collectors.servers.registry import kind_named

Urls = tuple[str, ...]

REFRESH_SECONDS = 10.0
"""Between looks at what a server tells of itself; its sockets take most of it."""
STARTING_SECONDS = 1.0
"""The same while it has just started and does not listen yet."""
START_UP_SECONDS = 10.0
"""What has not listened so long after it was first seen is not about to."""
_FIRST_PERSON_ID = 1000
"""Users below are services (man 5 login.defs: ``UID_MIN``)."""


class _Known(Struct):
    """What was last read of a server."""

    first_seen: float
    due_at: float = 0.0
    status: Mapping[str, str] = field(default_factory=dict)
    urls: Urls = ()
    proven: bool = False
    """Whether ``urls`` are those of its own sockets, and not only where it is likely to listen."""
    starting: bool = False
    """Whether its sockets could be seen, and none listens yet."""
    models_path: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    other_namespace: bool = False
    contained: bool = False
    reached: Reached = Reached()


class ServerReader:
    """Reads each server's details, seldom: they do not change while it runs."""

    def __init__(self, proc: Proc, users: Users, publications: Publications | None = None) -> None:
        self._proc = proc
        self._users = users
        self._publications = publications or Publications(proc)
        self._known: dict[tuple[int, int], _Known] = {}

    def read(
        self, servers: tuple[Server, ...], runners: tuple[Runner, ...], now: float
    ) -> tuple[ServerProcess, ...]:
        """Return the details as of ``now`` (seconds)."""
        before = self._known
        keys = [(server.pid, server.start_ticks) for server in servers]
        self._known = {key: before.get(key) or _Known(first_seen=now) for key in keys}
        ports = {runner.settings.port for runner in runners}
        for server, known in zip(servers, self._known.values(), strict=True):
            if now >= known.due_at:
                self._refresh(server, known, ports)
                known.reached = self._reached(server.pid, known, now)
                known.due_at = now + _pause_seconds(known, now)
        undisputed = _undisputed(self._known.values())
        return tuple(
            self._server(server, known, runners, urls)
            for server, known, urls in zip(servers, self._known.values(), undisputed, strict=True)
        )

    def _server(
        self, server: Server, known: _Known, runners: tuple[Runner, ...], urls: Urls
    ) -> ServerProcess:
        own = [runner for runner in runners if runner.server_pid == server.pid]
        return ServerProcess(
            pid=server.pid,
            started=self._proc.started(server.start_ticks),
            kind=server.kind,
            user=self._users.owner(known.status),
            urls=urls,
            models_path=None if known.contained else _models(known, own),
            other_namespace=known.other_namespace,
            published=known.reached.urls,
            at_own_address=known.reached.at_own_address,
            settings=dict(known.settings),
        )

    def _reached(self, pid: int, known: _Known, now: float) -> Reached:
        """Return where one in a container is reached from here."""
        if not known.other_namespace:
            return Reached()
        ports = (parse_host(url).port for url in known.urls)
        return self._publications.find(pid, tuple(dict.fromkeys(ports)), now)

    def _refresh(self, server: Server, known: _Known, runner_ports: set[int | None]) -> None:
        try:
            known.status = self._proc.table(server.pid, "status")
        except OSError:
            return
        environment = self._environment(server)
        user_id = owner_id(known.status)
        known.other_namespace = is_unreachable(self._proc, server.pid, known.status)
        known.contained = is_contained(self._proc, server.pid, known.status)
        own = self._own_urls(server.pid, runner_ports)
        known.proven, known.starting = bool(own), own == ()
        kind = kind_named(server.kind)
        told = kind.told_url(server.argv, environment) if own and len(own) > 1 else None
        known.urls = _told_first(own, told) or self._likely_urls(server, environment, user_id, runner_ports)
        home = self._users.home(user_id) if user_id is not None else None
        known.models_path = kind.models_path(environment or {}, str(home) if home else None)
        kept = kind.kept_variables
        known.settings = {name: value for name, value in (environment or {}).items() if name in kept}

    def _environment(self, server: Server) -> dict[str, str] | None:
        try:
            return self._proc.environment(server.pid, kind_named(server.kind).environment)
        except OSError:
            return None

    def _own_urls(self, pid: int, runner_ports: set[int | None]) -> Urls | None:
        """Return where it listens by its own sockets; ``None`` where they may not be seen."""
        try:
            return _distinct(own_listeners(self._proc, pid), runner_ports)
        except OSError:
            return None

    def _likely_urls(
        self,
        server: Server,
        environment: Mapping[str, str] | None,
        user_id: int | None,
        runner_ports: set[int | None],
    ) -> Urls:
        """Return where it listens, or will: where it was told to, else its user's only socket."""
        kind = kind_named(server.kind)
        if (told := kind.told_url(server.argv, environment)) is not None:
            return (told,)
        candidates = _distinct(self._listeners_of_user(server.pid, user_id), runner_ports)
        if len(candidates) == 1:
            return candidates
        return (kind.default_url,) if kind.default_url else ()

    def _listeners_of_user(self, pid: int, user_id: int | None) -> list[Listener]:
        """Return the listeners of a service's own user; root and people run all sorts of things."""
        if user_id is None or not 0 < user_id < _FIRST_PERSON_ID:
            return []
        try:
            return listeners_of_user(self._proc, pid, user_id)
        except OSError:
            return []


def _pause_seconds(known: _Known, now: float) -> float:
    if known.starting and now - known.first_seen < START_UP_SECONDS:
        return STARTING_SECONDS
    return PROVEN_SECONDS if known.proven else REFRESH_SECONDS


def _models(known: _Known, runners: Iterable[Runner]) -> str | None:
    """Return the directory that a runner's blob is in, which is proof; else what was told."""
    for runner in runners:
        if runner.settings.blob and runner.settings.model_path:
            known.models_path = str(PurePath(runner.settings.model_path).parent.parent)
    return known.models_path


def _distinct(listeners: Iterable[Listener], runner_ports: set[int | None]) -> Urls:
    """Return the URLs, less those of runners, which may have the same user or have left a socket behind."""
    return tuple(dict.fromkeys(one.url for one in listeners if one.port not in runner_ports))


def _told_first(urls: Urls | None, told: str | None) -> Urls:
    """Return the URLs with the one first that a server was told: others may be of another protocol."""
    return tuple(sorted(urls or (), key=lambda url: url != told))


def _undisputed(servers: Iterable[_Known]) -> list[Urls]:
    """Return where each listens, without what was only likely and is another's too.

    Two services of one user that may not be looked into are both told from its sockets, or by the default.
    """
    servers = list(servers)
    holders = Counter(url for server in servers if not server.other_namespace for url in server.urls)
    return [
        server.urls if server.proven else tuple(url for url in server.urls if holders[url] <= 1)
        for server in servers
    ]
