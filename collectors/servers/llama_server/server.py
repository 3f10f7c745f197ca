"""Asks one llama-server by its URL: which models it has, and how each of them works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import quote

import msgspec

from gpumon.collectors.http.client import HttpClient, Reply, RequestError
from gpumon.collectors.samples import ModelClaim, ModelState, SourceHealth
from gpumon.collectors.servers.conversation import Conversation, Look, UnusableError, is_busy
from gpumon.collectors.servers.health import foreign
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.llama_server.conversation import IdlePace, LlamaServer
from gpumon.collectors.servers.llama_server.identity import (
    LOADING,
    Identity,
    body_of,
    identify,
    parse_router_models,
)
from gpumon.collectors.servers.port import ForeignProgramError, Port, Said, StillLoadingError
from gpumon.collectors.servers.talk import Asked, IsActive

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


WELL: frozenset[ModelState] = frozenset({"ready", "busy", "asleep"})
"""States in which a model is at hand."""


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
        """Begin anew with every model."""
        self._open.clear()
        self._said.clear()

    async def poll(self, models: Sequence[ModelClaim]) -> list[tuple[str, Said]]:
        """Ask what is due of each model; return what was said, with the model's name."""
        for name in self._open.keys() - {model.name for model in models}:
            self._drop(name)
        said = await asyncio.gather(*(self._ask(model) for model in models))
        heard = [(model.name, one) for model, one in zip(models, said, strict=True) if one is not None]
        self._said.update(heard)
        return heard

    def with_state(self, model: ModelClaim) -> ModelClaim:
        """Return ``model`` as it was last heard to be: one that is loaded may be asleep."""
        said = self._said.get(model.name)
        if model.state != "ready" or said is None or said.state not in WELL:
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
"""Between two looks what it is: a small model is loaded anew between two polls. It writes no log."""


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
        """Begin anew: it may be another server, or the same one with another model."""
        self._identity = None
        self._talks.forget()

    async def _ask(self) -> Look:
        identity = await self._identify()
        if identity.is_router:
            models = parse_router_models(await body_of(self._port, self.client, "/models", self.kind))
        else:
            await body_of(self._port, self.client, "/health", self.kind)
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
