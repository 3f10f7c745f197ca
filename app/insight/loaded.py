"""A loaded model with all that the sources say of it together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from gpumon.app.insight.activity import Activity, activity
from gpumon.app.insight.agreement import Agreement, agreement_of
from gpumon.app.insight.faults import on_cpu_by_choice
from gpumon.app.insight.left_out import LeftOut, left_out
from gpumon.app.insight.wording import model_label
from gpumon.app.state.holders.measured import runner_of
from gpumon.app.state.records import ModelKey, ModelRecord, RunnerRecord
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
    label: str = ""
    """What the model is called on the screen, harmless to draw."""

    @property
    def measured_bytes(self) -> int | None:
        """What the driver measures over all GPUs; ``None`` where it cannot be told."""
        return self.runner.measured_vram_bytes if self.runner else None


def loaded(model: ModelRecord, state: State, namesakes: Collection[ModelRecord] | None = None) -> Loaded:
    """Put together what is known of one model; ``namesakes`` spares a look for others of its name."""
    return Loaded(
        model=model,
        runner=runner_of(model, state),
        gpu_known=state.gpu_known_at(model.key.source),
        by_choice=on_cpu_by_choice(model, state),
        agreement=agreement_of(model, state),
        activity=activity(model, state),
        left_out=left_out(model, state),
        label=model_label(model, state.models.values() if namesakes is None else namesakes),
    )


def loaded_models(state: State) -> Mapping[ModelKey, Loaded]:
    """Put together what is known of all models, in a time that grows with their number alone."""
    by_name: dict[str, list[ModelRecord]] = {}
    for model in state.models.values():
        by_name.setdefault(model.claim.name, []).append(model)
    return {key: loaded(model, state, by_name[model.claim.name]) for key, model in state.models.items()}
