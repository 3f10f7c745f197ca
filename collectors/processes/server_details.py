"""Where a server listens and where its models are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from gpumon.collectors.ollama.host import parse_host
from gpumon.collectors.processes.command_line import router_address
from gpumon.collectors.processes.finder import Runner, Server
from gpumon.collectors.processes.namespaces import is_contained, is_unreachable
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.processes.sockets import Listener, listeners_of_user, own_listeners
from gpumon.collectors.processes.users import Users, owner_id
from gpumon.collectors.samples import ServerProcess

REFRESH_SECONDS = 10.0
"""Between looks at what a server tells of itself; its sockets take most of it."""
STARTING_SECONDS = 1.0
"""The same while it does not listen yet."""
_ROUTER_PORT = 8080
_FIRST_PERSON_ID = 1000
"""Users below are services (man 5 login.defs: ``UID_MIN``)."""


@dataclass
class _Known:
    """What was last read of a server."""

    due_at: float = 0.0
    status: Mapping[str, str] = field(default_factory=dict)
    urls: tuple[str, ...] = ()
    models_path: str | None = None
    other_namespace: bool = False
    contained: bool = False


class ServerReader:
    """Reads each server's details, seldom: they do not change while it runs."""

    def __init__(self, proc: Proc, users: Users) -> None:
        self._proc = proc
        self._users = users
        self._known: dict[tuple[int, int], _Known] = {}

    def read(
        self, servers: tuple[Server, ...], runners: tuple[Runner, ...], now: float
    ) -> tuple[ServerProcess, ...]:
        """Return the details as of ``now`` (seconds)."""
        before = self._known
        keys = [(server.pid, server.start_ticks) for server in servers]
        self._known = {key: before.get(key) or _Known() for key in keys}
        return tuple(
            self._server(server, self._known[key], runners, now)
            for key, server in zip(keys, servers, strict=True)
        )

    def _server(
        self, server: Server, known: _Known, runners: tuple[Runner, ...], now: float
    ) -> ServerProcess:
        own = [runner for runner in runners if runner.server_pid == server.pid]
        if now >= known.due_at:
            self._refresh(server, known, {runner.settings.port for runner in runners})
            known.due_at = now + (REFRESH_SECONDS if known.urls else STARTING_SECONDS)
        return ServerProcess(
            pid=server.pid,
            started=self._proc.started(server.start_ticks),
            kind=server.kind,
            user=self._users.owner(known.status),
            urls=known.urls,
            models_path=None if known.contained else _models(known, own),
            other_namespace=known.other_namespace,
        )

    def _refresh(self, server: Server, known: _Known, runner_ports: set[int | None]) -> None:
        try:
            known.status = self._proc.table(server.pid, "status")
        except OSError:
            return
        environment = self._environment(server.pid)
        user_id = owner_id(known.status)
        known.other_namespace = is_unreachable(self._proc, server.pid, known.status)
        known.contained = is_contained(self._proc, server.pid, known.status)
        known.urls = self._urls(server, environment, user_id, runner_ports)
        if server.kind == "ollama":
            known.models_path = self._models_path(environment, user_id)

    def _environment(self, pid: int) -> dict[str, str] | None:
        try:
            return self._proc.environment(pid)
        except OSError:
            return None

    def _urls(
        self,
        server: Server,
        environment: Mapping[str, str] | None,
        user_id: int | None,
        runner_ports: set[int | None],
    ) -> tuple[str, ...]:
        """Return where it listens: its own sockets, else what it was told, else its user's only socket."""
        try:
            return _distinct(own_listeners(self._proc, server.pid))
        except OSError:
            pass
        if (told := _told(server, environment)) is not None:
            return (told,)
        others = self._listeners_of_user(server.pid, user_id)
        candidates = _distinct(listener for listener in others if listener.port not in runner_ports)
        if len(candidates) == 1:
            return candidates
        return (parse_host("").url,) if server.kind == "ollama" else ()

    def _listeners_of_user(self, pid: int, user_id: int | None) -> list[Listener]:
        """Return the listeners of a service's own user; root and people run all sorts of things."""
        if user_id is None or not 0 < user_id < _FIRST_PERSON_ID:
            return []
        try:
            return listeners_of_user(self._proc, pid, user_id)
        except OSError:
            return []

    def _models_path(self, environment: Mapping[str, str] | None, user_id: int | None) -> str | None:
        """Return ``OLLAMA_MODELS``, else the default in the owner's home (ollama: envconfig, ``Models``)."""
        told = environment or {}
        if models := told.get("OLLAMA_MODELS", "").strip().strip("\"'"):
            return models
        home = told.get("HOME") or (self._users.home(user_id) if user_id is not None else None)
        return str(Path(home) / ".ollama" / "models") if home else None


def _models(known: _Known, runners: Iterable[Runner]) -> str | None:
    """Return the directory that a runner's blob is in, which is proof; else what was told."""
    for runner in runners:
        if runner.settings.blob and runner.settings.model_path:
            known.models_path = str(PurePath(runner.settings.model_path).parent.parent)
    return known.models_path


def _told(server: Server, environment: Mapping[str, str] | None) -> str | None:
    """Return the URL that the command line or the environment gives; ``None`` where neither can be read."""
    if server.kind == "llama_server":
        host, port = router_address(server.argv)
        return parse_host(f"{_bracketed(host or '')}:{port or _ROUTER_PORT}").url
    if server.kind == "ollama" and environment is not None:
        return parse_host(environment.get("OLLAMA_HOST", "")).url
    return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _distinct(listeners: Iterable[Listener]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(listener.url for listener in listeners))
