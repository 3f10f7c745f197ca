"""The short way: requests to a server over plain connections of our own, and answers passed on as they come.

An answer of a model comes in thousands of chunks. A library that reads them makes an event of each, and the
server side writes each anew: most of what a token costs. Here what the server sends is handed on as it is,
one write for each read; only where chunks begin and end is looked at. Heads are read and written by h11.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import AsyncIterator, Callable
from typing import Protocol, cast

import h11
import httpx

from gpumon.collectors.http.endpoint import Endpoint

CONNECT_SECONDS = 5.0
KEEP_SECONDS = 2.0
"""How long an unused connection is kept: less than the 5 s after which a llama-server closes it."""
MOST_UNREAD_BYTES = 256 * 1024
LONGEST_LINE_BYTES = 16 * 1024
"""Of the line before a chunk, and of all fields behind the last one."""

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*((?:;[^\r\n]*)?)\r\n")
_NO_BODY = frozenset({204, 304})

Tap = Callable[[bytes], None]
Fields = list[tuple[bytes, bytes]]


class Sink(Protocol):
    """A client's connection, past the library that serves it."""

    def pass_on(self, data: bytes) -> None:
        """Write, behind what was written before."""
        ...

    def draw_from(self, source: asyncio.Transport | None) -> None:
        """Have ``source`` wait where the client does not read as fast; ``None``: no longer."""
        ...


class Chunks:
    """Follows the chunks of a body (RFC 9112, 7.1) without taking them apart."""

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        """What came behind the end."""
        self._left = 0
        """Bytes of the chunk that have not come yet."""
        self._at_line_end = False
        self._in_trailer = False
        self._held = b""
        """The beginning of a line whose end has not come yet."""

    def take(self, data: bytes) -> tuple[bytes, list[bytes]]:
        """Take in the next bytes; return what to pass on, less the last chunk, and what of it is payload.

        Raises:
            ValueError: they are no chunks.
        """
        data, self._held = self._held + data if self._held else data, b""
        passed: list[bytes] = []
        payload: list[bytes] = []
        start = at = 0
        while at < len(data):
            if self._left:
                end = min(at + self._left, len(data))
                payload.append(data[at:end])
                self._left -= end - at
                self._at_line_end, at = not self._left, end
            elif self._at_line_end:
                if len(data) - at < 2:
                    break
                if data[at : at + 2] != b"\r\n":
                    raise ValueError("a chunk without an end")
                self._at_line_end, at = False, at + 2
            else:
                line = _CHUNK_LINE.match(data, at)
                if line is None:
                    _check_unended(data, at)
                    break
                self._left = int(line[1], 16)
                if not self._left:
                    passed.append(data[start:at])
                    self._trail(data[line.end() :])
                    return b"".join(passed), payload
                if line[2]:  # an extension is of one connection, and ends here
                    passed += [data[start:at], b"%x\r\n" % self._left]
                    start = line.end()
                at = line.end()
        self._held = data[at:]
        if not passed and not start and at == len(data):
            return data, payload
        return b"".join([*passed, data[start:at]]), payload

    def take_trailer(self, data: bytes) -> None:
        """Take in what comes behind the last chunk; its fields are dropped."""
        self._trail(self._held + data)

    @property
    def in_trailer(self) -> bool:
        """Whether the last chunk has come, and the end has not."""
        return self._in_trailer

    def _trail(self, data: bytes) -> None:
        self._in_trailer, self._held = True, b""
        if data.startswith(b"\r\n"):
            self.ended, self.rest = True, data[2:]
        elif (end := data.find(b"\r\n\r\n")) >= 0:
            self.ended, self.rest = True, data[end + 4 :]
        elif len(data) > LONGEST_LINE_BYTES:
            raise ValueError("too many fields behind the last chunk")
        else:
            self._held = data
        self._in_trailer = not self.ended


def _check_unended(data: bytes, at: int) -> None:
    """Raise ``ValueError`` where the line at ``at`` is none that may still end well."""
    if len(data) - at > LONGEST_LINE_BYTES or data.find(b"\n", at) >= 0:
        raise ValueError("no length before a chunk")


class Relay:
    """Passes the chunks of one answer on; ``done`` is whether they came to their end."""

    def __init__(self, sink: Sink, tap: Tap | None) -> None:
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.chunks = Chunks()
        self._sink = sink
        self._tap = tap

    def feed(self, data: bytes) -> None:
        """Take in what was read."""
        if self.done.done():
            self.chunks.rest += data[:1]  # nobody asked for it
            return
        try:
            if self.chunks.in_trailer:
                self.chunks.take_trailer(data)
            else:
                self._pass(data)
        except ValueError:
            self.end(whole=False)
        if self.chunks.ended:
            self.end(whole=True)

    def end(self, *, whole: bool) -> None:
        """Note the end; only the first counts."""
        if not self.done.done():
            self.done.set_result(whole)

    def _pass(self, data: bytes) -> None:
        passed, payload = self.chunks.take(data)
        if passed:
            self._sink.pass_on(passed)
        if self._tap is not None and payload:
            self._tap(payload[0] if len(payload) == 1 else b"".join(payload))


