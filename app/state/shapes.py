"""The geometry of loaded models, worked out once for each file."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.physics.geometry import Geometry, NoGeometry
from gpumon.app.physics.shape import geometry_of
from gpumon.app.state.records import ModelKey, ModelRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import ModelFacts

UNDESCRIBED = NoGeometry("what its file holds is not known")


class _Known(NamedTuple):
    facts: ModelFacts
    file_bytes: int | None
    shape: Geometry | NoGeometry


class Shapes:
    """Remembers what is loaded."""

    def __init__(self) -> None:
        self._known: dict[ModelKey, _Known] = {}

    def of(self, model: ModelRecord, state: State) -> Geometry | NoGeometry:
        """Return the geometry of a model; anew only when more is known of it."""
        size, before = file_bytes_of(model, state), self._known.get(model.key)
        if before is not None and before.facts is model.facts and before.file_bytes == size:
            return before.shape
        shape = shape_of(model, state)
        if model.facts is not None:
            self._known[model.key] = _Known(model.facts, size, shape)
        return shape

    def forget(self, state: State) -> None:
        """Forget the models that are no longer loaded."""
        for key in self._known.keys() - state.models.keys():
            del self._known[key]


def shape_of(model: ModelRecord, state: State) -> Geometry | NoGeometry:
    """Return the geometry of a model, or why it is not known."""
    if model.facts is None:
        return UNDESCRIBED
    return geometry_of(model.facts, file_bytes_of(model, state))


def file_bytes_of(model: ModelRecord, state: State) -> int | None:
    """Return the size of a model's files, by ``/api/tags`` of its server."""
    installed = state.installed.get(model.key.source)
    rows = (row for row in (installed.models if installed else ()) if row.digest == model.key.digest)
    return next((row.size_bytes for row in rows), None)
