"""One URL of a server of models: told by its answers which kind it is, and asked as such."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from gpumon.collectors.http.client import HttpClient, Reply
from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.samples import AnySample, ServerSample, SourceHealth
from gpumon.collectors.servers.conversation import Conversation
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import DEFAULT, FAULTS, REGISTRY, Registry
from gpumon.collectors.servers.talk import Asked, Talk
from gpumon.collectors.source import log_defect

BEGINNING_BYTES = 16
"""Of an answer: what comes later may be another each time."""
WELL = frozenset({"serving", "idle"})


class Answered:
    """What a URL has answered to the usual question, and a way to ask it more while that leaves doubt."""

    def __init__(self, client: HttpClient, seen: Mapping[str, Reply], *, may_ask: bool) -> None:
        self._client = client
        self._replies: dict[str, Reply | None] = dict(seen)
        self._latest = next(reversed(list(seen.values())), None)
        self._may_ask = may_ask

    @property
    def seen(self) -> Mapping[str, Reply]:
        """Answers that are there already, by path."""
        return {path: reply for path, reply in self._replies.items() if reply is not None}

    @property
    def count(self) -> int:
        """How many paths have been asked for so far."""
        return len(self._replies)

    def header(self, name: str) -> str | None:
        """Return a header of the latest answer, errors included."""
        return self._latest.headers.get(name) if self._latest else None

    async def get(self, path: str) -> Reply | None:
        """GET ``path`` once for all kinds; ``None`` where there is no answer, or none may be asked for."""
        if path not in self._replies and self._may_ask:
            try:
                self._replies[path] = await self._client.probe(path)
            except RequestError:
                self._replies[path] = None
        return self._replies.get(path)


class ServerSource:
    """Asks as the expected kind until another recognises the answers, then as that while it answers.

    ``expected`` is the kind that its process shows it to be; else the default one.
    """

    def __init__(
        self, asked: Asked, registry: Registry = REGISTRY, expected: ServerKind | None = None
    ) -> None:
        self._looked_into = asyncio.Event()
        """Set while no answer waits to be looked into."""
        asked = self._asked = replace(asked, is_believed=self._is_believed)
        self._registry = registry
        talk = expected.converse(asked) if expected is not None else None
        self._expected: ServerKind = expected if expected is not None and talk is not None else DEFAULT
        self._usual: Talk = talk or DEFAULT.converse(asked)
        self._other: Talk | None = None
        self._other_kind: ServerKind = DEFAULT
        self._kinds_failed = False
        """Whether a kind has failed over the answers of this poll."""
        self._doubted: dict[str, tuple[int, bytes]] | None = None
        """The foreign answers that have been looked into last, by path: one spell. Some servers answer all
        they do not know with 200, so how an answer begins counts as well as its status."""
        self._believed = False
        """Whether this spell of good answers has been checked against kinds that imitate the default."""

    @property
    def name(self) -> str:
        """The server's URL without credentials."""
        return self._asked.endpoint.url

    async def poll(self) -> Sequence[AnySample]:
        """Return what the server says now, whichever kind it is, and how gpumon came to ask it."""
        self._kinds_failed = False
        samples = self._told_by(await self._poll())
        if not self._kinds_failed:
            return samples
        return [*samples, *self._registry.problem_samples(self._asked.clock.now())]

    def _told_by(self, samples: Sequence[AnySample]) -> Sequence[AnySample]:
        first, known_by = samples[0], self._asked.known_by
        if known_by == "url" or not isinstance(first, ServerSample):
            return samples
        health, address = first.health, self._asked.endpoint.authority
        health = _of_a_process(health, address) if known_by == "process" else health
        return [replace(first, known_by=known_by, health=health), *samples[1:]]

    async def _is_believed(self) -> bool:
        await self._looked_into.wait()
        return self._other is None

    async def _poll(self) -> Sequence[AnySample]:
        self._looked_into.clear()
        try:
            return await self._poll_as_known()
        finally:
            self._looked_into.set()

    async def _poll_as_known(self) -> Sequence[AnySample]:
        if self._other is not None:
            samples = await self._poll_other(self._other)
            if _health(samples).state != "foreign":
                return samples
            await self._leave(self._other)
        samples = await self._usual.poll()
        found = await self._recognised(_health(samples))
        if found is None:
            return samples
        self._other = found
        health = _health(samples)
        if health.state == "forbidden" and isinstance(found, Conversation):
            return [found.refused(health)]  # asked as itself it would refuse once more
        return await self._poll_other(found)

    async def _poll_other(self, other: Talk) -> Sequence[AnySample]:
        """Ask as another kind; one that raises is named as the server that it speaks for."""
        try:
            return await other.poll()
        except FAULTS as error:
            log_defect(f"source {self.name}", error)
            health = SourceHealth(state="failing", detail=f"internal error: {type(error).__name__}")
            now, kind = self._asked.clock.now(), self._other_kind.name
            return [ServerSample(time=now, source=self.name, kind=kind, health=health)]

    def delay(self, interval: float) -> float:
        """Return seconds to the next poll, as the server that answers wants it."""
        return (self._other or self._usual).delay(interval)

    async def close(self) -> None:
        """Close the connections."""
        if self._other is not None:
            await self._other.close()
        await self._usual.close()

    async def _leave(self, left: Talk) -> None:
        self._other, self._doubted, self._believed = None, None, False
        await left.close()

    async def _recognised(self, health: SourceHealth) -> Talk | None:
        """Return a conversation with the kind that has given these answers; ``None`` for the expected one."""
        if health.state in WELL:
            self._doubted = None
            is_first, self._believed = not self._believed, True
            return await self._first(may_ask=True, imitators=True) if is_first else None
        self._believed = False
        replies = self._usual.replies.items()
        said = {path: (reply.status, reply.body[:BEGINNING_BYTES]) for path, reply in replies}
        may_ask = health.state == "foreign" and said != self._doubted
        self._doubted = said if may_ask else self._doubted
        return await self._first(may_ask=may_ask, imitators=False)

    async def _first(self, *, may_ask: bool, imitators: bool) -> Talk | None:
        seen = self._usual.replies
        if not (seen or may_ask):
            return None
        client = HttpClient(self._asked.endpoint, self._asked.limits)
        answers = Answered(client, seen, may_ask=may_ask)
        try:
            for kind in self._registry.kinds():
                expected = self._expected
                is_candidate = kind.imitates == expected.name if imitators else kind is not expected
                if not is_candidate:
                    continue
                talk = await self._talk(kind, answers)
                if talk is not None:
                    self._other_kind = kind
                    return talk
        finally:
            await client.close()
        return None

    async def _talk(self, kind: ServerKind, answers: Answered) -> Talk | None:
        """Return a conversation if ``kind`` recognises the answers; one that fails costs itself only.

        One that had to ask for more is trusted: no header has told it.
        """
        before = answers.count
        try:
            if not await kind.recognise(answers):
                return None
            return kind.converse(replace(self._asked, trusted=answers.count > before))
        except FAULTS as error:
            self._registry.note_problem(kind.name, error)
            self._kinds_failed = True
            return None


def _of_a_process(health: SourceHealth, address: str) -> SourceHealth:
    """Return the health where the process is there: it need not be started, but may not listen yet.

    Where its settings and sockets may not be read, it was only likely to be found at that address.
    """
    if health.state == "foreign":
        detail = f"its port may not be read; another program answers at {address}"
        return SourceHealth(
            state="foreign", detail=detail, hint="name it: gpumon --url http://127.0.0.1:PORT"
        )
    if health.state != "not_running":
        return health
    return SourceHealth(state="refused", detail=health.detail, hint="its process runs: see its own log")


def _health(samples: Sequence[AnySample]) -> SourceHealth:
    first = samples[0]
    return first.health if isinstance(first, ServerSample) else SourceHealth(state="failing")
