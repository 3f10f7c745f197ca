"""A model with all that is known of it at one instant, and what is missing on the GPU of what is claimed."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal, NamedTuple

from gpumon.app.insight.activity import Activity, activity, ended_how, is_load_over
from gpumon.app.insight.agreement import (
    Agreement,
    agreement_of,
    choice_beside,
    placement_of,
)
from gpumon.app.insight.disk import DiskReading, disk_reading
from gpumon.app.insight.full_context import Filled, filled
from gpumon.app.insight.intent import intent_of
from gpumon.app.insight.left_out import LeftOut, left_out
from gpumon.app.insight.rereads import rereading
from gpumon.app.insight.waiting import Waiting, waiting_of
from gpumon.app.insight.wording import model_label
from gpumon.app.state.holders.measured import TOLERANCE_BYTES
from gpumon.app.state.rates.rereads import Losses
from gpumon.app.state.records import ModelRecord, RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import UNSETTLED_STATES


class Loaded(NamedTuple):
    """A claim, the process that holds it, and how the two compare."""

    model: ModelRecord
    runner: RunnerRecord | None
    """``None`` where it is not known."""
    gpu_known: bool
    """Whether the machine that it runs on has a GPU."""
    choice: str | None
    """The setting by which the user has asked for all that is in RAM: ``num_gpu 0``, ``--n-cpu-moe 40``."""
    agreement: Agreement
    activity: Activity | None
    left_out: LeftOut | None = None
    """Weights that seem to be on no GPU, of a runtime that claims nothing."""
    shared: Container[str] = frozenset()
    """Names that models of several servers have."""
    ended_how: str | None = None
    """How its process has ended, where it has and a log says so: ``signal: killed``."""
    disk: DiskReading | None = None
    """How it is read from storage, where it is."""
    elsewhere: str | None = None
    """Why the driver here does not see all of it: a part may be on another host, or on another card."""
    rereads: Losses | None = None
    """What it costs that prompts are read again at each turn, where they are."""
    filled: Filled | None = None
    """Requests that have lately filled its context."""
    waiting: Waiting | None = None
    """Who waits for a place, and for how long, where that is no moment."""

    @property
    def by_choice(self) -> bool:
        """Whether all that is in RAM was asked for, or is there for a margin that its runtime keeps free."""
        return self.choice is not None

    @property
    def label(self) -> str:
        """What the model is called on the screen, harmless to draw."""
        return model_label(self.model, self.shared)

    @property
    def measured_bytes(self) -> int | None:
        """What the driver measures over all GPUs; ``None`` where it cannot be told."""
        return self.runner.measured_vram_bytes if self.runner else None


def loaded(model: ModelRecord, state: State, shared: Container[str] = frozenset()) -> Loaded:
    """Put together what is known of one model; one whose name is ``shared`` is called by its server too."""
    found = left_out(model, state)
    return Loaded(
        model=model,
        runner=state.runner_of(model),
        gpu_known=state.gpu_known_at(model.key.source),
        choice=choice_beside(model, state, found),
        agreement=agreement_of(model, state),
        activity=activity(model, state),
        left_out=found,
        shared=shared,
        ended_how=ended_how(model, state) if model.runner_ended is not None else None,
        disk=_disk_reading(model, state),
        elsewhere=None if model.claims_memory else intent_of(model, state).elsewhere,
        rereads=rereading(model, state),
        filled=filled(model, state),
        waiting=waiting_of(model, state),
    )


def _disk_reading(model: ModelRecord, state: State) -> DiskReading | None:
    """Return how a model is read from storage; of most models nothing more is asked."""
    runner = state.runner_of(model)
    if runner is None or not runner.disk.active:
        return None
    return disk_reading(runner, state, placement_of(model, state), is_claimed=model.claims_memory)


Shortfall = Literal[
    "none",
    "unknown",
    "hidden_spill",  # a part that is claimed on the GPU is not there
    "silent_fallback",  # little or nothing of it is there
]

LITTLE_SHARE = 0.25
"""Below this share of the claim the driver sees little or nothing of the model."""

UNSURE_LOAD_SECONDS = 60.0
"""How long memory must stay below the claim where a model may still be loading, for all that is told."""


def shortfall(loaded: Loaded) -> Shortfall:
    """Return what is missing on the GPU of what is claimed; an estimate must be far off to count."""
    if loaded.agreement.kind != "driver_sees_less":
        return "unknown" if loaded.agreement.kind == "unknown" else "none"
    claimed, measured = loaded.model.split.gpu_bytes, loaded.measured_bytes
    if claimed is None or measured is None or loaded.runner is None:
        return "unknown"
    if claimed < TOLERANCE_BYTES:
        return "none"
    if not _is_settled(loaded.model, loaded.runner):
        return "unknown"
    is_estimate = loaded.runner.kind.claim == "estimate"
    if measured >= claimed * LITTLE_SHARE:
        return "none" if is_estimate else "hidden_spill"
    return "none" if is_estimate and measured >= TOLERANCE_BYTES else "silent_fallback"


def may_load(loaded: Loaded, unsure_seconds: float = UNSURE_LOAD_SECONDS) -> bool:
    """Return whether the model may still be loading: older servers claim it from the start of the load."""
    runner = loaded.runner
    if runner is None or is_load_over(runner):
        return False
    return runner.claimed_since is None or runner.seen - runner.claimed_since < unsure_seconds


def _is_settled(model: ModelRecord, runner: RunnerRecord) -> bool:
    """Return whether claim and process were there when the driver measured, and it says so twice.

    While a model is loaded, unloaded or loaded again with other options, the three differ for a moment. The
    driver is asked more often than the server: any list since then will do at which claim and process were
    still seen, so that neither is that of a process before.
    """
    since, confirmed, settled_at = runner.loaded_since, runner.vram_confirmed, runner.vram_settled_at
    if since is None or settled_at is None or confirmed is None:
        return False
    if runner.answer is not None and runner.answer.state in UNSETTLED_STATES:
        return False
    return since <= settled_at <= min(model.seen, runner.seen, confirmed)
