"""What came back from an address, told apart: a state, what is wrong in words, and the next step."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from gpumon.collectors.http.client import Reply, status_words
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import FailureKind
from gpumon.collectors.samples import SourceHealth
from gpumon.collectors.servers import health
from gpumon.collectors.servers.health import foreign

if TYPE_CHECKING:
    from gpumon.collectors.servers.kind import ServerKind

FIRST_WITH_PS = (0, 1, 38)
LAST_WITHOUT_ZEROS = (0, 1, 41)
"""Up to here ``/api/ps`` leaves a field out that is 0 (ollama#4840)."""


class Peer(Struct, frozen=True):
    """Who is at the other end, asked when an answer leaves doubt."""

    is_ollama: bool
    version: str | None = None


def health_of_failure(
    kind: FailureKind, endpoint: Endpoint, server: ServerKind, *, answers_version: bool = False
) -> SourceHealth:
    """Return the health after a request without an answer.

    ``answers_version``: after a time-out, ``/api/version``, which takes no lock, was answered all the same.
    """
    if answers_version and kind in {"timeout", "connect_timeout"}:
        hint = "wait; Ollama answers again when that is done"
        return SourceHealth(state="hanging", detail="busy: loading or unloading a model", hint=hint)
    return health.health_of_failure(kind, endpoint, server)


def health_of_status(reply: Reply, endpoint: Endpoint, server: ServerKind) -> SourceHealth | None:
    """Return the health where the HTTP status alone settles it, ``None`` where the body must be looked at."""
    if reply.status == 403 and not reply.body.strip():
        detail = "HTTP 403: Ollama does not accept this Host header"
        hint = "--header 'Host: localhost:11434', or set it in the proxy"
        return SourceHealth(state="forbidden", detail=detail, hint=hint)
    return health.health_of_status(reply, endpoint, server)


def health_of_doubt(
    problem: str, status: int, peer: Peer, endpoint: Endpoint, server: ServerKind
) -> SourceHealth:
    """Return the health where the answer is not a list of models; ``peer`` says who gave it."""
    if not peer.is_ollama:
        return foreign(endpoint, server)
    if status == 404 and _lacks_ps(peer.version):
        version = peer.version or "at this address"
        detail = f"Ollama {version} is too old to list loaded models"
        return SourceHealth(state="nonsense", detail=detail, hint="update Ollama to 0.1.38 or newer")
    return SourceHealth(
        state="nonsense", detail=problem, hint="check the proxy before Ollama, if there is one"
    )


def _lacks_ps(version: str | None) -> bool:
    """Whether a version is older than ``/api/ps``: none is, a local build (0.0.0) is not."""
    return version is None or (0, 0, 0) < numbers_of(version) < FIRST_WITH_PS


def leaves_out_zeros(version: str | None) -> bool:
    """Whether a server of this version leaves fields of 0 out of ``/api/ps``."""
    return version is not None and (0, 0, 0) < numbers_of(version) <= LAST_WITHOUT_ZEROS


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the first three numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version)[:3])


def problem_of_status(status: int) -> str:
    """Return the words for a status that a list of models does not have."""
    return f"{status_words(status)} instead of a list of models"


def health_of_models(loaded: int, rejected_rows: int) -> SourceHealth:
    """Return the health of an answer that was understood, row by row."""
    detail = f"{rejected_rows} models could not be understood" if rejected_rows else None
    return SourceHealth(state="serving" if loaded else "idle", detail=detail)
