"""Loads in progress that no server claims yet, and the words for them in the verdict."""

from __future__ import annotations

from gpumon.app.state.records import Load
from gpumon.app.state.state import State
from gpumon.text.safe import visible


def unclaimed_loads(state: State) -> list[Load]:
    """Return the loads of which no server speaks as a loaded model yet, the oldest first."""
    loads = [load for load in state.loads.values() if not _is_claimed(load, state)]
    return sorted(loads, key=lambda load: load.started)


def loading_words(state: State) -> str:
    """Say what is being loaded: ``qwen3:14b is loading``; nothing where nothing is."""
    loads = unclaimed_loads(state)
    if len(loads) > 1:
        return f"{len(loads)} models are loading"
    return f"{visible(loads[0].name)} is loading" if loads else ""


def _is_claimed(load: Load, state: State) -> bool:
    runner = state.runners.get(load.key)
    return runner is not None and runner.model is not None
