"""What one conversation with a runner amounts to, before it is stamped and sent as a sample."""

from __future__ import annotations

from msgspec import Struct

from gpumon.collectors.samples import RunnerCounters, RunnerFacts, RunnerState, Slot


class Said(Struct, frozen=True):
    """The fields of a ``RunnerSample`` that come from the runner."""

    state: RunnerState
    detail: str | None = None
    progress: float | None = None
    facts: RunnerFacts | None = None
    slots: tuple[Slot, ...] | None = None
    counters: RunnerCounters | None = None


class ForeignProgramError(Exception):
    """Another program answers on the port."""
