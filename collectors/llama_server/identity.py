"""Whether what answers at a URL is a llama-server, and of which kind."""

from __future__ import annotations

from msgspec import Struct

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import HttpClient, Reply, RequestError
from gpumon.collectors.llama_server.health import foreign, health_of_refusal, health_of_status
from gpumon.collectors.llama_server.listing import name_of_only_model
from gpumon.collectors.runners.bodies import Properties, model_rows, parse_properties
from gpumon.collectors.runners.port import LLAMA_SERVER_HEADER, Port, StillLoadingError
from gpumon.collectors.samples import SourceHealth

MARKS = ("build_info", "default_generation_settings")
"""Keys of ``GET /props``; a proxy puts its own name into the header ``Server``."""


class Identity(Struct, frozen=True):
    """What kind of server it is."""

    is_router: bool
    version: str | None = None
    model: str | None = None
    """The only one of a server without router."""


class UnusableError(Exception):
    """It answers, and not as a llama-server that may be asked does."""

    def __init__(self, health: SourceHealth) -> None:
        super().__init__(health.detail)
        self.health = health


async def looks_like_llama_server(client: HttpClient) -> bool:
    """Tell by its answers a llama-server behind a proxy that hides its name."""
    try:
        reply = await client.probe("/props")
    except RequestError:
        return False
    return reply.headers.get("server") == LLAMA_SERVER_HEADER or _has_marks(reply)


def _has_marks(reply: Reply) -> bool:
    values = fields.read(reply.body, fields.OBJECT) or {}
    return reply.status == 200 and any(mark in values for mark in MARKS)


async def identify(port: Port, client: HttpClient) -> Identity:
    """Return what kind of llama-server answers.

    Raises:
        UnusableError: it does not let us ask, or is no llama-server.
        StillLoadingError: it loads its model.
        RequestError: it does not answer.
    """
    properties = await _properties(port, client)
    if properties is not None and properties.is_router:
        return Identity(is_router=True, version=properties.facts.build)
    models = await body_of(port, client, "/v1/models")
    if properties is None and model_rows(models) is None:
        raise UnusableError(foreign(client.endpoint))
    version = properties.facts.build if properties else None
    return Identity(is_router=False, version=version, model=name_of_only_model(properties, models))


async def _properties(port: Port, client: HttpClient) -> Properties | None:
    """Return what it is; ``None`` of a server that does not tell (llama.cpp up to 2024, ``--no-props``)."""
    reply = await port.get("/props")
    return None if reply.status in {404, 501} else parse_properties(_checked(reply, port, client))


async def body_of(port: Port, client: HttpClient, path: str) -> bytes:
    """GET ``path`` and return the body of its 200; raise as ``identify`` does."""
    return _checked(await port.get(path), port, client)


def _checked(reply: Reply, port: Port, client: HttpClient) -> bytes:
    if not port.trusted and reply.headers.get("server") != LLAMA_SERVER_HEADER:
        raise UnusableError(foreign(client.endpoint))
    if reply.status in {401, 403}:
        raise UnusableError(health_of_refusal(reply.status))
    if reply.status == 503 and b"Loading model" in reply.body:
        raise StillLoadingError
    if reply.status == 404:
        raise UnusableError(foreign(client.endpoint))
    if reply.status != 200:
        raise UnusableError(health_of_status(reply.status))
    return reply.body
