"""Bounded requests, and why one got no usable answer.

Requests are capped in bytes and seconds; no redirects are followed, and no proxy stands between us and
loopback. ``httpx``, which takes 30 ms to import, is imported at the first request.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from gpumon.collectors.http import fields
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.source import log_defect

if TYPE_CHECKING:
    import httpx

FailureKind = Literal[
    "refused",  # nothing listens on the port
    "no_such_host",  # the name does not resolve
    "no_route",  # the network cannot reach the address
    "connect_timeout",  # no answer to the attempt to connect
    "timeout",  # connected, no complete answer
    "reset",  # connection closed or reset before the answer was complete
    "not_http",  # what came back is not HTTP
    "too_large",  # more bytes than any such answer has
    "bad_encoding",  # compressed in a way that cannot be undone
    "certificate",  # the certificate is not trusted
    "tls",  # no TLS on that port
    "ca_file",  # the certificates to trust cannot be read
    "proxy",  # the environment's proxy cannot be used
    "unusable",  # this address or header cannot be sent at all
    "internal",  # a defect of ours; the log has it
]


class RequestError(Exception):
    """A request that got no usable answer. Its text is ``kind`` alone: it cannot leak a secret."""

    def __init__(self, kind: FailureKind) -> None:
        super().__init__(kind)
        self.kind: FailureKind = kind


MIB = 1024**2
MAX_LISTING_BYTES = 8 * MIB
"""Cap of an answer of ``/api/ps``: 1,000 loaded models are 0.5 MiB."""
MAX_DETAIL_BYTES = 16 * MIB
"""Cap of an answer of ``/api/show`` and ``/api/tags``."""
MAX_PROBE_BYTES = 64 * 1024
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
MAX_GZIP_MEMBERS = 64
"""A body of more is not an answer but an attack on whoever unpacks it."""


class Reply(Struct, frozen=True):
    """A complete answer; ``headers`` ignore case, the body is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class TimeLimits(Struct, frozen=True):
    """How long a request may take, in seconds."""

    connect: float = 2.0
    total: float = 3.0
    probe: float = 1.0
    """For the requests that only tell what is at the other end."""


class HttpClient:
    """Asks one endpoint. The way there is opened at the first request."""

    def __init__(self, endpoint: Endpoint, limits: TimeLimits | None = None) -> None:
        self.endpoint = endpoint
        self.limits = limits or TimeLimits()
        self._channel: Channel | None = None

    async def get(self, path: str, max_bytes: int) -> Reply:
        """GET ``path``; raise ``RequestError``."""
        return await self._request(path, None, max_bytes, self.limits.total)

    async def probe(self, path: str) -> Reply:
        """GET a small answer soon or not at all; raise ``RequestError``."""
        return await self._request(path, None, MAX_PROBE_BYTES, self.limits.probe)

    async def post(self, path: str, body: bytes, max_bytes: int) -> Reply:
        """POST JSON to ``path``; raise ``RequestError``."""
        return await self._request(path, body, max_bytes, self.limits.total)

    async def close(self) -> None:
        """Close the connections."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close()

    async def _request(self, path: str, body: bytes | None, max_bytes: int, seconds: float) -> Reply:
        exchange = _Exchange(max_bytes)
        try:
            channel = self._channel
            if channel is None:
                channel = self._channel = Channel(self.endpoint, self.limits.connect)
            request = channel.get(path) if body is None else channel.post(path, body)
            async with asyncio.timeout(seconds):
                return await exchange.run(channel, request)
        except RequestError:
            raise
        except Exception as error:
            # Whatever a transport raises is a failed request; its text may hold a header and is not kept.
            kind = failure_kind(error, exchange.answering)
            if kind == "internal":
                log_defect("a request", error)
            raise RequestError(kind) from None


class _Exchange:
    """One answer being read, never more than ``max_bytes`` of it."""

    def __init__(self, max_bytes: int) -> None:
        self.answering = False
        self._max_bytes = max_bytes

    async def run(self, channel: Channel, request: httpx.Request) -> Reply:
        response = await channel.send(request)
        self.answering = True
        try:
            return await self._read(response)
        finally:
            await response.aclose()
            await close_if_more_came(response)

    async def _read(self, response: httpx.Response) -> Reply:
        raw = bytearray()
        async for chunk in response.aiter_raw():
            raw += chunk
            self._check(len(raw))
        encoding = response.headers.get("content-encoding", "identity").lower()
        return Reply(response.status_code, response.headers, self._decoded(bytes(raw), encoding))

    def _decoded(self, raw: bytes, encoding: str) -> bytes:
        """Undo compression that was not asked for, up to the cap, which ``httpx`` has not.

        A body may be several gzip members, one after the other (RFC 1952, 2.2); one that is cut short is bad.
        """
        if encoding in {"", "identity"} or not raw:
            return raw
        body = bytearray()
        for _ in range(MAX_GZIP_MEMBERS):
            member = zlib.decompressobj(GZIP_OR_ZLIB)
            try:
                body += member.decompress(raw, self._max_bytes + 1 - len(body))
            except zlib.error:
                raise RequestError("bad_encoding") from None
            self._check(len(body))
            if not member.eof:
                raise RequestError("bad_encoding")
            raw = member.unused_data
            if not raw:
                return bytes(body)
        raise RequestError("bad_encoding")

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise RequestError("too_large")


PATHS_KEPT = 64
"""A router's paths name its models, of which there may be any number."""


