"""Asks every runner on its own port: whether it may be asked, when it is time to, what its silence means."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from msgspec import structs

from gpumon.collectors.http.client import HttpClient, TimeLimits
from gpumon.collectors.http.endpoint import Endpoint, parse_endpoint
from gpumon.collectors.http.failure import FailureKind, RequestError
from gpumon.collectors.processes.owners import entrance
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.processes.sockets import own_listeners
from gpumon.collectors.runners.target import NO_PORT, RunnerTarget
from gpumon.collectors.samples import AnySample, ModelState, Said, ServerSample, SourceHealth, WorkSample
from gpumon.collectors.servers.conversation import Conversation, OwnPort, work_sample
from gpumon.collectors.servers.port import LIMITS, ForeignProgramError, Port
from gpumon.collectors.servers.registry import kind_of_runner
from gpumon.collectors.servers.talk import Asked, RunnerTalk
from gpumon.collectors.source import Clock
from gpumon.collectors.worker import Worker

FOREIGN = Said("foreign", "another program listens on its port")
SETTLED: frozenset[ModelState] = frozenset({"foreign", "unreachable"})
"""Once so, never asked again."""
TROUBLED: frozenset[ModelState] = frozenset({"busy", "failing"})
"""Asked less and less often."""
MAX_BACKOFF_SECONDS = 8.0

_WORDS: dict[FailureKind, str] = {
    "refused": "connection refused",
    "reset": "connection lost",
    "timeout": "not answering",
    "connect_timeout": "not answering",
    "too_large": "answers more than is read",
}


Ownership = Literal[
    "own",
    "other",  # another program listens there
    "closed",  # nobody does
    "unknown",  # another user's process: its sockets cannot be seen
]
FindOwner = Callable[[RunnerTarget], Awaitable[Ownership]]

EndpointOf = Callable[[str], Endpoint]
"""Returns how to reach a URL: with the headers that the user has set for it."""

CONNECT_SECONDS = 1.0


class PortOwner:
    """Looks up listeners in ``/proc``, off the event loop."""

    def __init__(self, worker: Worker, proc: Proc | None = None) -> None:
        self._worker = worker
        self._proc = proc or Proc()

    async def __call__(self, target: RunnerTarget) -> Ownership:
        """Return who owns the port of ``target``.

        A connection that sends nothing tells a port that is not open yet from another program's; the second
        look is for a runner that has opened it in between.
        """
        first = await self._listens(target)
        if first is not False:
            return "unknown" if first is None else "own"
        if target.other_namespace:
            return "closed"
        if not await accepts(target):
            return "closed"
        return "own" if await self._listens(target) else "other"

    async def _listens(self, target: RunnerTarget) -> bool | None:
        return await self._worker.run(lambda: listens(self._proc, target))


def listens(proc: Proc, target: RunnerTarget) -> bool | None:
    """Whether the process of ``target`` listens on its port; ``None`` where it may not be seen."""
    try:
        return any(listener.port == target.port for listener in own_listeners(proc, target.pid))
    except OSError:
        return None


async def accepts(target: RunnerTarget) -> bool:
    """Whether anybody takes a connection on the port of ``target``."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(target.address, target.port)
    except OSError:  # TimeoutError is one
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


class Watch:
    """Polls one target."""

    def __init__(
        self,
        target: RunnerTarget,
        clock: Clock,
        find_owner: FindOwner,
        limits: TimeLimits = LIMITS,
        endpoint_of: EndpointOf = parse_endpoint,
    ) -> None:
        self.target = target
        self._clock = clock
        self._find_owner = find_owner
        is_hidden = target.other_namespace and (target.published is None or target.at_own_address)
        inside = structs.replace(target, entrance=entrance(target.pid)) if is_hidden else target
        self._obstacle = inside.obstacle
        self._port = Port(HttpClient(_endpoint(inside, endpoint_of), limits))
        self._port.wants_key = target.wants_key
        self._talk = talk_with(inside, self._port, clock, endpoint_of)
        self._answered = False
        self._owner_known = False
        self._settled = False
        self._failures = 0
        self._next_at = float("-inf")

    async def poll(self, active: bool | None) -> WorkSample | None:
        """Ask what is due and return what was said; ``None`` where nothing is."""
        if self._settled or self._clock.now() < self._next_at:
            return None
        said = await self._ask(active)
        if said is None:
            return None
        self._pace(said.state)
        return self.sample(said)

    def sample(self, said: Said) -> WorkSample:
        """Return what was said as a sample."""
        target = self.target
        process = (target.pid, target.started, target.port)
        return work_sample(said, self._clock.now(), f"runner {target.pid}", process=process)

    @property
    def wants_key(self) -> bool:
        """Whether it has refused to answer without a key, and this is the first to be told of it."""
        return self._port.wants_key and not self.target.wants_key

    async def close(self) -> None:
        """Close the connection."""
        await self._talk.close()
        await self._port.close()

    def _pace(self, state: ModelState) -> None:
        self._settled = state in SETTLED
        self._failures = self._failures + 1 if state in TROUBLED else 0
        if self._failures:
            seconds = min(2.0 ** (self._failures - 1), MAX_BACKOFF_SECONDS)
            self._next_at = self._clock.now() + seconds

    async def _ask(self, active: bool | None) -> Said | None:
        if self._obstacle is not None:
            return Said("unreachable", self._obstacle)
        try:
            if not self._owner_known and (said := await self._check_owner()):
                return said
            said = await self._talk.ask(active)
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
        self._talk.forget()
        self._owner_known = False
        if kind == "not_http" and not self._port.trusted:
            return FOREIGN
        if kind == "refused" and not self._answered:
            return Said(self._talk.refused_state)
        return Said("failing", _WORDS.get(kind, "answers what cannot be understood"))


