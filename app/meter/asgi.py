"""The little of ASGI that the meter speaks: its types, a request's body, a short answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Tap = Callable[[bytes], None]


class ClientLeftError(Exception):
    """The client closed the connection."""


class ClientBody:
    """The body of a request, each piece handed on before the next is read; then, whether the client stays."""

    def __init__(self, receive: Receive, tap: Tap | None) -> None:
        self._receive = receive
        self._tap = tap
        self._wanted = True
        self._over = asyncio.Event()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the pieces; raise ``ClientLeftError`` when no more come."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            piece, more = message.get("body", b""), message.get("more_body", False)
            if self._tap is not None:
                self._tap(piece)
            if piece:
                yield piece
        self._over.set()

    def set_over(self) -> None:
        """Note that no more of the body is read, if there is any."""
        self._over.set()

    async def client_left(self) -> None:
        """Return when the client has gone, which can be told once the body is over."""
        await self._over.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def answer(
    send: Send, status: int, body: bytes, fields: Iterable[tuple[bytes, bytes]] = (), *, head: bool = False
) -> None:
    """Send a whole answer of JSON; to ``HEAD`` without its body."""
    own = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *fields]})
    await send({"type": "http.response.body", "body": b"" if head else body})
