"""What came back from an address, told apart: a state, what is wrong in words, and the next step."""

from __future__ import annotations

import re

from msgspec import Struct

from gpumon.collectors.http.client import (
    FailureKind,
    Reply,
    ServerLabel,
    failing_health,
    failure_health,
    foreign_health,
    redirect_health,
    refusal_health,
    status_words,
)
from gpumon.collectors.http.endpoint import DEFAULT_PORT, Endpoint
from gpumon.collectors.samples import SourceHealth

LABEL = ServerLabel(
    name="Ollama",
    check_address=f"check --url or OLLAMA_HOST; Ollama's own port is {DEFAULT_PORT}",
    start_here="start it with: ollama serve",
    start_there="start Ollama there with OLLAMA_HOST=0.0.0.0, so that it listens beyond loopback",
    url_settings="--url or OLLAMA_HOST",
)
FIRST_WITH_PS = (0, 1, 38)
OWN_ERRORS = {408, 429, 499}
"""Client-side statuses by which a server says that it could not do it, not that it does not know the path."""
HOST_NOT_ACCEPTED = SourceHealth(
    state="forbidden",
    detail="HTTP 403: Ollama does not accept this Host header",
    hint="--header 'Host: localhost:11434', or set it in the proxy",
)
"""An empty 403 is Ollama's own (ollama: server/routes.go, allowedHostsMiddleware)."""


class Peer(Struct, frozen=True):
    """Who is at the other end, asked when an answer leaves doubt."""

    is_ollama: bool
    version: str | None = None


def health_of_failure(kind: FailureKind, endpoint: Endpoint, answers_version: bool) -> SourceHealth:
    """Return the health after a request without an answer.

    ``answers_version``: after a time-out, ``/api/version``, which takes no lock, was answered all the same.
    """
    if kind in {"timeout", "connect_timeout"} and answers_version:
        hint = "wait; Ollama answers again when that is done"
        return SourceHealth(state="hanging", detail="busy: loading or unloading a model", hint=hint)
    return failure_health(kind, endpoint, LABEL)


def health_of_status(reply: Reply, endpoint: Endpoint) -> SourceHealth | None:
    """Return the health where the HTTP status alone settles it, ``None`` where the body must be looked at."""
    status = reply.status
    if status == 403 and not reply.body.strip():
        return HOST_NOT_ACCEPTED
    if status in {401, 403}:
        return refusal_health(status, LABEL)
    if status >= 500 or status in OWN_ERRORS:
        return failing_health(reply, endpoint, LABEL)
    if 300 <= status < 400:
        return redirect_health(reply, endpoint)
    return None


def health_of_doubt(problem: str, status: int, peer: Peer, endpoint: Endpoint) -> SourceHealth:
    """Return the health where the answer is not a list of models; ``peer`` says who gave it."""
    if not peer.is_ollama:
        return foreign_health(endpoint, LABEL)
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


def problem_of_status(status: int) -> str:
    """Return the words for a status that a list of models does not have."""
    return f"{status_words(status)} instead of a list of models"


def health_of_models(loaded: int, rejected_rows: int) -> SourceHealth:
    """Return the health of an answer that was understood, row by row."""
    detail = f"{rejected_rows} models could not be understood" if rejected_rows else None
    return SourceHealth(state="serving" if loaded else "idle", detail=detail)
