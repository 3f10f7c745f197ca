"""The source that asks one Ollama server what is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

from gpumon.collectors.clock import Clock
from gpumon.collectors.http.client import (
    MAX_LISTING_BYTES,
    FailureKind,
    HttpClient,
    Reply,
    RequestError,
    TimeLimits,
)
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.meter import is_meter
from gpumon.collectors.ollama import classify
from gpumon.collectors.ollama.bodies import BodyError, Listing, parse_ps, parse_version
from gpumon.collectors.ollama.classify import Peer
from gpumon.collectors.ollama.errands import Errands
from gpumon.collectors.ollama.pace import KnownRunners, Pace, RunnersHint
from gpumon.collectors.samples import AnySample, ModelClaim, OllamaSample, SourceHealth

VERSION_SECONDS = 60.0
DOUBTFUL_STATES = frozenset({"foreign", "nonsense"})
GREETING = b"Ollama is running"
"""The answer of ``GET /`` (ollama: server/routes.go)."""


class OllamaSource:
    """Polls ``/api/ps``; asks for the version after each recovery, for the rest in the background."""

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        limits: TimeLimits | None = None,
        runners: RunnersHint | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._client = HttpClient(endpoint, limits)
        self._pace = Pace(endpoint.is_loopback)
        self._errands = Errands(self._client, clock)
        self._runners = runners
        self._metered = False
        self.server_header: str | None = None
        """``Server`` in the latest answer: Ollama sends none, llama.cpp and proxies name themselves."""
        self._healthy = False
        self._peer: Peer | None = None
        self._version: str | None = None
        self._version_asked_at = float("-inf")

    @property
    def name(self) -> str:
        """The server's URL without credentials."""
        return self._endpoint.url

    async def poll(self) -> Sequence[AnySample]:
        """Return what ``/api/ps`` says now, then what errands have brought since the last poll."""
        sample = await self._ask()
        done = self._errands.collect()
        if sample.models is not None:
            self._errands.start(sample.models)
        return [sample, *done]

    async def settle(self) -> Sequence[AnySample]:
        """Wait for the errands that run and return what they brought: for a run of one poll."""
        await self._errands.settle()
        return self._errands.collect()

    def delay(self, interval: float) -> float:
        """Return seconds to the next poll: slower when nothing changes, doubling up to a cap on failure."""
        if self._healthy and self._errands.pending:
            return interval
        return self._pace.delay(interval, self._clock.now(), self._known_runners())

    async def close(self) -> None:
        """Cancel errands and close the connections."""
        await self._errands.close()
        await self._client.close()

    async def _ask(self) -> OllamaSample:
        self.server_header = None
        try:
            reply = await self._client.get("/api/ps", MAX_LISTING_BYTES)
        except RequestError as failure:
            return self._failed(await self._unanswered(failure.kind))
        self.server_header = reply.headers.get("server")
        health = classify.health_of_status(reply, self._endpoint)
        if health is not None:
            return self._failed(health)
        if reply.status != 200:
            return self._failed(await self._doubted(classify.problem_of_status(reply.status), reply))
        try:
            listing = parse_ps(reply.body)
        except BodyError as problem:
            return self._failed(await self._doubted(str(problem), reply))
        return await self._listed(listing, reply)

    async def _unanswered(self, kind: FailureKind) -> SourceHealth:
        answers_version = kind == "timeout" and await self._ask_version() is not None
        return classify.health_of_failure(kind, self._endpoint, answers_version)

    async def _doubted(self, problem: str, reply: Reply) -> SourceHealth:
        """Settle once per spell of doubt who is at the other end."""
        if self._peer is None:
            self._peer = await self._identify()
        return classify.health_of_doubt(problem, reply.status, self._peer, self._endpoint)

    def _failed(self, health: SourceHealth) -> OllamaSample:
        self._healthy = False
        self._pace.failed()
        if health.state not in DOUBTFUL_STATES:
            self._peer = None
        return OllamaSample(time=self._clock.now(), source=self.name, health=health)

    async def _listed(self, listing: Listing[ModelClaim], reply: Reply) -> OllamaSample:
        now = self._clock.now()
        self._metered = is_meter(reply.headers.get("via"))
        self._pace.listed(listing.models, now, self._known_runners())
        await self._refresh_version(now)
        self._healthy = True
        self._peer = None
        return OllamaSample(
            time=now,
            source=self.name,
            health=classify.health_of_models(len(listing.models), listing.rejected_rows),
            version=self._version,
            models=listing.models,
            rejected_rows=listing.rejected_rows,
            clock_offset_seconds=clock_offset(reply.headers.get("date"), now),
            metered=self._metered,
        )

    def _known_runners(self) -> KnownRunners | None:
        """Return what is known of the runners; what a meter counts is asked for at the user's interval."""
        return None if self._runners is None or self._metered else self._runners()

    async def _refresh_version(self, now: float) -> None:
        """Ask after a recovery, when the server may have been updated, and once a minute."""
        if not self._healthy:
            self._errands.retry()
        if not self._healthy or now - self._version_asked_at >= VERSION_SECONDS:
            self._version_asked_at = now
            self._version = await self._ask_version()

    async def _ask_version(self) -> str | None:
        try:
            reply = await self._client.probe("/api/version")
        except RequestError:
            return None
        return parse_version(reply.body) if reply.status == 200 else None

    async def _identify(self) -> Peer:
        try:
            greeting = await self._client.probe("/")
        except RequestError:
            return Peer(is_ollama=False)
        if greeting.body.strip() != GREETING:
            return Peer(is_ollama=False)
        return Peer(is_ollama=True, version=await self._ask_version())


def clock_offset(date: str | None, now: float) -> float | None:
    """Return the server's clock minus ours in seconds, from the HTTP ``Date`` header (RFC 9110, 6.6.1).

    The header is cut to whole seconds; half a second is added, so that the error is at most that.
    """
    if date is None:
        return None
    try:
        moment = parsedate_to_datetime(date)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() + 0.5 - now
    except (ValueError, OverflowError):
        return None
