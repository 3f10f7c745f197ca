"""What came back from an address, told apart: a state, what is wrong in words, and the next step."""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import urlsplit

from msgspec import Struct

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import FailureKind, Reply
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.samples import SourceHealth, SourceState

CHECK_ADDRESS = "check --url or OLLAMA_HOST; Ollama's own port is 11434"
FIRST_WITH_PS = (0, 1, 38)
OWN_ERRORS = {408, 429, 499}
"""Client-side statuses by which a server says that it could not do it, not that it does not know the path."""
MAX_WORDS = 200

_FAILURES: dict[FailureKind, tuple[SourceState, str, str]] = {
    "no_such_host": ("unreachable", "no such host: {host}", "check the name in --url or OLLAMA_HOST"),
    "no_route": ("unreachable", "no route to {host}", "check the network and the address"),
    "reset": (
        "failing",
        "{authority} closed the connection unanswered",
        "see Ollama's own log; check the port",
    ),
    "not_http": ("foreign", "another program answers at {authority}: not HTTP", CHECK_ADDRESS),
    "too_large": ("nonsense", "the answer is far too large", CHECK_ADDRESS),
    "bad_encoding": ("nonsense", "the answer's compression is broken", "check the proxy before Ollama"),
    "certificate": ("unreachable", "certificate of {host} is not trusted", "name its CA with --ca-file"),
    "tls": ("unreachable", "no TLS connection to {authority}", "check https:// in the URL"),
    "ca_file": ("unreachable", "the certificates to trust cannot be read", "check the file of --ca-file"),
    "proxy": ("unreachable", "the environment's proxy does not work", "check HTTP_PROXY, or add to NO_PROXY"),
    "unusable": ("unreachable", "address or header cannot be used", "check --url, OLLAMA_HOST and --header"),
}


class Peer(Struct, frozen=True):
    """Who is at the other end, asked when an answer leaves doubt."""

    is_ollama: bool
    version: str | None = None


def health_of_failure(kind: FailureKind, endpoint: Endpoint, answers_version: bool) -> SourceHealth:
    """Return the health after a request without an answer.

    ``answers_version``: after a time-out, ``/api/version``, which takes no lock, was answered all the same.
    """
    if kind == "refused":
        return _refused(endpoint)
    if kind in {"timeout", "connect_timeout"}:
        return _timed_out(kind, endpoint, answers_version)
    state, detail, hint = _FAILURES[kind]
    words = detail.format(host=endpoint.address.host, authority=endpoint.authority)
    return SourceHealth(state=state, detail=words, hint=hint)


def _refused(endpoint: Endpoint) -> SourceHealth:
    detail = f"connection refused at {endpoint.authority}"
    if endpoint.is_loopback:
        return SourceHealth(state="not_running", detail=detail, hint="start it with: ollama serve")
    hint = "start Ollama there with OLLAMA_HOST=0.0.0.0, so that it listens beyond loopback"
    return SourceHealth(state="refused", detail=detail, hint=hint)


def _timed_out(kind: FailureKind, endpoint: Endpoint, answers_version: bool) -> SourceHealth:
    if answers_version:
        hint = "wait; Ollama answers again when that is done"
        return SourceHealth(state="hanging", detail="busy: loading or unloading a model", hint=hint)
    if kind == "connect_timeout" and not endpoint.is_loopback:
        detail = f"no answer from {endpoint.authority}"
        return SourceHealth(state="unreachable", detail=detail, hint="check the address and the firewall")
    return SourceHealth(state="hanging", detail="not answering", hint="if it stays so, restart Ollama")


def health_of_status(reply: Reply, endpoint: Endpoint) -> SourceHealth | None:
    """Return the health where the HTTP status alone settles it, ``None`` where the body must be looked at."""
    status = reply.status
    if status == 401:
        hint = "use --url with user:password@, or --header 'Authorization: …'"
        return SourceHealth(state="forbidden", detail="HTTP 401: credentials are asked for", hint=hint)
    if status == 403:
        return _forbidden(reply)
    if status >= 500 or status in OWN_ERRORS:
        return _failing(reply, endpoint)
    if 300 <= status < 400:
        return _redirecting(reply, endpoint)
    return None


def _forbidden(reply: Reply) -> SourceHealth:
    if reply.body.strip():
        hint = "give the proxy what it wants with --header"
        return SourceHealth(state="forbidden", detail="HTTP 403: access denied", hint=hint)
    detail = "HTTP 403: Ollama does not accept this Host header"
    hint = "--header 'Host: localhost:11434', or set it in the proxy"
    return SourceHealth(state="forbidden", detail=detail, hint=hint)


def _failing(reply: Reply, endpoint: Endpoint) -> SourceHealth:
    message = error_message(reply, endpoint)
    if message:
        return SourceHealth(
            state="failing", detail=f"HTTP {reply.status}: {message}", hint="see Ollama's own log"
        )
    detail = f"HTTP {reply.status}{_phrase(reply.status)}"
    if is_html(reply):
        hint = "check that Ollama runs behind the proxy"
        return SourceHealth(state="failing", detail=f"{detail}, from a proxy", hint=hint)
    return SourceHealth(state="failing", detail=detail, hint="see Ollama's own log")


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
    return _one_line(f"{parts.scheme}://{host}") if parts.scheme and host else None


def health_of_doubt(problem: str, status: int, peer: Peer, endpoint: Endpoint) -> SourceHealth:
    """Return the health where the answer is not a list of models; ``peer`` says who gave it."""
    if not peer.is_ollama:
        detail = f"another program answers at {endpoint.authority}"
        return SourceHealth(state="foreign", detail=detail, hint=CHECK_ADDRESS)
    if status == 404 and _lacks_ps(peer.version):
        version = peer.version or "at this address"
        detail = f"Ollama {version} is too old to list loaded models"
        return SourceHealth(state="nonsense", detail=detail, hint="update Ollama to 0.1.38 or newer")
    return SourceHealth(
        state="nonsense", detail=problem, hint="check the proxy before Ollama, if there is one"
    )


def _lacks_ps(version: str | None) -> bool:
    """Tell whether a version is older than ``/api/ps``: none is, a local build (0.0.0) is not."""
    if version is None:
        return True
    numbers = tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:3])
    return (0, 0, 0) < numbers < FIRST_WITH_PS


def error_message(reply: Reply, endpoint: Endpoint) -> str | None:
    """Return Ollama's own words, ``{"error": …}``, on one line and without our secrets."""
    values = fields.read(reply.body, fields.OBJECT)
    message = fields.field(values, "error", fields.LONG_TEXT) if values else None
    return _one_line(endpoint.without_secrets(message)) or None if message else None


def is_html(reply: Reply) -> bool:
    """Tell whether a person's page came back instead of data."""
    return "html" in reply.headers.get("content-type", "").lower() or reply.body.lstrip()[:1] == b"<"


def problem_of_status(status: int) -> str:
    """Return the words for a status that a list of models does not have."""
    return f"HTTP {status}{_phrase(status)} instead of a list of models"


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""


def _one_line(words: str) -> str:
    line = " ".join(words[: 4 * MAX_WORDS].split())
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"


def health_of_models(loaded: int, rejected_rows: int) -> SourceHealth:
    """Return the health of an answer that was understood, row by row."""
    detail = f"{rejected_rows} models could not be understood" if rejected_rows else None
    return SourceHealth(state="serving" if loaded else "idle", detail=detail)