class Channel:
    """The way to one endpoint, and its requests, each built once."""

    def __init__(self, endpoint: Endpoint, connect_seconds: float) -> None:
        """Raise ``RequestError`` where the CA file or the environment's proxy is unusable."""
        self._url = endpoint.address.url_to_connect
        self._headers = _headers(endpoint)
        self._extensions = {"timeout": {"connect": connect_seconds}}
        self._gets: dict[str, httpx.Request] = {}
        self.send, self.close = _open(endpoint)

    def get(self, path: str) -> httpx.Request:
        """Return the request for ``path``; raise what ``httpx`` raises of an address that is none."""
        request = self._gets.get(path)
        if request is None:
            if len(self._gets) == PATHS_KEPT:
                self._gets.clear()
            request = self._gets[path] = self._request("GET", path, None)
        return request

    def post(self, path: str, body: bytes) -> httpx.Request:
        """Return a request that sends ``body``."""
        return self._request("POST", path, body)

    def _request(self, method: str, path: str, body: bytes | None) -> httpx.Request:
        import httpx

        return httpx.Request(
            method, self._url + path, headers=self._headers, content=body, extensions=self._extensions
        )


def _headers(endpoint: Endpoint) -> httpx.Headers:
    import httpx

    try:
        headers = httpx.Headers({"Accept": "*/*", "Connection": "keep-alive", "User-Agent": "gpumon"})
        headers.update(endpoint.headers)
    except UnicodeError:
        raise RequestError("unusable") from None
    headers["Accept-Encoding"] = "identity"
    if endpoint.address.zone:
        # Which interface leads there is no business of the server's (RFC 6874, 4).
        headers.setdefault("Host", endpoint.address.authority_without_zone)
    return headers


Send = Callable[["httpx.Request"], Awaitable["httpx.Response"]]
Close = Callable[[], Awaitable[None]]


def _open(endpoint: Endpoint) -> tuple[Send, Close]:
    """Return what sends a request and gives its answer unread, and what closes the connections."""
    import httpx

    verify = verification(endpoint)
    # One poll, and one errand beside it.
    limits = httpx.Limits(max_connections=2, max_keepalive_connections=2, keepalive_expiry=30.0)
    if endpoint.is_loopback or endpoint.is_here:
        # An environment's proxy is for the world outside. Without the client, which would look for one, for
        # cookies and for redirects, a request costs two thirds.
        direct = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=limits)
        if endpoint.namespace is not None:
            from gpumon.collectors.http.inside import Inside

            direct._pool._network_backend = Inside(endpoint.namespace)  # noqa: SLF001 - no public way
        return direct.handle_async_request, direct.aclose
    try:
        client = httpx.AsyncClient(verify=verify, follow_redirects=False, limits=limits)
    except (ImportError, ValueError, httpx.InvalidURL):
        raise RequestError("proxy") from None
    return partial(client.send, stream=True), client.aclose


