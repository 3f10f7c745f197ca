"""What came back from a server's address, told apart: a state, what is wrong in words, and the next step.

Shared by all kinds: what differs is what a kind says of itself (``label``, ``start_hint``, ``address_hint``).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from gpumon.collectors.http.client import Reply, error_message, is_html, one_line, status_words
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import FailureKind
from gpumon.collectors.samples import SourceHealth, SourceState
from gpumon.collectors.servers.kind import ServerKind

OWN_ERRORS = {408, 429, 499}
"""Client-side statuses by which a server says that it could not do it, not that it does not know the path."""

_FAILURES: dict[FailureKind, tuple[SourceState, str, str]] = {
    "no_such_host": ("unreachable", "no such host: {host}", "check the name in --url{variable}"),
    "no_route": ("unreachable", "no route to {host}", "check the network and the address"),
    "reset": (
        "failing",
        "{authority} closed the connection unanswered",
        "see {own} own log; check the port",
    ),
    "not_http": ("foreign", "another program answers at {authority}: not HTTP", "{address_hint}"),
    "too_large": ("nonsense", "the answer is far too large", "{address_hint}"),
    "bad_encoding": ("nonsense", "the answer's compression is broken", "check the proxy before {label}"),
    "certificate": ("unreachable", "certificate of {host} is not trusted", "name its CA with --ca-file"),
    "tls": ("unreachable", "no TLS connection to {authority}", "check https:// in the URL"),
    "ca_file": ("unreachable", "the certificates to trust cannot be read", "check the file of --ca-file"),
    "proxy": ("unreachable", "the environment's proxy does not work", "check HTTP_PROXY, or add to NO_PROXY"),
    "unusable": ("unreachable", "address or header cannot be used", "check --url{variable} and --header"),
    "internal": ("failing", "internal error in the request", "please report it, with gpumon's own log"),
}


def health_of_failure(kind: FailureKind, endpoint: Endpoint, server: ServerKind) -> SourceHealth:
    """Return the health of a ``server`` after a request without an answer."""
    if kind == "refused":
        state: SourceState = "not_running" if endpoint.is_loopback else "refused"
        detail = f"connection refused at {endpoint.authority}"
        return SourceHealth(state=state, detail=detail, hint=server.start_hint(endpoint))
    if kind == "connect_timeout" and not endpoint.is_loopback:
        detail = f"no answer from {endpoint.authority}"
        return SourceHealth(state="unreachable", detail=detail, hint="check the address and the firewall")
    if kind in {"timeout", "connect_timeout"}:
        hint = f"if it stays so, restart {server.label}"
        return SourceHealth(state="hanging", detail="not answering", hint=hint)
    state, detail, hint = _FAILURES[kind]
    separator = "," if kind == "unusable" else " or"
    words = {
        "host": endpoint.address.host,
        "authority": endpoint.authority,
        "label": server.label,
        "own": f"{server.label}'s",
        "address_hint": server.address_hint,
        "variable": f"{separator} {server.url_variable}" if server.url_variable else "",
    }
    return SourceHealth(state=state, detail=detail.format_map(words), hint=hint.format_map(words))


def problem_words(reply: Reply, endpoint: Endpoint, known: SourceHealth | None) -> str:
    """Return in one line what went wrong by an answer that is no success, ``known`` by its status."""
    return (known.detail if known else error_message(reply, endpoint)) or f"HTTP {reply.status}"


DENIED = "HTTP 403: access denied"


def health_of_status(reply: Reply, endpoint: Endpoint, server: ServerKind) -> SourceHealth | None:
    """Return the health where the HTTP status alone settles it, ``None`` where the body must be looked at."""
    status = reply.status
    if status == 401:
        return SourceHealth(state="forbidden", detail=server.key_words, hint=server.key_hint)
    if status == 403:
        hint = "give the proxy what it wants with --header"
        return SourceHealth(state="forbidden", detail=DENIED, hint=hint)
    if status >= 500 or status in OWN_ERRORS:
        return _failing(reply, endpoint, server)
    if 300 <= status < 400:
        return _redirecting(reply, endpoint)
    return None


def _failing(reply: Reply, endpoint: Endpoint, server: ServerKind) -> SourceHealth:
    message, log = error_message(reply, endpoint), f"see {server.label}'s own log"
    if message:
        return SourceHealth(state="failing", detail=f"HTTP {reply.status}: {message}", hint=log)
    detail = status_words(reply.status)
    if is_html(reply):
        hint = f"check that {server.label} runs behind the proxy"
        return SourceHealth(state="failing", detail=f"{detail}, from a proxy", hint=hint)
    return SourceHealth(state="failing", detail=detail, hint=log)


def _redirecting(reply: Reply, endpoint: Endpoint) -> SourceHealth:
    """Say where to, without path and query: they may hold a token."""
    origin = _origin(reply.headers.get("location", ""))
    to = f" to {endpoint.without_secrets(origin)}" if origin else ""
    hint = "redirects are not followed; give the final address with --url"
    return SourceHealth(state="foreign", detail=f"{endpoint.authority} redirects{to}", hint=hint)


def _origin(location: str) -> str | None:
    try:
        parts = urlsplit(location)
        host = parts.hostname
    except ValueError:
        return None
    return one_line(f"{parts.scheme}://{host}") if parts.scheme and host else None


def foreign(endpoint: Endpoint, server: ServerKind) -> SourceHealth:
    """Return the health where what answers is no such server."""
    detail = f"another program answers at {endpoint.authority}"
    return SourceHealth(state="foreign", detail=detail, hint=server.address_hint)
