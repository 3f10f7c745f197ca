"""From the file of the weights to the names that have it, and its size."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import InstalledModel, RunnerSettings

SHORT_HEX_DIGITS = 12


def name_of(state: State, settings: RunnerSettings) -> str | None:
    """Return a name of what a runner loads; ``None`` where none is known."""
    if settings.model_name is not None:
        return settings.model_name
    return next(_names(state, settings.blob), None) if settings.blob else None


def stand_in(settings: RunnerSettings) -> str:
    """Return what to call a runner's model while no name is known."""
    if settings.blob is not None:
        return settings.blob.removeprefix("sha256-")[:SHORT_HEX_DIGITS]
    path = settings.model_path or settings.model_name
    return path.rpartition("/")[2] if path else "unknown model"


def installed_bytes(state: State, settings: RunnerSettings) -> int | None:
    """Return the size of what a runner loads, by ``/api/tags``: of several names the least.

    It counts all files of the model, a projector in a file of its own included.
    """
    names = {settings.model_name} if settings.model_name else set()
    if settings.blob is not None:
        names.update(_names(state, settings.blob))
    if not names:
        return None
    sizes = (m.size_bytes for m in _installed(state) if m.name in names and not m.remote)
    return min((size for size in sizes if size), default=None)


def blobs_of(state: State, model: ModelRecord) -> frozenset[str]:
    """Return the files of a model's weights, as far as they are known."""
    shown = model.facts.blobs[:1] if model.facts else ()
    return state.disk_blobs.get(model.key.digest, frozenset()).union(shown)


def _names(state: State, blob: str) -> Iterator[str]:
    yield from (facts.name for facts in state.facts.values() if blob in facts.blobs[:1])
    for sample in state.blob_names.values():
        yield from sample.names.get(blob, ())


def _installed(state: State) -> Iterator[InstalledModel]:
    for sample in state.installed.values():
        yield from sample.models
