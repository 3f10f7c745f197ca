"""The gateway, an ASGI application: every request goes on as it is, every answer comes back as it comes."""

from __future__ import annotations

import asyncio
import http.cookiejar
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx
import msgspec

from gpumon.app.errors import GpumonError
from gpumon.app.meter.book import Book, Reading, is_inference
from gpumon.app.meter.direct import CONNECT_SECONDS, KEEP_SECONDS, Answer, Lines, Sink
from gpumon.collectors.http.away import close_if_more_came, failure_kind
from gpumon.collectors.http.endpoint import Endpoint, is_address
from gpumon.collectors.http.failure import FailureKind, RequestError
from gpumon.collectors.http.here import verification
from gpumon.collectors.meter import REPORT_PATH, VERSION, MeterReport

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


Fields = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
VIA = (b"via", b"1.1 gpumon")
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")


def request_fields(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return what goes to the server; ``Host`` is left to the client library, ``Expect`` is answered here.

    A body of chunks has no length: a ``Content-Length`` beside them is not to be believed (RFC 9112, 6.3).
    """
    given = list(fields)
    own = {b"host", b"expect"} | ({b"content-length"} if has_field(given, b"transfer-encoding") else set())
    return [*_end_to_end(given, own), VIA]


def response_fields(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return what goes to the client, names in lower case as ASGI wants them.

    A ``Content-Length`` beside chunks is not to be believed (RFC 9112, 6.3).
    """
    given = [(name.lower(), value) for name, value in fields]
    return [*_end_to_end(given, {b"content-length"} if is_ambiguous(given) else set()), VIA]


def is_ambiguous(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a message announces its length twice: its connection is closed afterwards (RFC 9112, 6.3)."""
    given = list(fields)
    return has_field(given, b"content-length") and has_field(given, b"transfer-encoding")


def meters_passed(fields: Iterable[tuple[bytes, bytes]]) -> int:
    """Return how many meters a request has passed, by its ``Via`` (RFC 9110, 7.6.3)."""
    hops = b",".join(value for name, value in fields if name.lower() == b"via").split(b",")
    return sum(hop.split()[1:2] == [b"gpumon"] for hop in hops)


def has_field(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> bool:
    """Return whether a field is there; ``name`` is lower case."""
    return any(found.lower() == name for found, _ in fields)


def has_body(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a request announces a body (RFC 9112, 6)."""
    return any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in fields)


def is_own_host(fields: Iterable[tuple[bytes, bytes]], host_name: str) -> bool:
    """Return whether ``Host`` names this machine, or an address, or is not there.

    A web page can make a browser ask a loopback address under a name of its own (DNS rebinding). Ollama
    refuses such names (ollama: server/routes.go, allowedHostsMiddleware); it does not see them behind a
    gateway, which must do so in its place.
    """
    host = next((value.decode("latin-1") for name, value in fields if name.lower() == b"host"), "")
    name = _without_port(host.strip().lower()).rstrip(".")
    named = name in {"", "localhost", host_name.lower()} or name.endswith(_LOCAL_SUFFIXES)
    return named or is_address(name)


def _end_to_end(fields: Fields, own: set[bytes]) -> Fields:
    named = b",".join(value for name, value in fields if name.lower() == b"connection")
    dropped = HOP_BY_HOP | own | {option.strip().lower() for option in named.split(b",")}
    return [(name, value) for name, value in fields if name.lower() not in dropped]


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


NO_READ_TIMEOUT = httpx.Timeout(None, connect=CONNECT_SECONDS).as_dict()
"""A server says nothing for minutes while it loads a model or reads a prompt."""

_WORDS: dict[FailureKind, str] = {
    "refused": "connection refused",
    "no_such_host": "no such host",
    "no_route": "no route to it",
    "connect_timeout": f"no answer within {CONNECT_SECONDS:.0f} s",
    "reset": "it closed the connection without an answer",
    "not_http": "what it answers is not HTTP",
    "certificate": "its certificate is not trusted; name its CA with --ca-file",
    "tls": "no TLS connection",
    "proxy": "the environment's proxy does not work",
}


def build_client(upstream: Endpoint) -> httpx.AsyncClient:
    """Return a client that opens as many connections as there are requests.

    Raises:
        GpumonError: the CA file cannot be used.
    """
    try:
        verify = verification(upstream)
    except RequestError:
        raise GpumonError(f"cannot read certificates from {upstream.ca_file}") from None
    return httpx.AsyncClient(
        verify=verify,
        # An environment's proxy is for the world outside; it could not reach this machine's loopback.
        trust_env=not upstream.is_loopback,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - each request carries its own
        limits=httpx.Limits(max_connections=None, keepalive_expiry=KEEP_SECONDS),
        # A client's cookies are its own: none may be kept here and sent with another's request.
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=())),
    )


def failure_words(error: Exception, upstream: Endpoint) -> str:
    """Say in one line why there is no answer; without the exception's text, which may hold a header."""
    why = _WORDS.get(failure_kind(error, answering=False), "the request cannot be sent")
    return f"gpumon meter: no answer from {upstream.url}: {why}"


LOOP = b'{"error": "gpumon meter: the servers behind it lead back to it; check --upstream"}\n'
MOST_METERS = 2
"""A request that has passed so many is on a round trip: nobody counts one request three times."""
REFUSAL = b'{"error": "gpumon meter: this Host header is not for a server on loopback"}\n'


