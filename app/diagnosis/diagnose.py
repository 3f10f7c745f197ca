"""Says what is wrong with the loaded models, why, what it costs and what cures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gpumon.app.diagnosis.causes import cause_of
from gpumon.app.diagnosis.diagnosis import Diagnosis, Severity, Verdict, VerdictKind
from gpumon.app.diagnosis.remedies.find import remedies_of
from gpumon.app.diagnosis.subject import Subject, subject_of
from gpumon.app.diagnosis.verdicts import machine, placement, slow
from gpumon.app.insight.shapes import Shapes
from gpumon.app.state.records import ModelKey, ModelRecord, RunnerKey
from gpumon.app.state.state import State

RANKS: dict[Severity, int] = {"bad": 0, "watch": 1, "unknown": 2, "ok": 3}

WHOLLY_ON_CPU: frozenset[VerdictKind] = frozenset({"lost_gpu", "no_gpu_found"})
"""They say more of it than that it is spilled."""

KEPT_SECONDS = 5.0


class _Kept(NamedTuple):
    """A diagnosis, when it was made, and of what."""

    at: float
    circumstances: tuple[int | None, RunnerKey | None, bool]
    diagnosis: Diagnosis


TROUBLES: tuple[Callable[[Subject], Verdict | None], ...] = (
    placement.silent_fallback,
    placement.lost_gpu,
    placement.no_gpu_found,
    placement.hidden_spill,
    placement.spilled,
    machine.thrashing,
    machine.evicted,
    machine.swapping,
    machine.throttled,
    machine.link_degraded,
    slow.below_baseline,
    slow.long_context,
    slow.parallel_requests,
    placement.on_cpu_by_choice,
)
"""Of equal severity the first counts most."""


class Diagnoser:
    """Diagnoses a stream of states; what does not change between them is kept."""

    def __init__(self) -> None:
        self._shapes = Shapes()
        self._spills: dict[ModelKey, _Kept] = {}

    def diagnoses(self, state: State) -> Mapping[ModelKey, Diagnosis]:
        """Diagnose all loaded models."""
        self._shapes.forget(state)
        return {key: diagnose(model, state, self._shapes) for key, model in state.models.items()}

    def spill(self, model: ModelRecord, state: State) -> Diagnosis | None:
        """Diagnose a model that spills: for what is drawn all the time, anew after some seconds only."""
        if not model.split.spill_fraction or not state.gpu_known_at(model.key.source):
            return None
        circumstances = (model.claim.size_vram_bytes, model.runner, model.facts is None)
        kept = self._spills.get(model.key)
        if kept is None or kept.circumstances != circumstances or state.now - kept.at >= KEPT_SECONDS:
            kept = _Kept(state.now, circumstances, diagnose(model, state, self._shapes))
            self._spills[model.key] = kept
            self._forget(state)
        return kept.diagnosis

    def _forget(self, state: State) -> None:
        """Forget the models that are no longer loaded, once they are as many as those that are."""
        if len(self._spills) > 2 * len(state.models):
            self._spills = {key: one for key, one in self._spills.items() if key in state.models}
            self._shapes.forget(state)


def diagnoses(state: State) -> Mapping[ModelKey, Diagnosis]:
    """Diagnose all loaded models."""
    return Diagnoser().diagnoses(state)


def diagnose(model: ModelRecord, state: State, shapes: Shapes | None = None) -> Diagnosis:
    """Diagnose one loaded model."""
    subject = subject_of(model, state, (shapes or Shapes()).of(model, state))
    verdicts, cause = verdicts_of(subject), cause_of(subject)
    return Diagnosis(
        verdicts=verdicts,
        cause=cause,
        remedies=remedies_of(subject, verdicts, cause),
        decode_tokens_per_second_now=subject.rates.measured,
        expected_now=subject.rates.expected_now,
        expected_fitting=subject.rates.expected_fitting,
    )


def verdicts_of(subject: Subject) -> tuple[Verdict, ...]:
    """Return what is true of a model, the most severe first."""
    loading = placement.loading(subject)
    if loading is not None:
        return (loading,)
    found = [verdict for rule in TROUBLES if (verdict := rule(subject)) is not None]
    if WHOLLY_ON_CPU & {verdict.kind for verdict in found}:
        found = [verdict for verdict in found if verdict.kind != "spilled"]
    if not found:
        return (placement.healthy(subject) or placement.unknown(subject),)
    return tuple(sorted(found, key=lambda verdict: RANKS[verdict.severity]))
