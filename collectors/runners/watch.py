"""One runner over its life: may it be asked, is it time to, and what does its silence mean."""

from __future__ import annotations

from typing import Protocol

from gpumon.collectors.clock import Clock
from gpumon.collectors.http.client import FailureKind, HttpClient, RequestError, TimeLimits
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.runners.llama_server import LlamaServer
from gpumon.collectors.runners.owner import FindOwner
from gpumon.collectors.runners.port import LIMITS, Port
from gpumon.collectors.runners.said import ForeignProgramError, Said
from gpumon.collectors.runners.status import StatusRunner, dialect_of
from gpumon.collectors.runners.target import RunnerTarget
from gpumon.collectors.samples import RunnerSample, RunnerState

FOREIGN = Said("foreign", "another program listens on its port")
SETTLED: frozenset[RunnerState] = frozenset({"foreign", "unreachable"})
"""Once so, never asked again."""
TROUBLED: frozenset[RunnerState] = frozenset({"busy", "failing"})
"""Asked less and less often."""
MAX_BACKOFF_SECONDS = 8.0

_WORDS: dict[FailureKind, str] = {
    "refused": "connection refused",
    "reset": "connection lost",
    "timeout": "not answering",
    "connect_timeout": "not answering",
    "too_large": "answers more than is read",
}


class Conversation(Protocol):
    """What is asked of one kind of runner."""

    refused_state: RunnerState
    """What it means that the port refuses before the first answer."""

    async def ask(self, active: bool | None, /) -> Said | None:
        """Ask what is due."""
        ...

    def forget(self) -> None:
        """Start from the beginning."""
        ...


class Watch:
    """Polls one target."""

    def __init__(
        self, target: RunnerTarget, clock: Clock, find_owner: FindOwner, limits: TimeLimits = LIMITS
    ) -> None:
        self.target = target
        self._clock = clock
        self._find_owner = find_owner
        self._port = Port(HttpClient(parse_endpoint(target.url), limits))
        self._conversation = _conversation(target, self._port, clock)
        self._answered = False
        self._owner_known = False
        self._settled = False
        self._failures = 0
        self._next_at = float("-inf")

    async def poll(self, active: bool | None) -> RunnerSample | None:
        """Ask what is due and return what was said; ``None`` where nothing is."""
        if self._settled or self._clock.now() < self._next_at:
            return None
        said = await self._ask(active)
        if said is None:
            return None
        self._pace(said.state)
        return RunnerSample(
            time=self._clock.now(),
            source=f"runner {self.target.pid}",
            pid=self.target.pid,
            started=self.target.started,
            port=self.target.port,
            state=said.state,
            detail=said.detail,
            progress=said.progress,
            facts=said.facts,
            slots=said.slots,
            counters=said.counters,
        )

    async def close(self) -> None:
        """Close the connection."""
        await self._port.close()

    def _pace(self, state: RunnerState) -> None:
        self._settled = state in SETTLED
        self._failures = self._failures + 1 if state in TROUBLED else 0
        if self._failures:
            seconds = min(2.0 ** (self._failures - 1), MAX_BACKOFF_SECONDS)
            self._next_at = self._clock.now() + seconds

    async def _ask(self, active: bool | None) -> Said | None:
        if self.target.obstacle is not None:
            return Said("unreachable", self.target.obstacle)
        try:
            if not self._owner_known and (said := await self._check_owner()):
                return said
            said = await self._conversation.ask(active)
        except ForeignProgramError:
            return FOREIGN
        except RequestError as failure:
            return self._failed(failure.kind)
        self._answered = True
        return said

    async def _check_owner(self) -> Said | None:
        """Look once a load who listens on the port; return what settles the matter without a request."""
        ownership = await self._find_owner(self.target)
        if ownership == "other":
            return FOREIGN
        if ownership == "closed":
            return self._failed("refused")
        self._port.trusted = ownership == "own"
        self._owner_known = True
        return None

    def _failed(self, kind: FailureKind) -> Said:
        self._conversation.forget()
        self._owner_known = False
        if kind == "not_http" and not self._port.trusted:
            return FOREIGN
        if kind == "refused" and not self._answered:
            return Said(self._conversation.refused_state)
        return Said("failing", _WORDS.get(kind, "answers what cannot be understood"))


def _conversation(target: RunnerTarget, port: Port, clock: Clock) -> Conversation:
    if target.kind == "llama_server":
        return LlamaServer(port, clock, target.may_sleep)
    return StatusRunner(port, clock, dialect_of(target.kind))
