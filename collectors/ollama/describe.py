"""Asks a server once what a model's file holds, because the user wants to know; nothing is loaded for it."""

from __future__ import annotations

import msgspec

from gpumon.collectors.clock import Clock
from gpumon.collectors.http.client import MAX_DETAIL_BYTES, HttpClient, RequestError, error_message
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.ollama.bodies import BodyError
from gpumon.collectors.ollama.classify import health_of_failure, health_of_status
from gpumon.collectors.ollama.show import parse_show
from gpumon.collectors.samples import OllamaModelFacts


async def describe(endpoint: Endpoint, clock: Clock, name: str, digest: str) -> OllamaModelFacts | str:
    """Return ``/api/show`` of an installed model, or what went wrong in one line."""
    client = HttpClient(endpoint)
    try:
        reply = await client.post("/api/show", msgspec.json.encode({"model": name}), MAX_DETAIL_BYTES)
        if reply.status != 200:
            known = health_of_status(reply, endpoint)
            said = known.detail if known else error_message(reply, endpoint)
            return said or f"HTTP {reply.status}"
        return parse_show(reply.body, name, digest, clock.now(), endpoint.url)
    except RequestError as failure:
        return health_of_failure(failure.kind, endpoint, answers_version=False).detail or "no answer"
    except BodyError as error:
        return str(error)
    finally:
        await client.close()
