"""What fake servers share: requests, answers, and a port that opens and closes."""

from __future__ import annotations

import asyncio
import json
import socket
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

JSON_TYPE = "application/json; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class Request:
    """One request that the server has read; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self, length: int | None = None) -> bytes:
        """Return the bytes on the wire; ``length`` overrides the true Content-Length."""
        lines = [f"HTTP/1.1 {self.status} Status"]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines.append(f"Content-Length: {len(self.body) if length is None else length}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


def as_json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


def text(status: int, words: str) -> Answer:
    return Answer(status, words.encode(), TEXT_TYPE)


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read one request; ``None`` at the end of the connection, ``ValueError`` for what is no HTTP."""
    letter = await reader.read(1)
    if not letter:
        return None
    if not letter.isalpha():
        raise ValueError("not HTTP")
    first = letter + await reader.readline()
    method, path, _ = first.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while line := (await reader.readline()).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    return Request(method, path, headers, await reader.readexactly(length))


class Listening(ABC):
    """Listens on loopback while it is entered; a connection is a task that ends with it."""

    BACKLOG = 1024
    host = "127.0.0.1"

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._server: asyncio.Server | None = None
        self._bound: socket.socket | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer what comes over one connection."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()

    async def listen(self) -> None:
        """Accept connections, on the same port as before."""
        opened = self._bound or self._opened()
        self._server = await asyncio.start_server(self._connected, sock=opened, backlog=self.BACKLOG)
        self.port = self._server.sockets[0].getsockname()[1]

    def bind(self) -> int:
        """Open the port before it runs, so that another process can hold it too; return the descriptor."""
        self._bound = self._bound or self._opened()
        self.port = self._bound.getsockname()[1]
        return self._bound.fileno()

    def _opened(self) -> socket.socket:
        return socket.create_server((self.host, self.port), backlog=self.BACKLOG)

    async def refuse(self) -> None:
        """Close the port and every connection: what a stopped server looks like."""
        if self._server is not None:
            self._server.close()
            self._server = None
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
