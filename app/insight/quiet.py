"""Whether anything happens at all: while nothing does, a monitor need not look every second."""

from __future__ import annotations

from gpumon.app.insight.activity import WORKING_GPU_PERCENT
from gpumon.app.state.apply.work import WORKING_CPU_PERCENT
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuReading

QUIET_SECONDS = 30.0
"""So long nothing must have happened; also after the start."""
LOOK_SECONDS = 1.0


class Quiet:
    """Follows the state and tells since when nothing has changed but the time."""

    def __init__(self) -> None:
        self._loaded: frozenset[object] = frozenset()
        self._stirred: float | None = None
        self._looked = 0.0

    def lasts(self, state: State) -> bool:
        """Tell whether nothing has been loaded, unloaded or at work for some time, and all sources answer.

        While something happens it looks once a second; before it says that nothing does, each time.
        """
        if self._is_long(state.now) or state.now - self._looked >= LOOK_SECONDS:
            self._look(state)
        return self._is_long(state.now)

    def _is_long(self, now: float) -> bool:
        return self._stirred is not None and now - self._stirred >= QUIET_SECONDS

    def _look(self, state: State) -> None:
        loaded = frozenset((*state.models, *state.runners))
        if self._stirred is None or loaded != self._loaded or _stirs(state):
            self._stirred = state.now
        self._loaded, self._looked = loaded, state.now


def _stirs(state: State) -> bool:
    return bool(
        state.loads
        or any(gpu.reading.state != "asleep" and _works(gpu.reading) for gpu in state.gpus.values())
        or any(
            (runner.process.cpu_percent or 0.0) >= WORKING_CPU_PERCENT for runner in state.runners.values()
        )
        or any(model.metered and model.metered.requests_running for model in state.models.values())
        or any(source.silent_seconds is not None for source in state.sources.values())
    )


def _works(reading: GpuReading) -> bool:
    return reading.state != "ok" or (reading.utilization_percent or 0) >= WORKING_GPU_PERCENT