class Line(asyncio.Protocol):
    """One connection to the server: one request at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.http = h11.Connection(h11.CLIENT)
        self.is_idle = False
        self._relay: Relay | None = None
        self._ended = False
        self._broken = False
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._heard = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what comes of an answer; on an idle line nobody has asked for anything."""
        if self._relay is not None:
            self._relay.feed(data)
        elif self.is_idle:
            self.transport.abort()
        else:
            self.http.receive_data(data)
            if len(self.http.trailing_data[0]) > MOST_UNREAD_BYTES:
                self.transport.pause_reading()
            self._heard.set()

    def eof_received(self) -> None:
        """Note that nothing more comes; the transport closes itself."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end, and whether it was a good one."""
        self._broken = exc is not None
        self._end()
        self._can_write.set()

    def pause_writing(self) -> None:
        """Have the upload wait."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """Have the upload go on."""
        self._can_write.set()

    @property
    def is_open(self) -> bool:
        """Whether another request may be sent on it."""
        return not self._ended and not self.transport.is_closing()

    async def send(self, request: httpx.Request) -> None:
        """Send a request, each piece of its body once the one before has gone."""
        head = h11.Request(
            method=request.method, target=request.extensions["target"], headers=request.headers.raw
        )
        self._write(head)
        async for piece in cast("httpx.AsyncByteStream", request.stream):
            await self._can_write.wait()
            if self.transport.is_closing():
                return  # it may have answered all the same
            self._write(h11.Data(data=piece))
        self._write(h11.EndOfMessage())

    async def head(self) -> h11.Response:
        """Return the head of the answer."""
        while not isinstance(event := await self.event(), h11.Response):
            pass  # 1xx
        return event

    async def event(self) -> h11.Event:
        """Return what comes next of the answer; raise what ``httpx`` would."""
        try:
            while (event := self.http.next_event()) is h11.NEED_DATA:
                if self._broken:
                    raise httpx.ReadError("connection lost")
                if self._ended and self.http.their_state is h11.SEND_RESPONSE:
                    raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
                self._heard.clear()
                self.transport.resume_reading()
                await self._heard.wait()
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(self._words(error)) from None
        return cast("h11.Event", event)  # no PAUSED: nothing is upgraded

    async def relay(self, sink: Sink, tap: Tap | None) -> bool:
        """Pass the chunks of the answer on; return whether they came to their end."""
        self._relay = relay = Relay(sink, tap)
        sink.draw_from(self.transport)
        if came := self.http.trailing_data[0]:
            relay.feed(came)
        self.transport.resume_reading()
        if self._ended:
            relay.end(whole=False)
        try:
            whole = await relay.done
        finally:
            sink.draw_from(None)
        return whole

    def renew(self) -> bool:
        """Make ready for another request; return whether that may be."""
        relayed = self._relay is not None and self._relay.chunks.ended and not self._relay.chunks.rest
        read = self._relay is None and self.http.their_state is h11.DONE and not self.http.trailing_data[0]
        if self.http.our_state is not h11.DONE or not (relayed or read) or not self.is_open:
            return False
        self.http, self._relay, self.is_idle = h11.Connection(h11.CLIENT), None, True
        self.transport.resume_reading()
        return True

    def _words(self, error: h11.RemoteProtocolError) -> str:
        return "Server disconnected" if self._ended else str(error)

    def _write(self, event: h11.Event) -> None:
        if data := self.http.send(event):
            self.transport.write(data)

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            if self._relay is not None:
                self._relay.end(whole=False)
            else:
                self.http.receive_data(b"")
        self._heard.set()


class Answer:
    """The answer to one request, whose head has come."""

    def __init__(self, line: Line, head: h11.Response) -> None:
        self.status_code = head.status_code
        self.fields: Fields = [(bytes(name), bytes(value)) for name, value in head.headers.raw_items()]
        named = {(name.lower(), value.lower()) for name, value in self.fields}
        lengths = {name for name, _ in named} & {b"content-length", b"transfer-encoding"}
        self.closes = head.http_version < b"1.1" or (b"connection", b"close") in named or len(lengths) > 1
        self.is_chunked = (b"transfer-encoding", b"chunked") in named and self.status_code not in _NO_BODY
        self._line = line

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield its body as it comes."""
        while not isinstance(event := await self._line.event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    async def relay(self, sink: Sink, tap: Tap | None) -> bool:
        """Pass the chunks of its body on as they are; return whether they came to their end."""
        return await self._line.relay(sink, tap)


class Lines:
    """The connections to one server over plain HTTP; as many as there are requests."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._address = endpoint.address
        self._idle: list[Line] = []

    async def ask(self, request: httpx.Request) -> tuple[Line, Answer]:
        """Send a request and return the head of its answer; raise what ``httpx`` would."""
        line = self._kept() or await self._connect()
        try:
            await line.send(request)
            return line, Answer(line, await line.head())
        except h11.LocalProtocolError as error:
            line.transport.abort()
            raise httpx.LocalProtocolError(str(error)) from None
        except BaseException:
            line.transport.abort()
            raise

    def release(self, line: Line, answer: Answer) -> None:
        """Keep a connection for the next request, or close it at once: its answer is over, or not wanted."""
        if answer.closes or not line.renew():
            line.transport.abort()
            return
        self._idle.append(line)
        asyncio.get_running_loop().call_later(KEEP_SECONDS, self._expire, line)

    def close(self) -> None:
        """Close those that are idle."""
        while self._idle:
            self._idle.pop().transport.abort()

    def _kept(self) -> Line | None:
        while self._idle:
            line = self._idle.pop()
            if line.is_open:
                line.is_idle = False
                return line
        return None

    def _expire(self, line: Line) -> None:
        if line in self._idle and line.is_idle:
            self._idle.remove(line)
            line.transport.abort()

    async def _connect(self) -> Line:
        loop, address = asyncio.get_running_loop(), self._address
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, line = await loop.create_connection(
                    Line, address.host, address.port, happy_eyeballs_delay=0.25
                )
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError("no connection") from _one_of(error)
        return line


def _one_of(error: OSError | UnicodeError) -> Exception:
    """Return what went wrong with one address, where asyncio tells of several in words alone."""
    is_many = isinstance(error, OSError) and error.errno is None
    if is_many and f"[Errno {errno.ECONNREFUSED}]" in str(error):
        return ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    return error
