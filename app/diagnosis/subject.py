"""What a diagnosis of one model starts from: all that is known, and the arithmetic where it can be done."""

from __future__ import annotations

from msgspec import Struct

from gpumon.app.diagnosis.arithmetic import Arithmetic, NoArithmetic, arithmetic_of
from gpumon.app.diagnosis.rates import Rates, rates_of
from gpumon.app.diagnosis.words import NVML, PS
from gpumon.app.insight.faults import SPILL_BAD_PERCENT
from gpumon.app.insight.left_out import placement_of
from gpumon.app.insight.loaded import Loaded
from gpumon.app.physics.geometry import Geometry, NoGeometry
from gpumon.app.state.records import ModelRecord, RunnerRecord
from gpumon.app.state.split import Split
from gpumon.app.state.state import State
from gpumon.text.safe import visible


class Subject(Struct, frozen=True):
    """A loaded model with what its diagnosis rests on."""

    loaded: Loaded
    state: State
    arithmetic: Arithmetic | NoArithmetic
    rates: Rates
    split: Split
    """GPU and RAM part: claimed, or estimated of a runtime that claims nothing."""
    spill_bad_percent: float = SPILL_BAD_PERCENT
    """From this part in RAM on a spill is bad."""

    @property
    def model(self) -> ModelRecord:
        """The claim."""
        return self.loaded.model

    @property
    def runner(self) -> RunnerRecord | None:
        """The process that holds it, where it is known."""
        return self.loaded.runner

    @property
    def name(self) -> str:
        """Its name, harmless to draw."""
        return visible(self.model.claim.name)

    @property
    def split_source(self) -> str:
        """Where ``split`` comes from."""
        return PS if self.model.runtime == "ollama" else f"{NVML}, /v1/models"

    @property
    def is_spilled(self) -> bool:
        """Whether a part is in RAM, on a machine that has a GPU."""
        return bool(self.split.spill_fraction) and self.loaded.gpu_known


def subject_of(
    known: Loaded,
    state: State,
    geometry: Geometry | NoGeometry,
    spill_bad_percent: float = SPILL_BAD_PERCENT,
) -> Subject:
    """Put together what a diagnosis of a model rests on."""
    arithmetic = arithmetic_of(known, state, geometry)
    rates, split = rates_of(known, state, arithmetic), placement_of(known.model, state)
    return Subject(known, state, arithmetic, rates, split, spill_bad_percent)
