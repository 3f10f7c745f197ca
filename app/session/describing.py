"""What the files of installed models hold: each is asked for once a run, a few at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpumon.app.diagnosis.fit.machine import Installed
from gpumon.app.state.records import ModelKey
from gpumon.app.state.state import State
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import kind_named
from gpumon.collectors.source import SystemClock
from gpumon.collectors.worker import Worker

if TYPE_CHECKING:
    from gpumon.app.session.session import Describe

AT_A_TIME = 4
"""A server reads the whole header of a file for each answer."""
ASKING = "asking its server what the file holds"
NOT_DESCRIBED = "what its file holds is not known; only a live dashboard can ask the server"

Take = Callable[[ModelFacts], None]


class Descriptions:
    """Whom was asked what, so that nothing is asked twice; what is learned goes where all samples go."""

    def __init__(self, describe: Mapping[str, Describe], take: Take) -> None:
        self._describe = describe
        self._take = take
        self._asking: set[ModelKey] = set()
        self._problems: dict[ModelKey, str] = {}

    @property
    def asked(self) -> int:
        """Of how many no answer has come yet."""
        return len(self._asking)

    def unasked(self, models: Iterable[Installed], state: State) -> list[Installed]:
        """Return the models of which nothing is known, and that can be asked about and were not."""
        tried = self._asking | self._problems.keys() | state.facts.keys()
        return [one for one in models if one.key not in tried and one.key.source in self._describe]

    def forget(self, key: ModelKey) -> None:
        """Let a model be asked about once more: its server may be able to say by now."""
        self._problems.pop(key, None)

    def missing_words(self, key: ModelKey) -> str:
        """Say why it is not known what a model's file holds."""
        if key in self._asking:
            return ASKING
        return self._problems.get(key, NOT_DESCRIBED)

    async def ask(self, models: Iterable[Installed], done: Callable[[], None]) -> None:
        """Ask for all of them, a few at a time; ``done`` is called with each answer."""
        wanted = [one for one in models if one.key not in self._asking]
        self._asking |= {model.key for model in wanted}
        gate = asyncio.Semaphore(AT_A_TIME)

        async def one(model: Installed) -> None:
            async with gate:
                said = await self._describe[model.key.source](model.name, model.key.digest)
            self._asking.discard(model.key)
            if isinstance(said, str):
                self._problems[model.key] = f"what its file holds is not known: {said}"
            else:
                self._problems.setdefault(model.key, NOT_DESCRIBED)  # whatever it describes: never twice
                self._take(said)
            done()

        try:
            await asyncio.gather(*map(one, wanted))
        finally:
            self._asking -= {model.key for model in wanted}


async def describe(state: State, endpoint: Endpoint, name: str, digest: str) -> ModelFacts | str:
    """Return what a model's file holds: by the server's own directory, else by asking it."""
    known, clock = state.sources.get(endpoint.url), SystemClock()
    kind = kind_named(known.runtime if known else None)
    for place in _on_disk(state, digest):
        facts = await _read(kind, *place, digest)
        if facts is not None:
            return replace(facts, time=clock.now(), source=endpoint.url, name=name, digest=digest)
    return await kind.describe(endpoint, clock, name, digest)


def _on_disk(state: State, digest: str) -> list[tuple[str, str]]:
    """Return in which directory of models, and by which name, the manifest with this digest is."""
    return [
        (source.removeprefix("models "), name)
        for source, names in state.blob_names.items()
        for name, known in names.digests.items()
        if known == digest
    ][:1]


async def _read(kind: ServerKind, models_path: str, name: str, digest: str) -> ModelFacts | None:
    """Read in a thread of its own: a disk that hangs holds up nothing."""
    worker = Worker("model file")
    try:
        return await worker.run(lambda: kind.read_installed(models_path, name, digest))
    finally:
        worker.close()
