"""Asks one Ollama server what is loaded, and beside the polls what is asked seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

import msgspec

from gpumon.collectors.http.client import MAX_DETAIL_BYTES, MAX_LISTING_BYTES, HttpClient, Reply
from gpumon.collectors.http.failure import FailureKind, RequestError
from gpumon.collectors.meter import is_meter
from gpumon.collectors.samples import (
    AnySample,
    InstalledModel,
    InstalledModels,
    ModelClaim,
    ModelFacts,
    ServerSample,
    SourceHealth,
)
from gpumon.collectors.servers.conversation import Refusals
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.ollama import classify
from gpumon.collectors.servers.ollama.bodies import (
    BodyError,
    Listing,
    parse_ps,
    parse_show,
    parse_tags,
    parse_version,
)
from gpumon.collectors.servers.ollama.classify import Peer
from gpumon.collectors.servers.ollama.kind import GREETING
from gpumon.collectors.servers.ollama.pace import Pace
from gpumon.collectors.servers.talk import Asked, BlobsHint, IsBelieved, KnownRunners
from gpumon.collectors.source import Clock

ErrandSample = ModelFacts | InstalledModels

TAGS_SECONDS = 300.0
TAGS_RETRY_SECONDS = 30.0
SHOW_TRIES = 3
SHOWS_AT_ONCE = 4
"""Per poll, so that a server with many models is not asked about all of them in a burst."""
SHOWS_FOR_A_NAME = 64
"""Installed models that are asked about at most to find the name of a file, each once."""
MAX_DIGESTS = 1024


class Errands:
    """At most one request in flight; results are collected by the next poll."""

    def __init__(
        self,
        client: HttpClient,
        clock: Clock,
        unnamed_blobs: BlobsHint | None = None,
        is_believed: IsBelieved | None = None,
    ) -> None:
        """``unnamed_blobs`` are files that are loaded, and of which only the server can tell the name."""
        self._is_believed = is_believed
        self._unnamed_blobs = unnamed_blobs or frozenset
        self._installed: tuple[InstalledModel, ...] = ()
        self._client = client
        self._clock = clock
        self._done: list[ErrandSample] = []
        self._task: asyncio.Task[None] | None = None
        self._shown: set[str] = set()
        self._tries: dict[str, int] = {}
        self._known: frozenset[str] = frozenset()
        """Digests that no new ``/api/tags`` is needed for."""
        self._tags_due_at = float("-inf")

    @property
    def pending(self) -> bool:
        """Whether a poll soon would bring new samples."""
        return self._task is not None or bool(self._done)

    def start(self, loaded: Sequence[ModelClaim]) -> None:
        """Start what is due for the models that are loaded now, unless errands are still running."""
        if self._task is not None:
            return
        digests = frozenset(model.digest for model in loaded if model.digest)
        asks_tags = self._clock.now() >= self._tags_due_at or not digests <= self._known
        wanted = {model.digest: model.name for model in loaded if model.digest and self._wants(model.digest)}
        blobs = self._unnamed_blobs()
        if asks_tags:
            self._known = digests
        if asks_tags or wanted or (blobs and self._unasked()):
            self._forget_old(digests)
            shows = list(wanted.items())[:SHOWS_AT_ONCE]
            self._task = asyncio.create_task(self._run(asks_tags, shows, blobs))

    def collect(self) -> list[ErrandSample]:
        """Return what has come in since the last call."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()
        done, self._done = self._done, []
        return done

    def retry(self) -> None:
        """Ask again what had failed: the server is another one than before, or was restarted."""
        self._tries.clear()
        self._tags_due_at = float("-inf")

    async def settle(self) -> None:
        """Wait until the errands that run have ended."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Cancel what runs."""
        if self._task is not None:
            self._task.cancel()
            await self.settle()

    def _wants(self, digest: str) -> bool:
        return digest not in self._shown and self._tries.get(digest, 0) < SHOW_TRIES

    def _forget_old(self, loaded: frozenset[str]) -> None:
        if len(self._shown) + len(self._tries) > MAX_DIGESTS:
            self._shown &= loaded
            self._tries = {digest: tries for digest, tries in self._tries.items() if digest in loaded}

    async def _run(self, asks_tags: bool, shows: Sequence[tuple[str, str]], blobs: frozenset[str]) -> None:
        if self._is_believed is not None and not await self._is_believed():
            return
        if asks_tags:
            await self._ask_tags()
        for digest, name in shows:
            await self._ask_show(digest, name)
        await self._find_names(blobs)

    async def _find_names(self, blobs: frozenset[str]) -> None:
        """Ask about installed models, the newest first, until each of ``blobs`` is one's weights (FROM)."""
        left = set(blobs)
        for model in self._unasked() if left else ():
            facts = await self._ask_show(model.digest or "", model.name)
            left.difference_update(facts.blobs[:1] if facts else ())
            if not left:
                return

    def _unasked(self) -> list[InstalledModel]:
        """Return the installed models whose files are not known yet."""
        rows = (row for row in self._installed[:SHOWS_FOR_A_NAME] if not row.remote)
        return [row for row in rows if row.digest and self._wants(row.digest)]

    async def _ask_tags(self) -> None:
        self._tags_due_at = self._clock.now() + TAGS_RETRY_SECONDS
        try:
            listing = parse_tags(_body(await self._client.get("/api/tags", MAX_DETAIL_BYTES)))
        except (RequestError, BodyError):
            return
        now = self._clock.now()
        self._tags_due_at = now + TAGS_SECONDS
        self._known |= {model.digest for model in listing.models if model.digest}
        self._installed = listing.models
        source = self._client.endpoint.url
        self._done.append(InstalledModels(time=now, source=source, models=listing.models))

    async def _ask_show(self, digest: str, name: str) -> ModelFacts | None:
        self._tries[digest] = self._tries.get(digest, 0) + 1
        question = msgspec.json.encode({"model": name})
        source = self._client.endpoint.url
        try:
            body = _body(await self._client.post("/api/show", question, MAX_DETAIL_BYTES))
            facts = parse_show(body, name, digest, self._clock.now(), source)
        except (RequestError, BodyError):
            return None
        self._shown.add(digest)
        self._tries.pop(digest, None)
        self._done.append(facts)
        return facts


