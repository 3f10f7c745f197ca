"""The server behind the meter: the client that asks it, and what goes wrong there in words."""

from __future__ import annotations

import http.cookiejar

import httpx

from gpumon.app.errors import GpumonError
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import FailureKind, RequestError
from gpumon.collectors.http.transport import failure_kind, verification

CONNECT_SECONDS = 5.0
KEEP_SECONDS = 2.0
"""How long an unused connection is kept: less than the 5 s after which a llama-server closes it."""

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