class Gateway:
    """Forwards to one server; ``check_host`` where only this machine is meant to reach it."""

    def __init__(
        self,
        upstream: Endpoint,
        client: httpx.AsyncClient,
        now: Callable[[], float],
        *,
        check_host: bool = True,
    ) -> None:
        self._upstream = upstream
        self._client = client
        self._now = now
        self._check_host = check_host
        self._host_name = socket.gethostname()
        self._book = Book()
        self._lines = Lines(upstream) if is_direct(upstream) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send, sink: Sink | None = None) -> None:
        """Answer one request; ``sink`` is the way past ``send``, where there is one."""
        head = scope["method"] == "HEAD"
        if is_ambiguous(scope["headers"]):
            send = _closing(send)
        if self._check_host and not is_own_host(scope["headers"], self._host_name):
            await answer(send, 403, REFUSAL, head=head)
        elif meters_passed(scope["headers"]) >= MOST_METERS:
            await answer(send, 508, LOOP, head=head)
        elif scope["path"] == REPORT_PATH:
            await answer(send, 200, self._report(), [(b"cache-control", b"no-store")], head=head)
        else:
            await self._forward(scope, receive, send, sink)

    def close(self) -> None:
        """Close the connections that wait for a request."""
        if self._lines is not None:
            self._lines.close()

    def _report(self) -> bytes:
        models = self._book.models(self._now())
        report = MeterReport(version=VERSION, upstream=self._upstream.url, models=models)
        return msgspec.json.encode(report) + b"\n"

    async def _forward(self, scope: Scope, receive: Receive, send: Send, sink: Sink | None) -> None:
        """Forward until the answer is over or the client has left, whatever comes first."""
        reading = Reading(self._book, self._now) if is_inference(scope["method"], scope["path"]) else None
        body = ClientBody(receive, reading.request_piece if reading else None)
        passing = asyncio.ensure_future(self._pass(scope, body, reading, send, sink))
        leaving = asyncio.ensure_future(body.client_left())
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            passing.cancel()
            leaving.cancel()
            await asyncio.wait({passing, leaving})
            if reading is not None:
                reading.end("cancelled")
        if not passing.cancelled():
            passing.result()

    async def _pass(
        self, scope: Scope, body: ClientBody, reading: Reading | None, send: Send, sink: Sink | None
    ) -> None:
        async with AsyncExitStack() as stack:
            try:
                answer = await self._ask(self._request(scope, body), stack, is_work=reading is not None)
            except ClientLeftError:
                return
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                await self._fail(error, reading, send)
                return
            body.set_over()
            whole = await _copy(answer, reading, send, sink if scope["http_version"] == "1.1" else None)
        if reading is not None:
            reading.end("finished" if whole else "failed")
        if whole:
            await send({"type": "http.response.body"})

    async def _ask(
        self, request: httpx.Request, stack: AsyncExitStack, *, is_work: bool
    ) -> Answer | httpx.Response:
        """Send a request on, by the short way where a model works on it; ``stack`` closes its answer."""
        if self._lines is not None and is_work:
            line, answer = await self._lines.ask(request)
            stack.callback(self._lines.release, line, answer)
            return answer
        response = await self._client.send(request, stream=True)
        stack.push_async_callback(close_if_more_came, response)
        stack.push_async_callback(response.aclose)
        return response

    async def _fail(self, error: Exception, reading: Reading | None, send: Send) -> None:
        if reading is not None:
            reading.end("failed")
        words = failure_words(error, self._upstream)
        await answer(send, 502, msgspec.json.encode({"error": words}) + b"\n")

    def _request(self, scope: Scope, body: ClientBody) -> httpx.Request:
        """Return the request to send; its path and query are the client's, byte for byte."""
        fields = request_fields(scope["headers"])
        given = [(name.encode("latin-1"), value.encode()) for name, value in self._upstream.headers.items()]
        fields += [(name, value) for name, value in given if not has_field(fields, name.lower())]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        target = self._upstream.address.path.encode() + scope["raw_path"] + query
        content = None
        if has_body(scope["headers"]):
            content = body.pieces()
        else:
            body.set_over()
        return httpx.Request(
            scope["method"],
            self._upstream.url,
            headers=fields,
            content=content,
            extensions={"timeout": NO_READ_TIMEOUT, "target": target},
        )


def _closing(send: Send) -> Send:
    """Return ``send`` with every answer saying that the connection ends with it."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    return send_and_close


def is_direct(upstream: Endpoint) -> bool:
    """Return whether a server is reached without TLS, and without a proxy of the environment's."""
    if upstream.address.scheme != "http":
        return False
    return upstream.is_loopback or "http" not in getproxies() or bool(proxy_bypass(upstream.address.host))


async def _copy(
    answer: Answer | httpx.Response, reading: Reading | None, send: Send, sink: Sink | None
) -> bool:
    """Send an answer on, each piece as it comes; return whether it came to its end.

    Without the end the server ends the client's answer as abruptly. Chunks go past ``send`` where they can.
    """
    given = answer.fields if isinstance(answer, Answer) else answer.headers.raw
    if reading is not None:
        reading.answer_begins(_value(given, b"content-type"), _value(given, b"content-encoding"))
    headers = response_fields(given)
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    try:
        if isinstance(answer, Answer) and answer.is_chunked and sink is not None:
            return await answer.relay(sink, reading.answer_piece if reading else None)
        async for piece in answer.pieces() if isinstance(answer, Answer) else answer.aiter_raw():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if reading is not None:
                reading.answer_piece(piece)
    except (httpx.HTTPError, OSError):
        return False
    return True


def _value(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """Return the value of a field; several are one, apart by commas; empty where there is none."""
    return ", ".join(value.decode("latin-1") for found, value in fields if found.lower() == name)
