"""The conversations about the models of one server, each by itself and side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from gpumon.collectors.clock import Clock
from gpumon.collectors.http.client import RequestError
from gpumon.collectors.runners.llama_server import LlamaServer
from gpumon.collectors.runners.said import Said
from gpumon.collectors.samples import RunnerState, ServedModel, ServedModelSample

WELL: frozenset[RunnerState] = frozenset({"ready", "busy", "asleep"})
"""States in which a model is at hand."""


class Talks:
    """Asks about loaded models; one that sleeps or loads is left alone where the router says so."""

    def __init__(
        self,
        clock: Clock,
        begin: Callable[[ServedModel], LlamaServer],
        active: Callable[[str], bool | None] | None,
    ) -> None:
        self._clock = clock
        self._begin = begin
        self._active = active
        self._open: dict[str, LlamaServer] = {}
        self._said: dict[str, Said] = {}

    @property
    def busy(self) -> bool:
        """Whether a model was at work when it was last heard of."""
        return any(_is_busy(said) for said in self._said.values())

    def forget(self) -> None:
        """Begin anew with every model."""
        self._open.clear()
        self._said.clear()

    async def poll(self, models: Sequence[ServedModel]) -> list[tuple[str, Said]]:
        """Ask what is due of each model; return what was said, with the model's name."""
        for name in self._open.keys() - {model.name for model in models}:
            self._drop(name)
        said = await asyncio.gather(*(self._ask(model) for model in models))
        heard = [(model.name, one) for model, one in zip(models, said, strict=True) if one is not None]
        self._said.update(heard)
        return heard

    def with_state(self, model: ServedModel) -> ServedModel:
        """Return ``model`` as it was last heard to be, where the list itself only says that it is loaded."""
        said = self._said.get(model.name)
        if model.state != "ready" or said is None or said.state not in WELL:
            return model
        return msgspec.structs.replace(model, state=said.state)

    def sample(self, name: str, said: Said, source: str) -> ServedModelSample:
        """Return what was said as a sample."""
        return ServedModelSample(
            time=self._clock.now(),
            source=source,
            name=name,
            state=said.state,
            detail=said.detail,
            facts=said.facts,
            slots=said.slots,
            counters=said.counters,
        )

    async def _ask(self, model: ServedModel) -> Said | None:
        if model.state != "ready":
            self._drop(model.name)
            return Said(model.state)
        conversation = self._open.get(model.name)
        if conversation is None:
            conversation = self._open[model.name] = self._begin(model)
        try:
            return await conversation.ask(self._active(model.name) if self._active else None)
        except RequestError:
            conversation.forget()
            return Said("failing", "its statistics cannot be had")

    def _drop(self, name: str) -> None:
        self._open.pop(name, None)
        self._said.pop(name, None)


def _is_busy(said: Said) -> bool:
    return said.state == "busy" or any(slot.processing for slot in said.slots or ())
