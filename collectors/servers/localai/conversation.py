"""The talk with a LocalAI: what is loaded, and how each backend is that says so."""

from __future__ import annotations

from urllib.parse import quote

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import MAX_PROBE_BYTES
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import CachePool, LoadFacts, ModelClaim, Said, WorkCounters
from gpumon.collectors.servers.conversation import Conversation, Look, UnusableError
from gpumon.collectors.servers.health import foreign
from gpumon.collectors.servers.localai.kind import LOADED, MONITOR, SYSTEM, VERSION

BUSY, READY = 1, 2
"""``state`` of a backend (LocalAI: backend/backend.proto, ``StatusResponse``)."""
STEADY_SECONDS = 3.0
UNTOLD = "its backend does not say whether it works"


class LocalAiConversation(Conversation):
    """Asks what is loaded, and of each model once more as long as its backend answers."""

    _version: str | None = None
    _mute: frozenset[str] = frozenset()
    """Loaded models whose backends do not say how they are."""

    def forget(self) -> None:
        """Ask each backend again."""
        super().forget()
        self._version, self._mute = None, frozenset()

    async def look(self) -> Look:
        """Ask what is loaded, and each backend that answers whether it works."""
        system = await self.get_object(SYSTEM)
        if LOADED not in system:
            raise UnusableError(foreign(self.endpoint, self.kind))
        self._version = self._version or await self._own_version()
        models = loaded_models(system)
        names = frozenset(one.name for one in models)
        self._mute &= names
        work = [(one.name, await self._said(one.name)) for one in models]
        return Look(models=models, version=self._version, work=tuple(work), origin=MONITOR)

    async def _own_version(self) -> str | None:
        reply = await self.get_if_served(VERSION)
        said = fields.read(reply.body, fields.OBJECT) if reply is not None else None
        return None if said is None else fields.text(said, "version")

    async def _said(self, name: str) -> Said:
        if name in self._mute:
            return Said("ready", detail=UNTOLD)
        path = f"{MONITOR}?model={quote(name, safe='')}"
        reply = await self.client.get(path, MAX_PROBE_BYTES)
        status = fields.read(reply.body, fields.OBJECT) if reply.status == 200 else None
        said = None if status is None else said_of(status)
        if said is None:
            self._mute |= {name}
        return said or Said("ready", detail=UNTOLD)

    def delay(self, interval: float) -> float:
        """Return seconds to the next look."""
        return max(super().delay(interval), interval if self.busy else STEADY_SECONDS)


def loaded_models(system: RawObject) -> tuple[ModelClaim, ...]:
    """Return the models of ``/system``; what runs each stands as its family."""
    rows = [fields.read(raw, fields.OBJECT) or {} for raw in fields.field(system, LOADED, fields.ROWS) or ()]
    claims = {
        name: ModelClaim(name=name, state="ready", family=fields.text(row, "backend"))
        for row in rows
        if (name := fields.text(row, "id")) is not None
    }
    return tuple(claims.values())


def said_of(status: RawObject) -> Said | None:
    """Return what a backend says of itself; ``None`` where it is not set up, or has failed."""
    state, memory = fields.amount(status, "state"), fields.nested(status, "memory")
    if state not in {BUSY, READY}:
        return None
    parts = fields.nested(memory, "breakdown")
    weights, cache = fields.amount(parts, "weights"), fields.amount(parts, "kv_cache")
    return Said(
        "busy" if state == BUSY else "ready",
        facts=LoadFacts(weights_bytes=weights) if weights else None,
        counters=WorkCounters(grows_live=True, requests_processing=0) if state == READY else None,
        pool=CachePool(size_bytes=cache) if cache else None,
    )
