"""Whom to ask: a runner's process, and the port that its command line names."""

from __future__ import annotations

from msgspec import Struct

from gpumon.collectors.http.endpoint import is_loopback_host
from gpumon.collectors.samples import RunnerProcess
from gpumon.collectors.servers.registry import runner_named

WILDCARDS = {None: "127.0.0.1", "": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound
"""The loopback address that reaches what listens everywhere."""


SOCKET = ".sock"
"""Ends a host that is none (llama-server: ``--host PATH.sock``)."""
ON_SOCKET = "listens on a Unix socket, not on a port"
NO_PORT = "it has no port that tells anything"
"""What is said of a process of a kind that cannot be asked."""


BY_ITSELF = "known by its process alone"
"""Why nothing is asked of one."""


class RunnerTarget(Struct, frozen=True):
    """One runner. (``pid``, ``started``) is its identity."""

    pid: int
    started: float
    kind: str
    host: str | None = None
    """Where it listens; ``None`` is loopback."""
    port: int | None = None
    other_namespace: bool = False
    """In a container: its loopback port is not ours."""
    sleep_idle_seconds: float | None = None
    """``--sleep-idle-seconds``: it may fall asleep and must not be kept awake; -1 is never."""
    entrance: str | None = None
    """Its network namespace, where that is another one and may be entered from here."""
    wants_key: bool = False
    """Whether it has refused to answer without a key where it is asked by its URL."""
    published: str | None = None
    """The URL at which one in a container is reached from here."""
    at_own_address: bool = False
    """Whether that is the container's own address: whoever may go inside asks it there."""

    @property
    def address(self) -> str:
        """Return the host to connect to."""
        return WILDCARDS.get(self.host) or self.host or "127.0.0.1"

    @property
    def url(self) -> str:
        """Return the base URL to ask."""
        if self.published is not None:
            return self.published
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}"

    @property
    def may_sleep(self) -> bool:
        """Whether it was started to fall asleep when idle."""
        return self.sleep_idle_seconds is not None and self.sleep_idle_seconds > 0

    @property
    def obstacle(self) -> str | None:
        """Return why it cannot or must not be asked, in words; ``None`` where it can."""
        if runner_named(self.kind).by_itself:
            return BY_ITSELF
        if self.published is not None:
            return None
        if self.other_namespace and self.entrance is None:
            return "in a container: its port cannot be reached from here"
        if self.port is None:
            return ON_SOCKET if (self.host or "").endswith(SOCKET) else "its port is not known"
        if not is_loopback_host(self.address):
            return "does not listen on the loopback address"
        return None


def target_of(process: RunnerProcess) -> RunnerTarget:
    """Return the target for a runner that the process collector has found."""
    settings = process.settings
    default_port = runner_named(process.kind).default_port if process.server_pid is None else None
    return RunnerTarget(
        pid=process.pid,
        started=process.started,
        kind=process.kind,
        host=settings.host,
        port=settings.port or default_port,
        other_namespace=process.other_namespace,
        published=next(iter(process.published), None) if process.other_namespace else None,
        at_own_address=process.at_own_address,
        sleep_idle_seconds=settings.sleep_idle_seconds,
    )
