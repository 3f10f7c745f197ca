"""A server behind a gateway: says byte for byte what a test tells it to, and notes what it hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.fakes.http import Listening


@dataclass
class Heard:
    """A request whose head has been read; the body is still in ``reader``."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    reader: asyncio.StreamReader = field(repr=False)

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.fields if found.lower() == name]

    async def body(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        if self.all("transfer-encoding"):
            while size := int(await self.reader.readline(), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()
        left = int((self.all("content-length") or ["0"])[0])
        while left:
            piece = await self.reader.read(min(left, 65536))
            left -= len(piece)
            yield piece

    async def gone(self) -> None:
        """Return when the other side has closed the connection."""
        while await self.reader.read(65536):
            pass


Answer = Callable[[Heard, asyncio.StreamWriter], Awaitable[None]]


class FakeUpstream(Listening):
    """Listens while it is entered; ``answer`` answers every request, and the connection is closed after."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer
        self.heard: list[Heard] = []
        self.asked = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            method, target, _ = first.split(" ")
            fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
            heard = Heard(method, target, fields, reader)
            self.heard.append(heard)
            self.asked.set()
            await self.answer(heard, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def head(status: str = "200 OK", **fields: str) -> bytes:
    """Return the head of an answer; ``_`` in a name is ``-``."""
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items()]
    return f"HTTP/1.1 {status}\r\n{''.join(lines)}\r\n".encode()


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def saying(*parts: bytes) -> Answer:
    """Answer with these bytes once the request has been read."""

    async def answer(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await heard.body()
        for part in parts:
            writer.write(part)
            await writer.drain()

    return answer


def streaming(content_type: str, *pieces: bytes) -> Answer:
    """Answer with a chunked body, a chunk for each piece."""
    start = head(content_type=content_type, transfer_encoding="chunked")
    return saying(start, *(chunk(piece) for piece in pieces if piece), LAST_CHUNK)
