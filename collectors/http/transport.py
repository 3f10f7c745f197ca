"""What touches ``httpx``: requests and exceptions. Imported at the first request, it takes 30 ms."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import httpx

from gpumon.collectors.http.client import FailureKind, RequestError
from gpumon.collectors.http.endpoint import Endpoint

NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}

PATHS_KEPT = 64
"""A router's paths name its models, of which there may be any number."""
LIMITS = httpx.Limits(max_connections=2, max_keepalive_connections=2, keepalive_expiry=30.0)
"""One poll, and one errand beside it."""

Send = Callable[[httpx.Request], Awaitable[httpx.Response]]
Close = Callable[[], Awaitable[None]]

_KINDS: tuple[tuple[tuple[type[Exception], ...], FailureKind], ...] = (
    ((httpx.ConnectTimeout,), "connect_timeout"),
    ((TimeoutError, httpx.TimeoutException), "timeout"),
    ((httpx.ProxyError,), "proxy"),
    ((httpx.NetworkError,), "reset"),
    ((httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError), "unusable"),
)


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

    async def drop_if_more_came(self, response: httpx.Response) -> None:
        """Close the connection of an answer behind which bytes stand that nobody asked for."""
        await close_if_more_came(response)

    def _request(self, method: str, path: str, body: bytes | None) -> httpx.Request:
        return httpx.Request(
            method, self._url + path, headers=self._headers, content=body, extensions=self._extensions
        )


def _headers(endpoint: Endpoint) -> httpx.Headers:
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


def _open(endpoint: Endpoint) -> tuple[Send, Close]:
    """Return what sends a request and gives its answer unread, and what closes the connections."""
    verify = verification(endpoint)
    if endpoint.is_loopback:
        # An environment's proxy is for the world outside. Without the client, which would look for one, for
        # cookies and for redirects, a request costs two thirds.
        direct = httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=LIMITS)
        if endpoint.namespace is not None:
            from gpumon.collectors.http.inside import Inside  # noqa: PLC0415 - few have containers

            direct._pool._network_backend = Inside(endpoint.namespace)  # noqa: SLF001 - no public way
        return direct.handle_async_request, direct.aclose
    try:
        client = httpx.AsyncClient(verify=verify, follow_redirects=False, limits=LIMITS)
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
    if isinstance(error, httpx.ConnectError):
        return _connect_kind(error)
    if isinstance(error, httpx.RemoteProtocolError):
        closed = answering or "disconnected" in str(error)
        return "reset" if closed else "not_http"
    return next((kind for types, kind in _KINDS if isinstance(error, types)), "internal")


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
