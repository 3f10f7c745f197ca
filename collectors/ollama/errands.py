"""What is asked seldom, beside the polls: ``/api/tags`` and, once per digest, ``/api/show``.

An errand never delays a poll: it runs in the background and its samples come with a later poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from gpumon.collectors.clock import Clock
from gpumon.collectors.http.client import MAX_DETAIL_BYTES, HttpClient, Reply, RequestError
from gpumon.collectors.ollama.bodies import BodyError, parse_tags
from gpumon.collectors.ollama.show import parse_show
from gpumon.collectors.samples import ModelClaim, OllamaInstalled, OllamaModelFacts

ErrandSample = OllamaModelFacts | OllamaInstalled

TAGS_SECONDS = 300.0
TAGS_RETRY_SECONDS = 30.0
SHOW_TRIES = 3
SHOWS_AT_ONCE = 4
"""Per poll, so that a server with many models is not asked about all of them in a burst."""
MAX_DIGESTS = 1024


class Errands:
    """At most one request in flight; results are collected by the next poll."""

    def __init__(self, client: HttpClient, clock: Clock) -> None:
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
        """Tell whether a poll soon would bring new samples."""
        return self._task is not None or bool(self._done)

    def start(self, loaded: Sequence[ModelClaim]) -> None:
        """Start what is due for the models that are loaded now, unless errands are still running."""
        if self._task is not None:
            return
        digests = frozenset(model.digest for model in loaded if model.digest)
        asks_tags = self._clock.now() >= self._tags_due_at or not digests <= self._known
        wanted = {model.digest: model.name for model in loaded if model.digest and self._wants(model.digest)}
        if asks_tags:
            self._known = digests
        if asks_tags or wanted:
            self._forget_old(digests)
            self._task = asyncio.create_task(self._run(asks_tags, list(wanted.items())[:SHOWS_AT_ONCE]))

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

    async def _run(self, asks_tags: bool, shows: Sequence[tuple[str, str]]) -> None:
        if asks_tags:
            await self._ask_tags()
        for digest, name in shows:
            await self._ask_show(digest, name)

    async def _ask_tags(self) -> None:
        self._tags_due_at = self._clock.now() + TAGS_RETRY_SECONDS
        try:
            listing = parse_tags(_body(await self._client.get("/api/tags", MAX_DETAIL_BYTES)))
        except (RequestError, BodyError):
            return
        now = self._clock.now()
        self._tags_due_at = now + TAGS_SECONDS
        self._known |= {model.digest for model in listing.models if model.digest}
        source = self._client.endpoint.url
        self._done.append(OllamaInstalled(time=now, source=source, models=listing.models))

    async def _ask_show(self, digest: str, name: str) -> None:
        self._tries[digest] = self._tries.get(digest, 0) + 1
        question = msgspec.json.encode({"model": name})
        source = self._client.endpoint.url
        try:
            body = _body(await self._client.post("/api/show", question, MAX_DETAIL_BYTES))
            facts = parse_show(body, name, digest, self._clock.now(), source)
        except (RequestError, BodyError):
            return
        self._shown.add(digest)
        self._tries.pop(digest, None)
        self._done.append(facts)


def _body(reply: Reply) -> bytes:
    """Return the body of a good answer; raise ``BodyError`` for any other."""
    if reply.status != 200:
        raise BodyError(f"HTTP {reply.status}")
    return reply.body
