"""Listening: the socket, and the server (uvicorn) that speaks HTTP on it until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from gpumon.app.listening import BACKLOG
from gpumon.app.meter.gateway import Gateway, build_client
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.source import SystemClock

HEAD_SECONDS = 10.0
"""How long the head of a request may take."""
LEAST_SECONDS = 2.0
"""How long a connection may wait, however many there are."""
MOST_FILES = 65_536
MOST_WAITING = 1000
LINGER_SECONDS = 1
"""How long answers under way may take to end when the meter is told to."""
KEEP_SECONDS = 75
"""How long a client's unused connection is kept."""
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Waiting:
    """The connections on which no request is under way, and since when; the longest wait comes first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._since: dict[ClientConnection, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: ClientConnection) -> None:
        """Admit one; where there are too many, the oldest are closed, so that others get their turn."""
        self._since.pop(connection, None)
        self._since[connection] = connection.loop.time()
        if len(self._since) > self._most and self._timer is None:
            self._timer = connection.loop.call_later(LEAST_SECONDS, self._trim, connection.loop)

    def remove(self, connection: ClientConnection) -> None:
        """Note that a request has come on a connection, or that it is closed."""
        self._since.pop(connection, None)

    def _trim(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the oldest, but none that has just come: its request may be here unread."""
        self._timer = None
        excess = list(self._since)[: max(0, len(self._since) - self._most)]
        for connection in excess:
            if loop.time() - self._since[connection] >= LEAST_SECONDS:
                connection.hang_up()
        if len(self._since) > self._most:
            self._timer = loop.call_later(LEAST_SECONDS, self._trim, loop)


class ClientConnection(H11Protocol):
    """A client's connection, on which a request does not take for ever to begin."""

    waiting: Waiting
    """Set in the subclass that a server makes for itself."""
    _head_timer: asyncio.TimerHandle | None = None
    _source: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Expect a request soon."""
        self.app = cast("Any", partial(cast("Any", self.app), sink=self))
        super().connection_made(cast("asyncio.Transport", _OpenTransport(transport, self.loop)))
        self._look()

    def data_received(self, data: bytes) -> None:
        """Take bytes; ten seconds after the first of a request the last of its head must have come."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Expect the next request; part of it may be here already."""
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self.waiting.remove(self)
        self._stop_timer()
        super().connection_lost(exc)

    def pass_on(self, data: bytes) -> None:
        """Write a part of an answer past the library that serves it (``Sink``)."""
        cast("_OpenTransport", self.transport).pass_on(data)

    def draw_from(self, source: asyncio.Transport | None) -> None:
        """Have ``source`` wait while the client does not read (``Sink``)."""
        self._source = source
        if source is not None and self.flow.write_paused:
            source.pause_reading()

    def pause_writing(self) -> None:
        """Wait for the client."""
        super().pause_writing()
        if self._source is not None:
            self._source.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self._source is not None:
            self._source.resume_reading()

    def hang_up(self) -> None:
        """Close, in the middle of a head too."""
        self.waiting.remove(self)
        self._stop_timer()
        self.transport.abort()

    def _look(self) -> None:
        """See whether a request is under way, or its head is yet to come."""
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            self.waiting.remove(self)
            self._stop_timer()
            return
        self.waiting.add(self)
        is_due = self.cycle is None or bool(self.conn.trailing_data[0])
        if is_due and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.hang_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _OpenTransport:
    """A transport that writes once per turn of the loop, and nothing any more once it closes.

    A read from the server holds many pieces, and a system call for each would cost more than all else that is
    done with it. For each attempt to write to a client that has left, asyncio prints a line.
    """

    def __init__(self, transport: asyncio.BaseTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._loop = loop
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write soon, unless the client has left."""
        if data and not self._transport.is_closing():
            if not self._pieces:
                self._loop.call_soon(self._flush)
            self._pieces.append(data)

    def pass_on(self, data: bytes) -> None:
        """Write at once what is a whole read of the server's already."""
        if self._pieces:
            self._pieces.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close after what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        pieces, self._pieces = self._pieces, []
        if pieces and not self._transport.is_closing():
            self._transport.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a transport has
        return getattr(self._transport, name)


class OutOfFiles:
    """Says once that no more connections can be taken, where asyncio would print a traceback for each."""

    def __init__(self) -> None:
        self._has_said = False

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Receive what goes wrong where nobody waits for it (asyncio: ``set_exception_handler``)."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in {errno.EMFILE, errno.ENFILE}:
            loop.default_exception_handler(context)
        elif not self._has_said:
            self._has_said = True
            words = "no more files may be opened (ulimit -n); some connections have to wait"
            sys.stderr.write(f"gpumon meter: {words}\n")


def most_waiting() -> int:
    """Return how many connections may wait; allow this process as many files as it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return max(1, min(soft // 4, MOST_WAITING))


class Server(uvicorn.Server):
    """Leaves the signals alone, so that who runs it decides what they do."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(upstream: Endpoint, listening: socket.socket, *, check_host: bool) -> None:
    """Forward what comes to ``listening`` until the process is told to end."""
    async with build_client(upstream) as client:
        gateway = Gateway(upstream, client, SystemClock().now, check_host=check_host)
        server = build_server(gateway, most_waiting())
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(OutOfFiles().handle)
        for ending in _ENDINGS:
            loop.add_signal_handler(ending, setattr, server, "should_exit", True)
        await server.serve(sockets=[listening])
        gateway.close()


def build_server(gateway: Gateway, waiting: int = MOST_WAITING) -> Server:
    """Return the server; it logs nothing, adds no header of its own and believes no proxy.

    ``waiting``: how many connections may be open on which no request is under way.
    """
    connection = type("Connection", (ClientConnection,), {"waiting": Waiting(waiting)})
    config = uvicorn.Config(
        gateway,
        http=connection,
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
