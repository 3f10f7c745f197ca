"""Where a server is: whether two URLs lead to one place, and whether that is this machine."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from gpumon.collectors.http.endpoint import is_loopback_host, parse_host
from gpumon.collectors.samples import ServerProcess

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


LOG_SEARCH = "server log"
"""The source that looks for logs: it says how that goes, and is none itself."""
LOG_PREFIX = "log "
"""How the names of logs begin."""


@lru_cache(maxsize=256)
def place(url: str) -> str:
    """Return what two URLs have in common that lead to one server: the usual loopback hosts are one."""
    address = parse_host(url)
    host = "loopback" if address.host.lower() in _THIS_MACHINE else address.host.lower()
    return f"{host}:{address.port}{address.path}"


@lru_cache(maxsize=256)
def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine by its host alone."""
    return is_loopback_host(parse_host(url).host)


PROCESS_PREFIX = "process "
"""Stands before a PID in place of a URL, where a process of this machine is reached by none."""


def is_local(url: str, servers: Iterable[ServerProcess]) -> bool:
    """Whether a URL leads to this machine: by its host, or because a server here listens there."""
    if is_loopback(url) or url.startswith(PROCESS_PREFIX):
        return True
    return place(url) in {place(own) for server in servers for own in server.reached}
