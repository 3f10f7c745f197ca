"""What touches ``httpx``: its client and its exceptions. Imported at the first request, it takes 30 ms."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

import httpx

from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import FailureKind, RequestError

NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}

_KINDS: tuple[tuple[tuple[type[Exception], ...], FailureKind], ...] = (
    ((httpx.ConnectTimeout,), "connect_timeout"),
    ((TimeoutError, httpx.TimeoutException), "timeout"),
    ((httpx.ProxyError,), "proxy"),
    ((httpx.NetworkError,), "reset"),
)


def build_client(endpoint: Endpoint, connect_seconds: float, total_seconds: float) -> httpx.AsyncClient:
    """Build the client; raise ``RequestError`` where the CA file or the environment's proxy is unusable."""
    verify = verification(endpoint)
    try:
        return httpx.AsyncClient(
            headers={"User-Agent": "gpumon", **endpoint.headers, "Accept-Encoding": "identity"},
            verify=verify,
            # An environment's proxy is for the world outside; it could not reach this machine's loopback.
            trust_env=not endpoint.is_loopback,
            follow_redirects=False,
            timeout=httpx.Timeout(total_seconds, connect=connect_seconds),
            # One poll, and one errand beside it.
            limits=httpx.Limits(max_connections=2, max_keepalive_connections=2, keepalive_expiry=30.0),
        )
    except UnicodeError:
        raise RequestError("unusable") from None
    except (ImportError, ValueError, httpx.InvalidURL):
        raise RequestError("proxy") from None


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
    return next((kind for types, kind in _KINDS if isinstance(error, types)), "unusable")


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
