"""A loaded model with all that the sources say of it together."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from gpumon.app.insight.activity import Activity, activity
from gpumon.app.insight.agreement import Agreement, agreement_of
from gpumon.app.insight.faults import on_cpu_by_choice
from gpumon.app.insight.left_out import LeftOut, left_out
from gpumon.app.insight.wording import model_label
from gpumon.app.state.holders.measured import runner_of
from gpumon.app.state.records import ModelRecord, RunnerRecord
from gpumon.app.state.state import State


class Loaded(NamedTuple):
    """A claim, the process that holds it, and how the two compare."""

    model: ModelRecord
    runner: RunnerRecord | None
    """``None`` where it is not known."""
    gpu_known: bool
    """Whether the machine that it runs on has a GPU."""
    by_choice: bool
    """Whether the user has asked for the CPU."""
    agreement: Agreement
    activity: Activity | None
    left_out: LeftOut | None = None
    """Weights that seem to be on no GPU, of a runtime that claims nothing."""
    shared: Container[str] = frozenset()
    """Names that models of several servers have."""

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
    return Loaded(
        model=model,
        runner=runner_of(model, state),
        gpu_known=state.gpu_known_at(model.key.source),
        by_choice=on_cpu_by_choice(model, state),
        agreement=agreement_of(model, state),
        activity=activity(model, state),
        left_out=left_out(model, state),
        shared=shared,
    )