def _body(reply: Reply) -> bytes:
    """Return the body of a good answer; raise ``BodyError`` for any other."""
    if reply.status != 200:
        raise BodyError(f"HTTP {reply.status}")
    return reply.body


VERSION_SECONDS = 60.0
DOUBTFUL_STATES = frozenset({"foreign", "nonsense"})


class OllamaSource:
    """Polls ``/api/ps``; asks for the version after each recovery, for the rest in the background."""

    def __init__(self, kind: ServerKind, asked: Asked) -> None:
        self._kind = kind
        self._endpoint = asked.endpoint
        self._clock = asked.clock
        self._client = HttpClient(asked.endpoint, asked.limits)
        self._pace = Pace(asked.endpoint.is_loopback)
        self._refusals = Refusals(asked.endpoint)
        self._errands = Errands(self._client, asked.clock, asked.unnamed_blobs, asked.is_believed)
        self._runners = asked.runners
        self._metered = False
        self.replies: dict[str, Reply] = {}
        """Answers of the latest poll by path, for other kinds to recognise: Ollama sends no ``Server``
        header."""
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
        if not self._healthy and self._refusals.seconds is not None:
            return max(interval, self._refusals.seconds)
        return self._pace.delay(interval, self._clock.now(), self._known_runners())

    async def close(self) -> None:
        """Cancel errands and close the connections."""
        await self._errands.close()
        await self._client.close()

    async def _ask(self) -> ServerSample:
        self.replies = {}
        try:
            reply = await self._client.get("/api/ps", MAX_LISTING_BYTES)
        except RequestError as failure:
            return self._failed(await self._unanswered(failure.kind))
        self.replies["/api/ps"] = reply
        health = classify.health_of_status(reply, self._endpoint, self._kind)
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
        return classify.health_of_failure(kind, self._endpoint, self._kind, answers_version=answers_version)

    async def _doubted(self, problem: str, reply: Reply) -> SourceHealth:
        """Settle once per spell of doubt who is at the other end."""
        if self._peer is None:
            self._peer = await self._identify()
        return classify.health_of_doubt(problem, reply.status, self._peer, self._endpoint, self._kind)

    def _failed(self, health: SourceHealth) -> ServerSample:
        self._healthy = False
        self._pace.failed()
        self._refusals.note(health)
        if health.state not in DOUBTFUL_STATES:
            self._peer = None
        return ServerSample(time=self._clock.now(), source=self.name, health=health)

    async def _listed(self, listing: Listing[ModelClaim], reply: Reply) -> ServerSample:
        now = self._clock.now()
        self._refusals.note(None)
        self._metered = is_meter(reply.headers.get("via"))
        self._pace.listed(listing.models, now, self._known_runners())
        await self._refresh_version(now)
        if classify.leaves_out_zeros(self._version):
            listing = parse_ps(reply.body, leaves_out_zeros=True)
        self._healthy = True
        self._peer = None
        return ServerSample(
            time=now,
            source=self.name,
            kind=self._kind.name,
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