class _Silent:
    """A process of a kind that has no port to ask."""

    refused_state: ModelState = "unreachable"

    async def ask(self, _active: bool | None, /) -> Said:
        """Return that nothing can be asked."""
        return Said("unreachable", NO_PORT)

    def forget(self) -> None:
        """Nothing is remembered."""

    async def close(self) -> None:
        """Nothing is open."""


def _endpoint(target: RunnerTarget, endpoint_of: EndpointOf = parse_endpoint) -> Endpoint:
    """Return how to reach the port of a process, in a container that publishes none from the inside."""
    return dataclasses.replace(endpoint_of(target.url), namespace=target.entrance, is_here=True)


def talk_with(
    target: RunnerTarget, port: Port, clock: Clock, endpoint_of: EndpointOf = parse_endpoint
) -> RunnerTalk:
    """Return the conversation with a runner, as its kind has it."""
    kind = kind_of_runner(target.kind)
    own = kind.converse_with_runner(target.kind, port, clock, may_sleep=target.may_sleep)
    if own is not None or target.obstacle is not None:
        return own or _Silent()
    asked = Asked(endpoint=_endpoint(target, endpoint_of), clock=clock, limits=LIMITS, trusted=True)
    talk = kind.converse(asked)
    return OwnPort(talk) if isinstance(talk, Conversation) else _Silent()


PATIENCE_SECONDS = 0.2
"""A runner that answers later is heard in a later poll, so that it does not hold up the others."""

IsActive = Callable[[int], bool | None]
"""Whether the process with a PID seems to work; ``None`` where that cannot be told."""


class RunnersSource:
    """Polls the runners that ``targets`` names, side by side, each with one request in flight."""

    def __init__(
        self,
        clock: Clock,
        targets: Callable[[], Sequence[RunnerTarget]],
        active: IsActive | None = None,
        limits: TimeLimits = LIMITS,
        find_owner: FindOwner | None = None,
        endpoint_of: EndpointOf = parse_endpoint,
    ) -> None:
        self._clock = clock
        self._endpoint_of = endpoint_of
        self._refusals: dict[str, ServerSample] = {}
        """What is said of those that want a key, by URL: once, and again when they have gone."""
        self._targets = targets
        self._active = active
        self._limits = limits
        self._worker = Worker("port owners")
        self._find_owner = find_owner or PortOwner(self._worker)
        self._watches: dict[tuple[int, float], Watch] = {}
        self._asked: dict[tuple[int, float], asyncio.Task[WorkSample | None]] = {}

    @property
    def name(self) -> str:
        """The source as a whole; a sample names its runner."""
        return "runners"

    async def poll(self) -> Sequence[AnySample]:
        """Ask whom it is time to ask; return what has been said since the last poll."""
        await self._follow(self._targets())
        for key, watch in self._watches.items():
            if key not in self._asked:
                self._asked[key] = asyncio.ensure_future(watch.poll(self._is_active(watch.target.pid)))
        if self._asked:
            await asyncio.wait(self._asked.values(), timeout=PATIENCE_SECONDS)
        return [*self._collect(), *self._news_of_keys()]

    def delay(self, interval: float) -> float:
        """Return the user's interval: whether a runner is asked at a turn is up to its watch."""
        return interval

    async def close(self) -> None:
        """Cancel what is under way and close the connections."""
        await self._follow(())
        self._worker.close()

    def _is_active(self, pid: int) -> bool | None:
        return None if self._active is None else self._active(pid)

    def _news_of_keys(self) -> list[ServerSample]:
        """Return, of those that want a key, who is new among them and who has gone."""
        wanting = {one.target.url: one.target.kind for one in self._watches.values() if one.wants_key}
        gone = [self._refusals.pop(url) for url in self._refusals.keys() - wanting.keys()]
        new = {url: self._refusal(url, kind) for url, kind in wanting.items() if url not in self._refusals}
        self._refusals |= new
        now, absent = self._clock.now(), SourceHealth(state="absent", detail="its process has ended")
        return [*(structs.replace(one, time=now, health=absent) for one in gone), *new.values()]

    def _refusal(self, url: str, runner: str) -> ServerSample:
        kind = kind_of_runner(runner)
        health = SourceHealth(state="forbidden", detail=kind.key_words, hint=kind.key_hint)
        return ServerSample(
            time=self._clock.now(), source=url, kind=kind.name, health=health, known_by="process"
        )

    def _collect(self) -> list[WorkSample]:
        done = [key for key, task in self._asked.items() if task.done()]
        samples = [self._result(key) for key in done]
        said = [sample for sample in samples if sample is not None]
        return sorted(said, key=lambda sample: sample.time)

    def _result(self, key: tuple[int, float]) -> WorkSample | None:
        """Return what a watch has brought; one that failed costs its own runner only."""
        task = self._asked.pop(key)
        if task.cancelled():
            return None
        error = task.exception()
        if error is None:
            return task.result()
        return self._watches[key].sample(Said("failing", f"internal error: {type(error).__name__}"))

    async def _follow(self, targets: Sequence[RunnerTarget]) -> None:
        """Watch these targets and no others; what a target says of itself may be learnt later."""
        wanted = {(target.pid, target.started): target for target in targets}
        for key in list(self._watches):
            if self._watches[key].target != wanted.get(key):
                await self._drop(key)
        for key, target in wanted.items():
            if key not in self._watches:
                self._watches[key] = Watch(
                    target, self._clock, self._find_owner, self._limits, self._endpoint_of
                )

    async def _drop(self, key: tuple[int, float]) -> None:
        task = self._asked.pop(key, None)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._watches.pop(key).close()
