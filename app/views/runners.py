"""What a runner is called."""

from __future__ import annotations

from gpumon.app.state.holders.joins import name_of, stand_in
from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.state import State


def runner_name(runner: RunnerRecord, state: State) -> str:
    """Return the name of the model that a runner holds, by the best source that has one."""
    model = state.models.get(runner.model) if runner.model else None
    if model is not None:
        return model.claim.name
    settings = runner.process.settings
    return name_of(state, settings) or stand_in(settings)
