"""Bounded requests, and why one got no usable answer.

Requests are capped in bytes and seconds; no redirects are followed, and no proxy stands between us and
loopback.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from gpumon.collectors.http import fields
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.source import log_defect

if TYPE_CHECKING:
    import httpx

    from gpumon.collectors.http.transport import Channel

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
    """Asks one endpoint. ``httpx`` is imported and the way there opened at the first request."""

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
            channel = self._channel or self._open()
            request = channel.get(path) if body is None else channel.post(path, body)
            async with asyncio.timeout(seconds):
                return await exchange.run(channel, request)
        except RequestError:
            raise
        except Exception as error:
            from gpumon.collectors.http.transport import failure_kind  # noqa: PLC0415

            # Whatever a transport raises is a failed request; its text may hold a header and is not kept.
            kind = failure_kind(error, exchange.answering)
            if kind == "internal":
                log_defect("a request", error)
            raise RequestError(kind) from None

    def _open(self) -> Channel:
        # Here, because the first frame need not wait for httpx to be imported.
        from gpumon.collectors.http.transport import Channel  # noqa: PLC0415

        self._channel = Channel(self.endpoint, self.limits.connect)
        return self._channel


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
            await channel.drop_if_more_came(response)

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
