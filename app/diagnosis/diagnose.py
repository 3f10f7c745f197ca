"""Says what is wrong with the loaded models, why, what it costs and what cures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gpumon.app.diagnosis.diagnosis import Cause, Diagnosis, Remedy, Verdict, VerdictKind
from gpumon.app.diagnosis.subject import Subject, subject_of
from gpumon.app.diagnosis.takers import rate_before, step_change
from gpumon.app.diagnosis.verdicts import cache, disk, machine, pictures, placement, prompts, slow
from gpumon.app.fuses import UNFUSED, Fuses
from gpumon.app.insight.health import RANKS, SPILL_BAD_PERCENT
from gpumon.app.insight.loaded import Loaded, loaded
from gpumon.app.insight.shapes import Shapes
from gpumon.app.state.records import ModelKey, ModelRecord
from gpumon.app.state.state import State
from gpumon.text.safe import visible

WHOLLY_ON_CPU: frozenset[VerdictKind] = frozenset({"lost_gpu", "no_gpu_found"})
"""They say more of it than that it is spilled."""

TROUBLES: tuple[Callable[[Subject], Verdict | None], ...] = (
    placement.silent_fallback,
    placement.lost_gpu,
    placement.no_gpu_found,
    placement.hidden_spill,
    placement.over_all_cards,
    disk.read_from_disk,
    placement.spilled,
    pictures.loaded_in_part,
    pictures.streams_weights,
    machine.thrashing,
    machine.evicted,
    machine.swapping,
    machine.throttled,
    machine.link_degraded,
    cache.cache_full,
    slow.crowded,
    prompts.prompt_reread,
    cache.prompts_not_found,
    prompts.waiting,
    prompts.context_full,
    slow.below_baseline,
    slow.long_context,
    slow.parallel_requests,
    placement.on_cpu_by_choice,
    placement.in_ram_by_choice,
    cache.offloaded_by_choice,
)
"""Of equal severity the first counts most."""


def diagnoses(state: State) -> Mapping[ModelKey, Diagnosis]:
    """Diagnose all loaded models."""
    shapes = Shapes()
    return {key: diagnose(model, state, shapes) for key, model in state.models.items()}


def diagnose(
    model: ModelRecord,
    state: State,
    shapes: Shapes | None = None,
    spill_bad_percent: float = SPILL_BAD_PERCENT,
    known: Loaded | None = None,
    fuses: Fuses = UNFUSED,
    *,
    closely: bool = True,
) -> Diagnosis:
    """Diagnose one loaded model; ``shapes`` keeps what stays, ``known`` is what was put together of it.

    For a row it need not be looked at ``closely``: of a model that is well no estimates are made then.
    Where ``fuses`` take a failure, nothing is said of what it concerns.
    """
    with fuses.guard("diagnosis", model.key):
        geometry = (shapes or Shapes()).of(model, state)
        subject = subject_of(known or loaded(model, state), state, geometry, spill_bad_percent, closely)
        return _diagnosis(subject, fuses)
    return Diagnosis(_not_judged(visible(model.claim.name)))


def _not_judged(name: str) -> Verdict:
    return Verdict("unknown", "unknown", f"{name} is loaded; how it does cannot be told: internal error")


def _diagnosis(subject: Subject, fuses: Fuses) -> Diagnosis:
    verdicts = verdicts_of(subject, fuses)
    is_well = verdicts[0].kind == "healthy"  # which stands alone: nothing is to be explained or cured
    cause, remedies = (None, ()) if is_well else _cure(subject, verdicts, fuses)
    is_estimated = subject.closely or cause is not None
    return Diagnosis(
        verdict=verdicts[0],
        others=verdicts[1:],
        cause=cause,
        remedies=remedies,
        decode_tokens_per_second_now=subject.rates.measured,
        decode_tokens_per_second_before=rate_before(subject),
        seconds_per_step=_step_seconds(subject),
        expected_now=subject.expected_now if is_estimated else None,
        expected_fitting=subject.expected_fitting if is_estimated else None,
    )


def _step_seconds(subject: Subject) -> tuple[float, float] | None:
    change = step_change(subject)
    return (change.before.seconds_per_step, change.now.seconds_per_step) if change else None


def _cure(
    subject: Subject, verdicts: tuple[Verdict, ...], fuses: Fuses
) -> tuple[Cause | None, tuple[Remedy, ...]]:
    """Return why a model spills, and what would help; imported for the first that is not well."""
    from gpumon.app.diagnosis.causes import cause_of  # noqa: PLC0415 - most models never need them
    from gpumon.app.diagnosis.remedies.find import remedies_of  # noqa: PLC0415

    cause = cause_of(subject, fuses) or prompts.reread_cause(subject) or prompts.waiting_cause(subject)
    return cause, remedies_of(subject, verdicts, cause, fuses)


def verdicts_of(subject: Subject, fuses: Fuses = UNFUSED) -> tuple[Verdict, ...]:
    """Return what is true of a model, the most severe first.

    Where a rule fails and no other finds anything, the model is not called well: nobody knows.
    """
    alone = placement.process_ended(subject) or placement.loading(subject)
    if alone is not None:
        return (alone,)
    found, asked = [], 0
    for rule in TROUBLES:
        with fuses.guard(f"verdict {rule.__name__}", subject.model.key):
            found += [verdict for verdict in (rule(subject),) if verdict is not None]
            asked += 1
    if WHOLLY_ON_CPU & {verdict.kind for verdict in found}:
        found = [verdict for verdict in found if verdict.kind != "spilled"]
    if not found and asked < len(TROUBLES):
        return (_not_judged(subject.name),)
    if not found:
        well = placement.healthy(subject) or pictures.told(subject)
        return (well or placement.unknown(subject),)
    return tuple(sorted(found, key=lambda verdict: RANKS[verdict.severity]))
