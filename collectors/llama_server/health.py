"""How a llama-server is, in words: what is wrong and the next step."""

from __future__ import annotations

from gpumon.collectors.http.client import FailureKind
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.ollama import classify
from gpumon.collectors.samples import SourceHealth

LOADING = SourceHealth(state="serving", detail="loading its model")
FOREIGN_HINT = "check --url; llama-server's own port is 8080"


def health_of_failure(kind: FailureKind, endpoint: Endpoint) -> SourceHealth:
    """Return the health after a request without an answer."""
    found = classify.health_of_failure(kind, endpoint, answers_version=False)
    return SourceHealth(state=found.state, detail=found.detail, hint=_hint(kind, endpoint) or found.hint)


def _hint(kind: FailureKind, endpoint: Endpoint) -> str | None:
    """Return the next step where it is another than for Ollama."""
    if kind == "refused":
        address = "" if endpoint.is_loopback else " --host 0.0.0.0"
        return f"start it with: llama-server{address} --port {endpoint.address.port} -m MODEL.gguf"
    if kind == "timeout":
        return "if it stays so, restart llama-server"
    if kind in {"reset", "unusable"}:
        return "check --url, --header and the server's own log"
    return None


def health_of_refusal(status: int) -> SourceHealth:
    """Return the health where it does not let us ask."""
    if status == 401:
        hint = "give its --api-key: headers in the settings file, Authorization: Bearer KEY"
        return SourceHealth(state="forbidden", detail="HTTP 401: an API key is asked for", hint=hint)
    return SourceHealth(
        state="forbidden",
        detail=f"HTTP {status}: access denied",
        hint="give the proxy what it wants with --header",
    )


def health_of_status(status: int) -> SourceHealth:
    """Return the health after an answer that is none of those that are expected."""
    return SourceHealth(
        state="failing", detail=f"HTTP {status} instead of an answer", hint="see the server's own log"
    )


def foreign(endpoint: Endpoint) -> SourceHealth:
    """Return the health where what answers is no llama-server any more."""
    return SourceHealth(
        state="foreign", detail=f"another program answers at {endpoint.authority}", hint=FOREIGN_HINT
    )
