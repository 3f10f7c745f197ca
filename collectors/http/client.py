"""Bounded requests, and why one got no usable answer.

Requests are capped in bytes and seconds; no redirects are followed, and no proxy stands between us and
loopback. What speaks HTTP is imported at the first request.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

from msgspec import Struct

from gpumon.collectors.http import fields
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.source import log_defect

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


RawReply = tuple[int, Mapping[str, str], bytes]
"""Status, headers, and the body as it came."""


class Way(Protocol):
    """The connections to one server."""

    async def ask(self, path: str, body: bytes | None, max_bytes: int) -> RawReply:
        """GET, or POST where there is a body; no more is read than ``max_bytes``; raise ``RequestError``."""
        ...

    async def close(self) -> None:
        """Close them."""
        ...


class HttpClient:
    """Asks one endpoint. The way there is opened at the first request."""

    def __init__(self, endpoint: Endpoint, limits: TimeLimits | None = None) -> None:
        self.endpoint = endpoint
        self.limits = limits or TimeLimits()
        self._way: Way | None = None

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
        if self._way is not None:
            way, self._way = self._way, None
            await way.close()

    async def _request(self, path: str, body: bytes | None, max_bytes: int, seconds: float) -> Reply:
        try:
            if self._way is None:
                self._way = _way(self.endpoint, self.limits.connect)
            async with asyncio.timeout(seconds):
                status, headers, raw = await self._way.ask(path, body, max_bytes)
            return Reply(status, headers, _decoded(raw, headers.get("content-encoding", ""), max_bytes))
        except RequestError:
            raise
        except TimeoutError:
            raise RequestError("timeout") from None
        except Exception as error:
            # Its text may hold a header and is not kept.
            log_defect("a request", error)
            raise RequestError("internal") from None


def _way(endpoint: Endpoint, connect_seconds: float) -> Way:
    headers = _headers(endpoint)
    if endpoint.is_loopback or endpoint.is_here:
        # An environment's proxy is for the world outside.
        from gpumon.collectors.http.here import Here

        return Here(endpoint, headers, connect_seconds)
    from gpumon.collectors.http.away import Away

    return Away(endpoint, headers, connect_seconds)


def _headers(endpoint: Endpoint) -> dict[str, str]:
    """Return what is sent along; of two spellings of a name the endpoint's own replaces ours."""
    ours = {"Accept": "*/*", "Connection": "keep-alive", "User-Agent": "gpumon"}
    theirs = {name.lower() for name in endpoint.headers}
    headers = {name: value for name, value in ours.items() if name.lower() not in theirs}
    headers |= {name: value for name, value in endpoint.headers.items() if name.lower() != "accept-encoding"}
    headers["Accept-Encoding"] = "identity"
    if endpoint.address.zone and "host" not in theirs:
        # Which interface leads there is no business of the server's (RFC 6874, 4).
        headers["Host"] = endpoint.address.authority_without_zone
    return headers


def _decoded(raw: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo compression that was not asked for, up to the cap.

    A body may be several gzip members, one after the other (RFC 1952, 2.2); one that is cut short is bad.
    """
    if encoding.lower() in {"", "identity"} or not raw:
        return raw
    body = bytearray()
    for _ in range(MAX_GZIP_MEMBERS):
        member = zlib.decompressobj(GZIP_OR_ZLIB)
        try:
            body += member.decompress(raw, max_bytes + 1 - len(body))
        except zlib.error:
            raise RequestError("bad_encoding") from None
        if len(body) > max_bytes:
            raise RequestError("too_large")
        if not member.eof:
            raise RequestError("bad_encoding")
        raw = member.unused_data
        if not raw:
            return bytes(body)
    raise RequestError("bad_encoding")


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
