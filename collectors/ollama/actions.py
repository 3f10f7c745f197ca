"""What a user may ask a server to do: to unload a model. Nothing else here changes anything anywhere."""

from __future__ import annotations

import msgspec

from gpumon.collectors.http.client import (
    MAX_PROBE_BYTES,
    HttpClient,
    Reply,
    RequestError,
    TimeLimits,
    error_message,
)
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.ollama.classify import health_of_failure, health_of_status

UNLOAD_LIMITS = TimeLimits(total=15.0)
"""The server takes the lock that it also holds while it loads or unloads another model."""


async def unload(endpoint: Endpoint, name: str, limits: TimeLimits = UNLOAD_LIMITS) -> str | None:
    """Ask the server to unload a model; return what went wrong in one line, ``None`` if it was asked.

    ``POST /api/generate`` with a ``keep_alive`` of 0 and no prompt, as ``ollama stop`` does (ollama:
    server/routes.go, ``GenerateHandler``). It answers at once: the model goes when its requests have ended.
    """
    client = HttpClient(endpoint, limits)
    body = msgspec.json.encode({"model": name, "keep_alive": 0})
    try:
        return _problem(await client.post("/api/generate", body, MAX_PROBE_BYTES), endpoint)
    except RequestError as failure:
        return health_of_failure(failure.kind, endpoint, answers_version=False).detail
    finally:
        await client.close()


def _problem(reply: Reply, endpoint: Endpoint) -> str | None:
    if reply.status == 200:
        return None
    known = health_of_status(reply, endpoint)
    return (known.detail if known else error_message(reply, endpoint)) or f"HTTP {reply.status}"
