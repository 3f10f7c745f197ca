"""The conversation with a server at a URL: what every kind needs, so that a new one writes only what it asks.

A kind whose server answers a GET with JSON overrides ``look`` and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from msgspec import Struct, json, structs

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import (
    MAX_LISTING_BYTES,
    MAX_PROBE_BYTES,
    HttpClient,
    Reply,
    TimeLimits,
    status_words,
)
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import (
    AnySample,
    LoadFacts,
    ModelClaim,
    ModelState,
    Said,
    ServerSample,
    SourceHealth,
    WorkSample,
)
from gpumon.collectors.servers.health import (
    DENIED,
    foreign,
    health_of_failure,
    health_of_status,
    problem_words,
)
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.port import ForeignProgramError
from gpumon.collectors.servers.talk import Asked
from gpumon.collectors.source import Backoff

REMOTE_IDLE_SECONDS = 2.0
FAILURE_CAP_SECONDS = 10.0
FORBIDDEN_SECONDS = 60.0
"""After the first refusal of a key: it may be the server's that is about to change."""
KEYLESS_SECONDS = 900.0
"""After a refusal where we have no key, and at most where we have one: nothing will be otherwise until the
settings are, or the server's are, and each refusal may be a warning in its log."""


class Refusals:
    """How long to wait after a server has refused to answer."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._first = FORBIDDEN_SECONDS if endpoint.sends_key else KEYLESS_SECONDS
        self.seconds: float | None = None
        """``None`` where it has not refused at the latest question."""

    def note(self, health: SourceHealth | None) -> None:
        """Record how a question went, ``None`` is well; what a proxy denies it may let through soon."""
        if health is None or health.state != "forbidden":
            self.seconds = None
        elif health.detail == DENIED:
            self.seconds = FORBIDDEN_SECONDS
        else:
            self.seconds = self._first if self.seconds is None else min(2 * self.seconds, KEYLESS_SECONDS)


class UnusableError(Exception):
    """It answers, and not as a server of this kind that may be asked does."""

    def __init__(self, health: SourceHealth) -> None:
        super().__init__(health.detail)
        self.health = health


class Retry:
    """How long to wait after a poll that failed: twice as long each time, and much longer after a refusal."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._backoff = Backoff(1.0, FAILURE_CAP_SECONDS)
        self._refusals = Refusals(endpoint)

    def note(self, health: SourceHealth | None) -> None:
        """Record how a poll went: ``None`` is well."""
        self._refusals.note(health)
        if health is None:
            self._backoff.succeeded()
        else:
            self._backoff.failed()

    def delay(self, interval: float) -> float | None:
        """Return seconds between the starts of two polls; ``None`` where the last one went well."""
        if self._refusals.seconds is not None:
            return max(interval, self._refusals.seconds)
        return max(interval, self._backoff.current) if self._backoff.current else None


class Look(Struct, frozen=True, kw_only=True):
    """What one look at a server came to."""

    health: SourceHealth | None = None
    """``None``: it serves models, or has none."""
    models: tuple[ModelClaim, ...] = ()
    """Those that are loaded, loading or asleep."""
    version: str | None = None
    work: tuple[tuple[str, Said], ...] = ()
    """What was asked of a model's work, by its name."""
    origin: str | None = None
    """Where counters or rates stand, shown beside them: a path."""


