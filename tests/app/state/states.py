"""Building a state from samples."""

from __future__ import annotations

from gpumon.app.monitor import Store
from gpumon.app.state.state import State
from gpumon.collectors.samples import AnySample


def state_of(*samples: AnySample) -> State:
    """Return the state after ``samples``."""
    store = Store()
    for sample in samples:
        store.apply(sample)
    return store.state
