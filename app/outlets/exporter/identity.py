"""By which labels a model is known: the same for all of its life, and of no other that is there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from gpumon.app.picture.load import LoadPicture
from gpumon.app.state.holders.addresses import server_of
from gpumon.app.state.places import PROCESS_PREFIX
from gpumon.app.state.records import ModelKey, ModelRecord, RunnerRecord
from gpumon.app.state.state import State
from gpumon.text.safe import visible

DIGEST_LENGTH = 12
"""As ``ollama list`` cuts it."""
ALONE = "process"
"""Stands for the URL of a server where a process is reached by none; a PID would be another one each time."""


class ModelLabels(NamedTuple):
    """The labels of every series of a model; an empty one is as good as none to Prometheus."""

    model: str
    digest: str
    server: str
    runtime: str


class Identities:
    """Gives out the labels of models."""

    def __init__(self) -> None:
        self._servers: dict[ModelKey, str] = {}
        """Of models that have no URL."""

    def of(self, record: ModelRecord, state: State) -> ModelLabels:
        """Return the labels of a model that is loaded."""
        source, name = record.key.source, record.claim.name
        server = self._process(record, state) if source.startswith(PROCESS_PREFIX) else visible(source)
        return ModelLabels(visible(name), _digest(record.claim.digest, name), server, record.runtime)

    def _process(self, record: ModelRecord, state: State) -> str:
        """Return what stands for the server of a model that only its process tells of."""
        if record.key not in self._servers:
            self._servers = {key: label for key, label in self._servers.items() if key in state.models}
            taken = set(self._servers.values())
            self._servers[record.key] = next(one for one in _names(record, state) if one not in taken)
        return self._servers[record.key]


def _names(record: ModelRecord, state: State) -> Iterator[str]:
    """Yield what it may be called: with its port where that is known, and with a number if need be."""
    name = _name_of(state.runners.get(record.process) if record.process else None)
    yield name
    yield from (f"{name} {number}" for number in count(2))


def labels_of_load(load: LoadPicture, state: State) -> ModelLabels:
    """Return the labels of a load: those that the model will have, as far as it is known which that is."""
    runner = next((one for one in state.runners.values() if one.key.pid == load.pid), None)
    server, runtime = load.model.source if load.model else "", ""
    if runner is not None:
        starter = server_of(state, runner)
        runtime = runner.server_kind.name if starter is None else starter.kind
        if server.startswith(PROCESS_PREFIX):
            server = _name_of(runner)
    return ModelLabels(
        visible(load.name), _digest(load.model and load.model.digest, load.name), visible(server), runtime
    )


def _digest(digest: str | None, name: str) -> str:
    """Return the head of a digest; a name in its place says nothing that the name does not."""
    if digest is None or digest == name:
        return ""
    return visible(digest.removeprefix("sha256:")[:DIGEST_LENGTH])


def _name_of(runner: RunnerRecord | None) -> str:
    port = runner.process.settings.port if runner else None
    return ALONE if port is None else f"{ALONE}:{port}"
