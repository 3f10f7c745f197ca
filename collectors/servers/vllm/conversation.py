"""The talk with a vLLM: ``/metrics`` at each look, what does not change once for each start.

``--api-key`` guards ``/v1`` and leaves ``/metrics`` open; ``--disable-log-stats`` takes the names of vLLM out
of ``/metrics``; a proxy may hide either. One of the two has to be there. The routes of the developer mode
(``/sleep``, ``/wake_up``, ``/collective_rpc``, …) are never asked.
"""

from __future__ import annotations

from typing import NamedTuple

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import MAX_LISTING_BYTES, Reply
from gpumon.collectors.samples import LoadFacts, ModelClaim, ModelState, Said, SourceHealth
from gpumon.collectors.servers.command_line import model_called
from gpumon.collectors.servers.conversation import FORBIDDEN_SECONDS, Conversation, Look, UnusableError
from gpumon.collectors.servers.health import foreign, health_of_status
from gpumon.collectors.servers.vllm.metrics import Metrics, is_exposition, read_metrics

METRICS = "/metrics"
MODELS = "/v1/models"
VERSION = "/version"
HEALTH = "/health"
OWNER = "vllm"
NO_STATISTICS = "it was started without statistics (--disable-log-stats): no rates"
HIDDEN = "/metrics is not served here: no rates"
KEPT_BACK = "/v1/models is not open to us (--api-key): its context is not known"
REFUSALS = frozenset({401, 403})
MOST_ROWS = 1000


class Listed(NamedTuple):
    """What its list of models says of the one that it serves; adapters are rows of their own."""

    name: str | None = None
    root: str | None = None
    context_length: int | None = None


class VllmConversation(Conversation):
    """One model, and what it does."""

    def forget(self) -> None:
        """Ask for all of it again."""
        super().forget()
        self._listed: Listed | None = None
        self._version: str | None = None
        self._started: float | None = None
        self._generated = 0.0
        self._told = False

    _due: dict[str, float] | None = None
    """Until when a path that was refused is left alone: each refusal is a line in somebody's log."""

    async def look(self) -> Look:
        """Ask for the counters and, where that is due, for what does not change."""
        if not hasattr(self, "_listed"):
            self.forget()
        metrics, detail = await self._metrics()
        if metrics is not None and self._is_another(metrics):
            self.forget()
        if self._listed is None:
            self._listed = await self._list(metrics)
            self._version = await self._ask_version()
        elif metrics is None:
            await self.get(HEALTH)
        self._note(metrics)
        name = model_called(self._listed.name or (metrics.model if metrics else None)) or self.kind.label
        claim = ModelClaim(name=name, state=_state(metrics), context_length=self._listed.context_length)
        said = self._said(metrics, detail)
        return Look(models=(claim,), version=self._version, work=((name, said),), origin=METRICS)

    def _said(self, metrics: Metrics | None, detail: str | None) -> Said:
        facts, self._told = None if self._told else self._facts(has_metrics=metrics is not None), True
        if metrics is None:
            return Said("ready", detail, facts=facts)
        words = metrics.sleep or (None if self._listed and self._listed.name else KEPT_BACK)
        return Said(_state(metrics), words, facts=facts, counters=metrics.counters, pool=metrics.pool)

    def _facts(self, *, has_metrics: bool) -> LoadFacts:
        listed = self._listed or Listed()
        return LoadFacts(
            model_path=listed.root,
            build=self._version,
            context_length=listed.context_length,
            metrics_enabled=has_metrics,
        )

    def _is_another(self, metrics: Metrics) -> bool:
        """Whether it has started anew: its process has, or its counter has fallen."""
        is_other = None not in {self._started, metrics.started} and self._started != metrics.started
        return is_other or (metrics.counters.decoded_tokens_total or 0.0) < self._generated

    def _note(self, metrics: Metrics | None) -> None:
        if metrics is not None:
            self._started = metrics.started
            self._generated = metrics.counters.decoded_tokens_total or 0.0

    async def _metrics(self) -> tuple[Metrics | None, str | None]:
        """Return the counters, or why there are none."""
        reply = await self._if_due(METRICS)
        if reply is None or reply.status == 404 or reply.status in REFUSALS:
            return None, HIDDEN
        self._raise_for(reply)
        metrics = read_metrics(reply.body)
        if metrics is None and reply.body.strip() and not is_exposition(reply.body):
            raise UnusableError(foreign(self.endpoint, self.kind))
        return metrics, None if metrics else NO_STATISTICS

    async def _list(self, metrics: Metrics | None) -> Listed:
        """Return the model that is served. Where counters are told, the list may be kept from us."""
        if metrics is None:
            listed = served_model((await self.get(MODELS)).body)
            if listed is None:
                raise UnusableError(foreign(self.endpoint, self.kind))
            return listed
        reply = await self._if_due(MODELS)
        is_there = reply is not None and reply.status == 200
        return (served_model(reply.body) if is_there and reply else None) or Listed()

    async def _ask_version(self) -> str | None:
        reply = await self._if_due(VERSION)
        said = fields.read(reply.body, fields.OBJECT) if reply is not None and reply.status == 200 else None
        return fields.text(said, "version") if said is not None else None

    async def _if_due(self, path: str) -> Reply | None:
        """GET a path that may be refused; ``None`` where it was a short while ago."""
        if self._is_put_off(path):
            return None
        reply = self.replies[path] = await self.client.get(path, MAX_LISTING_BYTES)
        if reply.status in REFUSALS | {404}:
            self._due = {**(self._due or {}), path: self.clock.now() + FORBIDDEN_SECONDS}
        return reply

    def _is_put_off(self, path: str) -> bool:
        return self.clock.now() < (self._due or {}).get(path, float("-inf"))

    def _raise_for(self, reply: Reply) -> None:
        health = health_of_status(reply, self.endpoint, self.kind)
        if health is None and reply.status != 200:
            health = SourceHealth(state="nonsense", detail=f"HTTP {reply.status}")
        if health is not None:
            raise UnusableError(health)


def _state(metrics: Metrics | None) -> ModelState:
    return "asleep" if metrics is not None and metrics.sleep else "ready"


def served_model(body: bytes) -> Listed | None:
    """Return the first row that is no adapter (``parent``); ``None`` if the list is not vLLM's."""
    listed = fields.read(body, fields.OBJECT)
    rows = (fields.field(listed, "data", fields.ROWS) if listed else None) or []
    for raw in rows[:MOST_ROWS]:
        row = fields.read(raw, fields.OBJECT) or {}
        name, owner = fields.text(row, "id"), fields.text(row, "owned_by")
        if name is not None and owner == OWNER and fields.text(row, "parent") is None:
            return Listed(name, fields.text(row, "root"), fields.amount(row, "max_model_len"))
    return None
