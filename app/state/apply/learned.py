"""Takes what earlier runs and other instances have learned."""

from __future__ import annotations

from gpumon.app.state.apply.sources import hear
from gpumon.app.state.state import State
from gpumon.collectors.samples import Learned


def apply_learned(state: State, sample: Learned) -> None:
    """Take one reading; it changes nothing in which this run knows better."""
    hear(state, sample.source, sample.health)
    state.learned.absorb(sample)