_LAYERS = ("_stream", "_httpcore_stream", "_connection")
"""From the stream of an answer of ``httpx`` to the connection of ``httpcore`` that it came over."""


async def close_if_more_came(response: httpx.Response) -> None:
    """Close the connection of an answer that was read, and behind which bytes stand that nobody asked for.

    They would be taken for the answer to the next request. What comes later, ``httpcore`` sees itself.
    """
    if _bytes_behind(response):
        await response.extensions["network_stream"].aclose()


def _bytes_behind(response: httpx.Response) -> bytes:
    """Return what was read of a connection past the end of an answer.

    No public name leads there; where a release renames one, a test fails, and nothing is seen here.
    """
    layer: object = response.stream
    while layer is not None and not hasattr(layer, "_h11_state"):
        layer = next((getattr(layer, name) for name in _LAYERS if hasattr(layer, name)), None)
    state = getattr(layer, "_h11_state", None)
    return b"" if state is None else bytes(state.trailing_data[0])


def verification(endpoint: Endpoint) -> ssl.SSLContext | bool:
    """Return what ``httpx`` wants; reading the certificate store costs 40 ms and is left out for http.

    Raise ``RequestError`` where the CA file is unusable.
    """
    if endpoint.address.scheme != "https" or endpoint.insecure:
        return False
    if endpoint.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=endpoint.ca_file)
    except (OSError, ssl.SSLError):
        raise RequestError("ca_file") from None


def failure_kind(error: Exception, answering: bool) -> FailureKind:
    """Return the cause of what ``httpx`` raised; ``answering`` once the headers of an answer have come."""
    import httpx

    if isinstance(error, httpx.ConnectError):
        return _connect_kind(error)
    if isinstance(error, httpx.RemoteProtocolError):
        closed = answering or "disconnected" in str(error)
        return "reset" if closed else "not_http"
    kinds: tuple[tuple[tuple[type[Exception], ...], FailureKind], ...] = (
        ((httpx.ConnectTimeout,), "connect_timeout"),
        ((TimeoutError, httpx.TimeoutException), "timeout"),
        ((httpx.ProxyError,), "proxy"),
        ((httpx.NetworkError,), "reset"),
        ((httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError), "unusable"),
    )
    return next((kind for types, kind in kinds if isinstance(error, types)), "internal")


NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}


def _connect_kind(error: Exception) -> FailureKind:
    kinds = [kind for cause in _causes(error) if (kind := _os_kind(cause))]
    return kinds[0] if kinds else "no_route"


def _os_kind(cause: BaseException) -> FailureKind | None:
    match cause:
        case ssl.SSLCertVerificationError():
            return "certificate"
        case ssl.SSLError():
            return "tls"
        case socket.gaierror() | UnicodeError():
            return "no_such_host"
        case ConnectionRefusedError():
            return "refused"
        case OSError() if cause.errno in NO_ROUTE:
            return "no_route"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and everything that it was raised from, groups included."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _causes(cause)


MAX_WORDS = 200


def error_message(reply: Reply, endpoint: Endpoint) -> str | None:
    """Return a server's own words, ``{"error": …}``, on one line and without our secrets."""
    values = fields.read(reply.body, fields.OBJECT)
    message = fields.field(values, "error", fields.LONG_TEXT) if values else None
    return one_line(endpoint.without_secrets(message)) or None if message else None


def is_html(reply: Reply) -> bool:
    """Whether a page for people came back instead of data."""
    return "html" in reply.headers.get("content-type", "").lower() or reply.body.lstrip()[:1] == b"<"


def status_words(status: int) -> str:
    """Return ``HTTP 502 (Bad Gateway)``."""
    try:
        return f"HTTP {status} ({HTTPStatus(status).phrase})"
    except ValueError:
        return f"HTTP {status}"


def one_line(words: str) -> str:
    """Return words of others on one line, cut where they are long."""
    line = " ".join(words[: 4 * MAX_WORDS].split())
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"
