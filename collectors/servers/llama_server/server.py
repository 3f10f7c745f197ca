"""What a llama-server is, and how one is asked by its URL: one model, or those of a router."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote

import msgspec
from msgspec import Struct

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import HttpClient, Reply
from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import (
    LOADED_STATES,
    ModelClaim,
    ModelState,
    RunnerSettings,
    Said,
    SourceHealth,
)
from gpumon.collectors.servers.conversation import Conversation, Look, UnusableError, is_busy
from gpumon.collectors.servers.health import foreign
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.llama_server.bodies import Properties, model_rows, properties_of
from gpumon.collectors.servers.llama_server.command_line import settings_of
from gpumon.collectors.servers.llama_server.conversation import LlamaServer, alive_path
from gpumon.collectors.servers.llama_server.kind import HEADERS
from gpumon.collectors.servers.llama_server.pace import IdlePace
from gpumon.collectors.servers.port import ForeignProgramError, Port, StillLoadingError
from gpumon.collectors.servers.talk import Asked, IsActive

LOADING = SourceHealth(state="serving", detail="loading its model")


def health_of_refusal(status: int, kind: ServerKind) -> SourceHealth:
    """Return the health where it does not let us ask."""
    if status == 401:
        return SourceHealth(state="forbidden", detail=kind.key_words, hint=kind.key_hint)
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
    if reply.status in {404, 501}:
        return None
    return properties_of(_checked(reply, port, client, kind), port.server)


async def body_of(port: Port, client: HttpClient, path: str, kind: ServerKind) -> bytes:
    """GET ``path`` and return the body of its 200; raise as ``identify`` does."""
    return _checked(await port.get(path), port, client, kind)


def _checked(reply: Reply, port: Port, client: HttpClient, kind: ServerKind) -> bytes:
    if not port.trusted and reply.headers.get("server") not in HEADERS:
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


PATHS = frozenset({"/props", "/slots", "/metrics"})
"""Paths that a router hands on to the model's own server; it answers the others itself."""


class ModelPort(Port):
    """Asks a router about one model, and never makes it load one that is not loaded."""

    def __init__(self, client: HttpClient, name: str) -> None:
        super().__init__(client)
        self._query = f"?model={quote(name, safe='')}&autoload=false"

    async def get(self, path: str) -> Reply:
        """GET ``path`` for this model; raise ``RequestError``."""
        return await super().get(path + self._query if path in PATHS else path)


class Talks:
    """Asks about loaded models; one that sleeps or loads is left alone where the router says so."""

    def __init__(self, begin: Callable[[ModelClaim], LlamaServer], active: IsActive | None) -> None:
        self._begin = begin
        self._active = active
        self._open: dict[str, LlamaServer] = {}
        self._said: dict[str, Said] = {}

    @property
    def busy(self) -> bool:
        """Whether a model was at work when it was last heard of."""
        return any(is_busy(said) for said in self._said.values())

    def forget(self) -> None:
        """Start again with every model."""
        self._open.clear()
        self._said.clear()

    async def poll(self, models: Sequence[ModelClaim]) -> list[tuple[str, Said]]:
        """Ask what is due of each model; return what was said, with the model's name."""
        for name in self._open.keys() - {model.name for model in models}:
            self._drop(name)
        asking = [self._ask(model) for model in models]
        said = [await asking[0]] if len(asking) == 1 else await asyncio.gather(*asking)
        heard = [(model.name, one) for model, one in zip(models, said, strict=True) if one is not None]
        self._said.update(heard)
        return heard

    def with_state(self, model: ModelClaim) -> ModelClaim:
        """Return ``model`` as it was last heard to be: one that is loaded may be asleep."""
        said = self._said.get(model.name)
        if model.state != "ready" or said is None or said.state not in LOADED_STATES:
            return model
        return msgspec.structs.replace(model, state=said.state)

    async def _ask(self, model: ModelClaim) -> Said | None:
        if model.state is not None and model.state != "ready":
            self._drop(model.name)
            return Said(model.state)
        conversation = self._open.get(model.name)
        if conversation is None:
            conversation = self._open[model.name] = self._begin(model)
        try:
            return await conversation.ask(self._active(model.name) if self._active else None)
        except RequestError:
            conversation.forget()
            return Said("failing", "its statistics cannot be had")

    def _drop(self, name: str) -> None:
        self._open.pop(name, None)
        self._said.pop(name, None)


IDENTIFY_SECONDS = 30.0
"""Between two looks what it is: a small model is loaded again between two polls. It writes no log."""


class LlamaServerSource(Conversation):
    """Polls ``/health`` or a router's ``/models``, and of each loaded model its statistics when due."""

    def __init__(self, kind: ServerKind, asked: Asked) -> None:
        super().__init__(kind, asked)
        self._port = Port(self.client)
        self._port.trusted = asked.trusted
        self._talks = Talks(self._begin, asked.is_active)
        self._identity: Identity | None = None
        self._identified_at = float("-inf")

    @property
    def busy(self) -> bool:
        """Whether a model was at work when it was last heard of, which may be some polls ago."""
        return self._talks.busy

    async def look(self) -> Look:
        """Return which models there are now, and what was asked of each of them."""
        try:
            return await self._ask()
        except StillLoadingError:
            self.forget()
            return Look(health=LOADING)
        except ForeignProgramError:
            raise UnusableError(foreign(self.endpoint, self.kind)) from None

    def forget(self) -> None:
        """Start again: it may be another server, or the same one with another model."""
        self._identity = None
        self._talks.forget()

    async def _ask(self) -> Look:
        identity = await self._identify()
        if identity.is_router:
            models = parse_router_models(await body_of(self._port, self.client, "/models", self.kind))
        else:
            await body_of(self._port, self.client, alive_path(self._port), self.kind)
            models = (ModelClaim(name=identity.model or self.endpoint.authority, state="ready"),)
        if models is None:
            raise UnusableError(SourceHealth(state="nonsense", detail="its list of models is none"))
        work = await self._talks.poll(models)
        return Look(
            models=tuple(map(self._talks.with_state, models)), version=identity.version, work=tuple(work)
        )

    async def _identify(self) -> Identity:
        now = self.clock.now()
        if self._identity is None or now - self._identified_at >= IDENTIFY_SECONDS:
            identity = await identify(self._port, self.client, self.kind)
            if identity != self._identity:
                self._talks.forget()
            self._identity, self._identified_at = identity, now
        return self._identity

    def _begin(self, model: ModelClaim) -> LlamaServer:
        """Return a new conversation about a model.

        A router tells whether the model may fall asleep; of another server that is not known.
        """
        is_router = self._identity is not None and self._identity.is_router
        port = ModelPort(self.client, model.name) if is_router else Port(self.client)
        port.trusted = self._port.trusted
        sleep_seconds = model.settings.sleep_idle_seconds if model.settings else None
        return LlamaServer(
            port,
            self.clock,
            may_sleep=bool(sleep_seconds and sleep_seconds > 0),
            router_model=model.name if is_router else None,
            idle_pace=IdlePace(patient=model.settings is None),
        )
