"""What answers at a URL: whether it is a llama-server, of which kind, and with which models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import HttpClient, Reply
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import ModelClaim, ModelState, RunnerSettings, SourceHealth
from gpumon.collectors.servers.conversation import UnusableError
from gpumon.collectors.servers.health import foreign
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.llama_server.bodies import Properties, model_rows, parse_properties
from gpumon.collectors.servers.llama_server.command_line import settings_of
from gpumon.collectors.servers.llama_server.kind import HEADER
from gpumon.collectors.servers.port import Port, StillLoadingError

LOADING = SourceHealth(state="serving", detail="loading its model")


def health_of_refusal(status: int, kind: ServerKind) -> SourceHealth:
    """Return the health where it does not let us ask."""
    if status == 401:
        detail = "HTTP 401: an API key is asked for"
        return SourceHealth(state="forbidden", detail=detail, hint=kind.key_hint)
    hint = "give the proxy what it wants with --header"
    return SourceHealth(state="forbidden", detail=f"HTTP {status}: access denied", hint=hint)


def health_of_status(status: int) -> SourceHealth:
    """Return the health after an answer that is none of those that are expected."""
    detail = f"HTTP {status} instead of an answer"
    return SourceHealth(state="failing", detail=detail, hint="see the server's own log")


STATES: Mapping[str, ModelState] = {"loading": "loading", "loaded": "ready", "sleeping": "asleep"}
"""``status.value`` of a router's model that takes memory (llama.cpp: tools/server/server-models.cpp)."""

MAX_ARGUMENTS = 256


def parse_router_models(body: bytes) -> tuple[ModelClaim, ...] | None:
    """Return the models that a router has loaded or is loading; ``None`` if the body is no list of models."""
    rows = model_rows(body)
    if rows is None:
        return None
    served = {model.name: model for row in rows if (model := _served(row)) is not None}
    return tuple(served.values())


def _served(row: RawObject) -> ModelClaim | None:
    name, status = fields.text(row, "id"), fields.nested(row, "status")
    state = STATES.get(fields.text(status, "value") or "")
    if name is None or state is None:
        return None
    return ModelClaim(name=name, state=state, settings=_settings(status))


def _settings(status: RawObject) -> RunnerSettings | None:
    """Return what the child was told; the rest of its command line is not kept."""
    return settings_of([*fields.texts(status, "args", MAX_ARGUMENTS)])


def name_of_only_model(properties: Properties | None, models_body: bytes | None) -> str | None:
    """Return what the model of a server without router is called; ``None`` where nothing tells."""
    names = _names(properties, models_body)
    return next((_without_folder(name) for name in names if name), None)


def _names(properties: Properties | None, models_body: bytes | None) -> Iterator[str | None]:
    yield properties.alias if properties else None
    for row in (model_rows(models_body) or [])[:1] if models_body else ():
        yield fields.text(row, "id")
    yield properties.facts.model_path if properties else None


def _without_folder(name: str) -> str:
    """Return the name of a file; builds up to 2025 call a model without alias by its whole path."""
    return name.replace("\\", "/").rpartition("/")[2] if name.lower().endswith(".gguf") else name


class Identity(Struct, frozen=True):
    """What kind of server it is."""

    is_router: bool
    version: str | None = None
    model: str | None = None
    """The only one of a server without router."""


async def identify(port: Port, client: HttpClient, kind: ServerKind) -> Identity:
    """Return what kind of llama-server answers.

    Raises:
        UnusableError: it does not let us ask, or is no llama-server.
        StillLoadingError: it loads its model.
        RequestError: it does not answer.
    """
    properties = await _properties(port, client, kind)
    if properties is not None and properties.is_router:
        return Identity(is_router=True, version=properties.facts.build)
    models = await body_of(port, client, "/v1/models", kind)
    if properties is None and model_rows(models) is None:
        raise UnusableError(foreign(client.endpoint, kind))
    version = properties.facts.build if properties else None
    return Identity(is_router=False, version=version, model=name_of_only_model(properties, models))


async def _properties(port: Port, client: HttpClient, kind: ServerKind) -> Properties | None:
    """Return what it is; ``None`` of a server that does not tell (llama.cpp up to 2024, ``--no-props``)."""
    reply = await port.get("/props")
    return None if reply.status in {404, 501} else parse_properties(_checked(reply, port, client, kind))


async def body_of(port: Port, client: HttpClient, path: str, kind: ServerKind) -> bytes:
    """GET ``path`` and return the body of its 200; raise as ``identify`` does."""
    return _checked(await port.get(path), port, client, kind)


def _checked(reply: Reply, port: Port, client: HttpClient, kind: ServerKind) -> bytes:
    if not port.trusted and reply.headers.get("server") != HEADER:
        raise UnusableError(foreign(client.endpoint, kind))
    if reply.status in {401, 403}:
        raise UnusableError(health_of_refusal(reply.status, kind))
    if reply.status == 503 and b"Loading model" in reply.body:
        raise StillLoadingError
    if reply.status == 404:
        raise UnusableError(foreign(client.endpoint, kind))
    if reply.status != 200:
        raise UnusableError(health_of_status(reply.status))
    return reply.body
