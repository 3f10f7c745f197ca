"""The conversation with an image generator: slow while it rests, and what may be missing costs nothing."""

from __future__ import annotations

from abc import abstractmethod

from msgspec import structs

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import TimeLimits
from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import LoadFacts, ModelClaim, PictureJob, RunnerSettings, Said, WorkCounters
from gpumon.collectors.servers.conversation import Conversation, Look, UnusableError
from gpumon.collectors.servers.health import foreign
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.talk import Asked

RESTING_SECONDS = 3.0
"""Between two looks at one that has nothing to do."""
FIRST_LOOKS = 3
"""So many are as close as the user wants them: whoever looks once waits for no more."""
UNLOAD_LIMITS = TimeLimits(total=30.0)
NEVER_AGAIN = frozenset({400, 401, 403, 404, 405, 501})
MIB = 1024**2


class PictureConversation(Conversation):
    """Asks one generator; a kind writes ``ask``."""

    def __init__(self, kind: ServerKind, asked: Asked) -> None:
        super().__init__(kind, asked)
        self.forget()

    def forget(self) -> None:
        """Start again: nothing is known, and nothing was refused."""
        super().forget()
        self._refused: set[str] = set()
        self._kept: Look | None = None
        self._kept_until = 0.0
        self._due: dict[str, float] = {}
        self._job: str | None = None
        self._began: float | None = None
        self._rested = False
        self._looks = 0

    @abstractmethod
    async def ask(self) -> Look:
        """Ask what is due, as ``look`` does."""

    async def look(self) -> Look:
        """Return what it says now; while it rests what it said a moment ago."""
        now = self.clock.now()
        self._looks += 1
        if self._kept is None or now >= self._kept_until:
            self._kept = await self.ask()
            works = any(said.job is not None for _, said in self._kept.work)
            self._kept_until = now if works else now + RESTING_SECONDS
        return self._kept

    def delay(self, interval: float) -> float:
        """Return seconds to the next poll: longer while it rests."""
        delay = super().delay(interval)
        return delay if self.busy or self._looks < FIRST_LOOKS else max(delay, RESTING_SECONDS)

    async def optional(self, path: str, max_bytes: int) -> RawObject | None:
        """GET an object that need not be there; one that is refused, or too large, is not asked for again."""
        if path in self._refused:
            return None
        try:
            reply = await self.client.get(path, max_bytes)
        except RequestError as failure:
            self._refused |= {path} if failure.kind == "too_large" else set()
            return None
        self._refused |= {path} if reply.status in NEVER_AGAIN else set()
        return fields.read(reply.body, fields.OBJECT) if reply.status == 200 else None

    def not_itself(self) -> UnusableError:
        """Return what to raise where an answer is none of this kind's."""
        return UnusableError(foreign(self.endpoint, self.kind))

    def is_due(self, what: str, seconds: float) -> bool:
        """Return whether ``what`` is to be asked for, which is then done once in ``seconds``."""
        now = self.clock.now()
        if now < self._due.get(what, float("-inf")):
            return False
        self._due[what] = now + seconds
        return True

    def answer(
        self,
        facts: LoadFacts,
        job: PictureJob | None,
        *,
        counted: bool = True,
        settings: RunnerSettings | None = None,
        detail: str | None = None,
        origin: str | None = None,
    ) -> Look:
        """Return the look: the generator's one row, and what it does where that is ``counted``."""
        claim: ModelClaim = self.kind.claim_of(self.kind.label, settings, facts)
        waiting = None if job is None else job.waiting
        running = WorkCounters(
            grows_live=True, requests_processing=int(job is not None), requests_deferred=waiting
        )
        said = Said(
            "ready",
            detail=detail,
            facts=facts,
            counters=running if counted else None,
            job=job and structs.replace(job, started=self._beginning(job)),
        )
        self._rested = job is None
        return Look(
            models=(structs.replace(claim, state="ready"),),
            version=facts.build,
            work=((claim.name, said),),
            origin=origin,
        )

    def _beginning(self, job: PictureJob) -> float | None:
        """Return when a job began: when it was first seen, where that was its beginning."""
        name = job.job_id or "?"
        if self._job != name or self._rested:
            is_seen = self._rested or self._job is not None
            self._job, self._began = name, self.clock.now() if is_seen else None
        return job.started or self._began
