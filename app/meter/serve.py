"""Listening: the socket, and the server (uvicorn) that speaks HTTP on it until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from typing import NamedTuple

import uvicorn

from gpumon.app.errors import GpumonError
from gpumon.app.meter.gateway import Gateway, build_client
from gpumon.collectors.clock import SystemClock
from gpumon.collectors.http.endpoint import Endpoint, is_loopback_host

BACKLOG = 1024
LINGER_SECONDS = 1
"""How long answers under way may take to end when the meter is told to."""
KEEP_SECONDS = 75
"""How long a client's unused connection is kept."""
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
        """Tell whether only this machine reaches it."""
        return is_loopback_host(self.host)


def parse_address(text: str) -> Address:
    """Return the address of ``HOST:PORT``; without a host it is loopback.

    Raises:
        GpumonError: it is none.
    """
    host, colon, port = text.strip().rpartition(":")
    if not (colon and port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise GpumonError(f"--listen: {text!r} is not HOST:PORT, such as 127.0.0.1:11435")
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


class Server(uvicorn.Server):
    """Leaves the signals alone, so that who runs it decides what they do."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(upstream: Endpoint, listening: socket.socket, *, check_host: bool) -> None:
    """Forward what comes to ``listening`` until the process is told to end."""
    async with build_client(upstream) as client:
        server = build_server(Gateway(upstream, client, SystemClock().now, check_host=check_host))
        loop = asyncio.get_running_loop()
        for ending in _ENDINGS:
            loop.add_signal_handler(ending, setattr, server, "should_exit", True)
        await server.serve(sockets=[listening])


def build_server(gateway: Gateway) -> Server:
    """Return the server; it logs nothing, adds no header of its own and believes no proxy."""
    config = uvicorn.Config(
        gateway,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_SECONDS,
        timeout_graceful_shutdown=LINGER_SECONDS,
    )
    return Server(config)
