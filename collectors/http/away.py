"""The way to a server of another machine, by ``httpx``: proxies, certificates, many addresses.

``httpx``, which takes 30 ms to import, is imported for such servers alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import FailureKind, RequestError, connect_kind
from gpumon.collectors.http.here import KEPT_SECONDS, MOST_AT_ONCE, PATHS_KEPT, RawReply, verification


class Away:
    """The connections to one server."""

    def __init__(self, endpoint: Endpoint, headers: Mapping[str, str], connect_seconds: float) -> None:
        """Raise ``RequestError`` where a header, the CA file or the environment's proxy is unusable."""
        self._url = endpoint.address.url_to_connect
        try:
            self._headers = httpx.Headers(headers)
        except UnicodeError:
            raise RequestError("unusable") from None
        self._extensions = {"timeout": {"connect": connect_seconds}}
        self._gets: dict[str, httpx.Request] = {}
        self._client = _client(endpoint)

    async def ask(self, path: str, body: bytes | None, max_bytes: int) -> RawReply:
        """GET, or POST a body; read no more than ``max_bytes``; raise ``RequestError``."""
        answer = _Answer()
        try:
            request = self._get(path) if body is None else self._request("POST", path, body)
            return await answer.to(self._client, request, max_bytes)
        except RequestError:
            raise
        except Exception as error:
            kind = failure_kind(error, answer.has_begun)
            if kind == "internal":
                raise
            raise RequestError(kind) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _get(self, path: str) -> httpx.Request:
        request = self._gets.get(path)
        if request is None:
            if len(self._gets) == PATHS_KEPT:
                self._gets.clear()
            request = self._gets[path] = self._request("GET", path, None)
        return request

    def _request(self, method: str, path: str, body: bytes | None) -> httpx.Request:
        return httpx.Request(
            method, self._url + path, headers=self._headers, content=body, extensions=self._extensions
        )


class _Answer:
    """One answer being read."""

    def __init__(self) -> None:
        self.has_begun = False

    async def to(self, client: httpx.AsyncClient, request: httpx.Request, max_bytes: int) -> RawReply:
        response = await client.send(request, stream=True)
        self.has_begun = True
        try:
            raw = bytearray()
            async for chunk in response.aiter_raw():
                raw += chunk
                if len(raw) > max_bytes:
                    raise RequestError("too_large")
            return response.status_code, response.headers, bytes(raw)
        finally:
            await response.aclose()
            await close_if_more_came(response)


def _client(endpoint: Endpoint) -> httpx.AsyncClient:
    verify = verification(endpoint)
    limits = httpx.Limits(
        max_connections=MOST_AT_ONCE, max_keepalive_connections=MOST_AT_ONCE, keepalive_expiry=KEPT_SECONDS
    )
    try:
        return httpx.AsyncClient(verify=verify, follow_redirects=False, limits=limits)
    except (ImportError, ValueError, httpx.InvalidURL):
        raise RequestError("proxy") from None


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


def failure_kind(error: Exception, answering: bool) -> FailureKind:
    """Return the cause of what ``httpx`` raised; ``answering`` once the headers of an answer have come."""
    if isinstance(error, httpx.ConnectError):
        return connect_kind(error)
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
