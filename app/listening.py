"""Where a command listens: the address as it is typed, and the socket that is bound to it."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from gpumon.app.errors import GpumonError
from gpumon.collectors.http.endpoint import is_loopback_host

BACKLOG = 100
"""So many connections are taken at once, before any of them is looked at."""


class Address(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Return the base URL of what listens there."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine reaches it."""
        return is_loopback_host(self.host)


def parse_address(text: str, example: str) -> Address:
    """Return the address of ``HOST:PORT``; without a host it is loopback.

    Raises:
        GpumonError: it is none.
    """
    host, colon, port = text.strip().rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise GpumonError(f"--listen: {text!r} is not HOST:PORT, such as {example}")
    return Address(host.strip("[]") or "127.0.0.1", int(port))


def bind(address: Address) -> socket.socket:
    """Return a socket bound to ``address``; port 0 is any free one.

    Raises:
        GpumonError: there is no such address here, or it is taken.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        raise GpumonError(f"cannot listen on {address.host}:{address.port}: {_why(error)}") from None


def _why(error: OSError | UnicodeError) -> str:
    """Return the system's words, without the address that ``socket`` adds to them."""
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        return os.strerror(error.errno).lower()
    return "no such name"
