"""What a user may ask an Ollama server for: to unload a model, and what the file of a model holds."""

from __future__ import annotations

import msgspec

from gpumon.collectors.http.client import MAX_DETAIL_BYTES, MAX_PROBE_BYTES, HttpClient, Reply, TimeLimits
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.health import problem_words
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.ollama.bodies import BodyError, parse_show
from gpumon.collectors.servers.ollama.classify import health_of_failure, health_of_status
from gpumon.collectors.source import Clock

UNLOAD_LIMITS = TimeLimits(total=15.0)
"""The server takes the lock that it also holds while it loads or unloads another model."""


async def unload(
    endpoint: Endpoint, name: str, server: ServerKind, limits: TimeLimits = UNLOAD_LIMITS
) -> str | None:
    """Ask the server to unload a model; return what went wrong in one line, ``None`` if it was asked.

    ``POST /api/generate`` with a ``keep_alive`` of 0 and no prompt, as ``ollama stop`` does (ollama:
    server/routes.go, ``GenerateHandler``). It answers at once: the model goes when its requests have ended.
    """
    client = HttpClient(endpoint, limits)
    body = msgspec.json.encode({"model": name, "keep_alive": 0})
    try:
        reply = await client.post("/api/generate", body, MAX_PROBE_BYTES)
        return None if reply.status == 200 else _problem(reply, endpoint, server)
    except RequestError as failure:
        return health_of_failure(failure.kind, endpoint, server).detail
    finally:
        await client.close()


def _problem(reply: Reply, endpoint: Endpoint, server: ServerKind) -> str:
    return problem_words(reply, endpoint, health_of_status(reply, endpoint, server))


async def describe(
    endpoint: Endpoint, clock: Clock, name: str, digest: str, server: ServerKind
) -> ModelFacts | str:
    """Return what the file of an installed model holds, or what went wrong in one line.

    ``POST /api/show`` reads the head of the file and loads nothing (ollama: server/routes.go).
    """
    client = HttpClient(endpoint)
    try:
        reply = await client.post("/api/show", msgspec.json.encode({"model": name}), MAX_DETAIL_BYTES)
        if reply.status != 200:
            return _problem(reply, endpoint, server)
        return parse_show(reply.body, name, digest, clock.now(), endpoint.url)
    except RequestError as failure:
        return health_of_failure(failure.kind, endpoint, server).detail or "no answer"
    except BodyError as error:
        return str(error)
    finally:
        await client.close()
