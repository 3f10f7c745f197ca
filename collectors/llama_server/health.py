"""How a llama-server is, in words: what is wrong and the next step."""

from __future__ import annotations

from gpumon.collectors.http.client import (
    FailureKind,
    ServerLabel,
    failure_health,
    foreign_health,
    refusal_health,
)
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.samples import SourceHealth

LOADING = SourceHealth(state="serving", detail="loading its model")
LABEL = ServerLabel(
    name="llama-server",
    check_address="check --url; llama-server's own port is 8080",
    start_here="start it with: llama-server --port {port} -m MODEL.gguf",
    start_there="start it with: llama-server --host 0.0.0.0 --port {port} -m MODEL.gguf",
    credentials="an API key is asked for",
    give_credentials="give its --api-key: headers in the settings file, Authorization: Bearer KEY",
)


def health_of_failure(kind: FailureKind, endpoint: Endpoint) -> SourceHealth:
    """Return the health after a request without an answer."""
    return failure_health(kind, endpoint, LABEL)


def health_of_refusal(status: int) -> SourceHealth:
    """Return the health where it does not let us ask."""
    return refusal_health(status, LABEL)


def health_of_status(status: int) -> SourceHealth:
    """Return the health after an answer that is none of those that are expected."""
    return SourceHealth(
        state="failing", detail=f"HTTP {status} instead of an answer", hint="see the server's own log"
    )


def foreign(endpoint: Endpoint) -> SourceHealth:
    """Return the health where what answers is no llama-server any more."""
    return foreign_health(endpoint, LABEL)
