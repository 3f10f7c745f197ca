"""The talk with an LM Studio: its listing of models, as newer versions give it or as older ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct, structs

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import MAX_DETAIL_BYTES
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import (
    AnySample,
    InstalledModel,
    InstalledModels,
    LoadFacts,
    ModelClaim,
    Said,
    SourceHealth,
)
from gpumon.collectors.servers.conversation import Conversation, Look, UnusableError
from gpumon.collectors.servers.health import foreign
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.lm_studio.kind import MODELS, NO_RATES, OLDER
from gpumon.collectors.servers.talk import Asked

LOADED_SECONDS, IDLE_SECONDS = 5.0, 15.0
"""Between two listings, each of which is a line in its log."""
ERROR = b'"error"'
SERVER_OFF = SourceHealth(
    state="idle", detail="its server does not list models", hint="switch it on with: lms server start"
)


class LmStudioConversation(Conversation):
    """Lists the models as newer versions do, or as older ones."""

    def __init__(self, kind: ServerKind, asked: Asked) -> None:
        super().__init__(kind, asked)
        self._runners = asked.runners

    _path: str | None = None
    _rows: Sequence[Row] = ()
    _seen: object = None
    """The processes of its models at the latest listing."""

    def forget(self) -> None:
        """Look again which listing there is."""
        super().forget()
        self._path, self._rows = None, ()

    async def look(self) -> Look:
        """List the models; each instance that is loaded is one."""
        self._seen = self._runners() if self._runners else None
        rows = await self._listed()
        if rows is None:
            if any(ERROR in reply.body for reply in self.replies.values()):
                return Look(health=SERVER_OFF)
            raise UnusableError(foreign(self.endpoint, self.kind))
        self._rows = rows
        loaded = [one for row in rows for one in row.loaded()]
        work = tuple((claim.name, Said("ready", detail=NO_RATES, facts=facts)) for claim, facts in loaded)
        return Look(models=tuple(claim for claim, _ in loaded), work=work, origin=self._path)

    async def _listed(self) -> Sequence[Row] | None:
        for path in (self._path,) if self._path else (MODELS, OLDER):
            reply = await self.get_if_served(path, MAX_DETAIL_BYTES)
            listed = fields.read(reply.body, fields.OBJECT) if reply is not None else None
            rows = rows_of(listed or {}, path)
            if rows is not None:
                self._path = path
                return rows
        self._path = None
        return None

    async def poll(self) -> Sequence[AnySample]:
        """Look once; what is installed comes last."""
        samples = await super().poll()
        if not self._rows:
            return samples
        installed = tuple(InstalledModel(name=one.key, size_bytes=one.size_bytes) for one in self._rows)
        return [
            *samples,
            InstalledModels(time=self.clock.now(), source=self.endpoint.url, models=installed),
        ]

    def delay(self, interval: float) -> float:
        """Return seconds to the next listing: at once where a worker has come or gone, else seldom."""
        if self._rows and self._runners and self._runners() != self._seen:
            return interval
        pause = LOADED_SECONDS if any(one.instances for one in self._rows) else IDLE_SECONDS
        return max(super().delay(interval), pause)


class Row(Struct, frozen=True):
    """A model of the listing."""

    key: str
    claim: ModelClaim
    """What is said of it, loaded or not."""
    size_bytes: int | None = None
    """Of its file, which is not what it takes."""
    instances: tuple[tuple[str, int | None], ...] = ()
    """Name and context of each instance that is loaded."""

    def loaded(self) -> Iterator[tuple[ModelClaim, LoadFacts]]:
        """Yield each instance, with what its file is."""
        facts = LoadFacts(weights_bytes=self.size_bytes, quantization=self.claim.quantization)
        for name, context in self.instances:
            claim = structs.replace(self.claim, name=name, context_length=context, state="ready")
            yield claim, structs.replace(facts, context_length=context)


def rows_of(listed: RawObject, path: str) -> Sequence[Row] | None:
    """Return the models of a listing; ``None`` where it is none."""
    told = fields.field(listed, "models" if path == MODELS else "data", fields.ROWS)
    if told is None:
        return None
    read = _row if path == MODELS else _older_row
    rows = (read(row) for raw in told if (row := fields.read(raw, fields.OBJECT)) is not None)
    return [row for row in rows if row is not None]


def _row(row: RawObject) -> Row | None:
    key = fields.text(row, "key")
    if key is None:
        return None
    claim = ModelClaim(
        name=key,
        format=fields.text(row, "format"),
        family=fields.text(row, "architecture"),
        parameter_size=fields.text(row, "params_string"),
        quantization=fields.text(fields.nested(row, "quantization"), "name"),
    )
    told = [
        fields.read(raw, fields.OBJECT) or {}
        for raw in fields.field(row, "loaded_instances", fields.ROWS) or ()
    ]
    instances = (
        (fields.text(one, "id"), fields.amount(fields.nested(one, "config"), "context_length"))
        for one in told
    )
    named = tuple((name, context) for name, context in instances if name is not None)
    return Row(key, claim, fields.amount(row, "size_bytes"), named)


def _older_row(row: RawObject) -> Row | None:
    """Return a row of versions before 0.4: a model is loaded once, or not."""
    key = fields.text(row, "id")
    if key is None:
        return None
    claim = ModelClaim(
        name=key, family=fields.text(row, "arch"), quantization=fields.text(row, "quantization")
    )
    is_loaded = fields.text(row, "state") == "loaded"
    return Row(key, claim, None, ((key, fields.amount(row, "loaded_context_length")),) if is_loaded else ())
