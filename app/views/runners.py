"""What a runner is called."""

from __future__ import annotations

from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.state import State

BLOB_DIGITS = 12
"""Hex digits of a blob that stand for a model without a known name, as in the ID column of ``ollama ps``."""


def runner_name(runner: RunnerRecord, state: State) -> str:
    """Return the name of the model that a runner holds, by the best source that has one."""
    model = state.models.get(runner.model) if runner.model else None
    if model is not None:
        return model.claim.name
    settings = runner.process.settings
    return (
        settings.model_name
        or _name_on_disk(settings.blob, state)
        or _file_name(settings.blob, settings.model_path)
        or f"pid {runner.key.pid}"
    )


def _name_on_disk(blob: str | None, state: State) -> str | None:
    names = (sample.names.get(blob or "") for sample in state.blob_names.values())
    return next((found[0] for found in names if found), None)


def _file_name(blob: str | None, path: str | None) -> str | None:
    if blob is not None:
        return blob.removeprefix("sha256-")[:BLOB_DIGITS]
    return path.rpartition("/")[2] if path else None