class Conversation(ABC):
    """Polls one server. Failure of whatever sort becomes a sample with a state, words and a hint."""

    def __init__(self, kind: ServerKind, asked: Asked) -> None:
        self.kind = kind
        self.endpoint = asked.endpoint
        self.clock = asked.clock
        self.client = HttpClient(asked.endpoint, asked.limits)
        self._retry = Retry(asked.endpoint)
        self._works = False
        self.replies: dict[str, Reply] = {}
        self._lacking: set[str] = set()
        """Paths that this version does not have."""

    @abstractmethod
    async def look(self) -> Look:
        """Ask what is due and return what was said.

        Raises:
            RequestError: it does not answer.
            UnusableError: it answers, and not as it should.
        """

    @property
    def busy(self) -> bool:
        """Whether a request was under way at the latest look."""
        return self._works

    def forget(self) -> None:
        """Start again after a look that failed; for kinds that remember something."""
        self.replies.clear()
        self._lacking.clear()

    async def poll(self) -> Sequence[AnySample]:
        """Look once; return how the server is, with its models, then the work of each model."""
        self.replies.clear()
        try:
            look = await self.look()
        except UnusableError as problem:
            return [self._failed(problem.health)]
        except RequestError as failure:
            return [self._failed(health_of_failure(failure.kind, self.endpoint, self.kind))]
        self._retry.note(None)
        self._works = any(is_busy(said) for _, said in look.work)
        return [
            self._server_sample(look),
            *(self._work_sample(name, said, look.origin) for name, said in look.work),
        ]

    def delay(self, interval: float) -> float:
        """Return seconds to the next poll: slower when idle and far away, and when it fails."""
        failing = self._retry.delay(interval)
        if failing is not None:
            return failing
        near = self.endpoint.is_loopback or self.busy
        return interval if near else max(interval, REMOTE_IDLE_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    async def get(self, path: str, max_bytes: int = MAX_LISTING_BYTES) -> Reply:
        """GET ``path`` and return the 200; raise as ``look`` does."""
        reply = await self.get_if_served(path, max_bytes)
        if reply is None:
            raise UnusableError(foreign(self.endpoint, self.kind))
        return reply

    async def get_if_served(self, path: str, max_bytes: int = MAX_LISTING_BYTES) -> Reply | None:
        """Do the same for a path that not every version serves; ``None`` where it does not (404)."""
        reply = self.replies[path] = await self.client.get(path, max_bytes)
        return self.usable(reply)

    def usable(self, reply: Reply) -> Reply | None:
        """Return an answer that is a 200, ``None`` for a 404; raise as ``look`` does for any other."""
        health = health_of_status(reply, self.endpoint, self.kind)
        if health is not None:
            raise UnusableError(health)
        if reply.status == 404:
            return None
        if reply.status != 200:
            detail = status_words(reply.status)
            raise UnusableError(SourceHealth(state="nonsense", detail=detail))
        return reply

    async def get_object(self, path: str) -> RawObject:
        """GET ``path`` and return the JSON object that it answers; raise as ``look`` does.

        Read its fields with ``gpumon.collectors.http.fields``: what has another type than it should is
        ``None``.
        """
        return self.object_of(await self.get(path), path)

    def object_of(self, reply: Reply, path: str) -> RawObject:
        """Return the JSON object of an answer to ``path``; raise as ``look`` does."""
        body = reply.body
        values = fields.read(body, fields.OBJECT)
        if values is None and fields.read(body, fields.ANYTHING) is None:
            raise UnusableError(foreign(self.endpoint, self.kind))
        if values is None:
            raise UnusableError(SourceHealth(state="nonsense", detail=f"{path} is not a JSON object"))
        return values

    async def get_optional(self, path: str) -> RawObject | None:
        """GET a path that some versions lack, those once; ``None`` where no object comes."""
        if path in self._lacking:
            return None
        reply = self.replies[path] = await self.client.get(path, MAX_LISTING_BYTES)
        if reply.status == 404:
            self._lacking.add(path)
        return fields.read(reply.body, fields.OBJECT) if reply.status == 200 else None

    def refused(self, health: SourceHealth) -> ServerSample:
        """Return that it does not let us ask, as was said to the question of another kind."""
        wants_key = health.detail == ServerKind.key_words
        own = SourceHealth(state="forbidden", detail=self.kind.key_words, hint=self.kind.key_hint)
        return self._failed(own if wants_key else health)

    def _server_sample(self, look: Look) -> ServerSample:
        return ServerSample(
            time=self.clock.now(),
            source=self.endpoint.url,
            kind=self.kind.name,
            health=look.health or SourceHealth(state="serving" if look.models else "idle"),
            version=look.version,
            models=look.models,
        )

    def _failed(self, health: SourceHealth) -> ServerSample:
        self._retry.note(health)
        self.forget()
        return ServerSample(
            time=self.clock.now(), source=self.endpoint.url, kind=self.kind.name, health=health
        )

    def _work_sample(self, name: str, said: Said, origin: str | None) -> WorkSample:
        return work_sample(said, self.clock.now(), self.endpoint.url, model=name, origin=origin)


def work_sample(
    said: Said,
    time: float,
    source: str,
    *,
    model: str | None = None,
    process: tuple[int, float, int | None] | None = None,
    origin: str | None = None,
) -> WorkSample:
    """Return what was said as a sample of a ``model`` by name, or of a ``process`` (PID, start, port)."""
    pid, started, port = process or (None, None, None)
    if origin is not None and said.origin is None:
        said = structs.replace(said, origin=origin)
    return WorkSample(
        *structs.astuple(said),
        time=time,
        source=source,
        model=model,
        pid=pid,
        started=started,
        port=port,
    )


def is_busy(said: Said) -> bool:
    """Whether a request is under way."""
    running = said.counters.requests_processing if said.counters else None
    return said.state == "busy" or bool(running) or any(slot.processing for slot in said.slots or ())


class OwnPort:
    """Asks the process of one model on its own port as its server would be asked by a URL."""

    refused_state: ModelState = "starting"

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._refusals = Refusals(conversation.endpoint)
        self._resume_at = float("-inf")

    async def ask(self, _active: bool | None, /) -> Said | None:
        """Return what it says of its only model; ``None`` after a refusal. Raise ``RequestError``."""
        now = self._conversation.clock.now()
        if now < self._resume_at:
            return None
        try:
            look = await self._conversation.look()
        except UnusableError as problem:
            if problem.health.state == "foreign":
                raise ForeignProgramError from None
            return self._refused(problem.health, now)
        self._refusals.note(None)
        return _of_only_model(look)

    def _refused(self, health: SourceHealth, now: float) -> Said:
        refused = health.state == "forbidden"
        self._refusals.note(health)
        self._resume_at = now + (self._refusals.seconds or 0.0)
        words = (health.detail, health.hint if refused else None)
        return Said("failing", "; ".join(filter(None, words)))

    def forget(self) -> None:
        """Start again."""
        self._conversation.forget()

    async def close(self) -> None:
        """Close the connection."""
        await self._conversation.close()


def _of_only_model(look: Look) -> Said:
    """Return the work of a server's only model, with where its figures stand."""
    said = look.work[0][1] if look.work else Said(look.models[0].state or "ready" if look.models else "ready")
    claim = look.models[0] if look.models else None
    facts = said.facts or (LoadFacts(context_length=claim.context_length) if claim else None)
    if facts is not None and claim is not None:
        facts = structs.replace(facts, model_name=claim.name)
    return structs.replace(said, facts=facts, origin=said.origin or look.origin)


UNLOAD_LIMITS = TimeLimits(total=15.0)
"""A server may wait for the requests that run before it answers."""


async def post(
    endpoint: Endpoint,
    kind: ServerKind,
    path: str,
    body: Mapping[str, object],
    limits: TimeLimits = UNLOAD_LIMITS,
) -> str | None:
    """Ask for what the user has said yes to; return what went wrong in one line, ``None`` if it was done."""
    client = HttpClient(endpoint, limits)
    try:
        reply = await client.post(path, json.encode(body), MAX_PROBE_BYTES)
    except RequestError as failure:
        return health_of_failure(failure.kind, endpoint, kind).detail
    finally:
        await client.close()
    if 200 <= reply.status < 300:
        return None
    return problem_words(reply, endpoint, health_of_status(reply, endpoint, kind))
