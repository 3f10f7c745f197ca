"""What cures a spill, in order of gain: each is computed again, and only what fits is advised.

Whatever makes a model fit gives it the rate of the card; of those the ones that cost nothing come first, then
those that cost little, and a smaller file comes last.
"""

from __future__ import annotations

from collections.abc import Callable

from gpumon.app.diagnosis.arithmetic import Arithmetic, NoArithmetic
from gpumon.app.diagnosis.diagnosis import Cause, Remedy, Verdict
from gpumon.app.diagnosis.remedies import elsewhere, settings
from gpumon.app.diagnosis.remedies.elsewhere import machine_remedies
from gpumon.app.diagnosis.remedies.reloads import reload_remedies
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.fuses import UNFUSED, Fuses

Candidate = Callable[[Subject, Arithmetic], Remedy | None]

FITS_NOW: tuple[Candidate, ...] = (settings.reload_model, settings.raise_gpu_layers)
"""All that is of use to a model that would fit as it is."""
IN_ORDER: tuple[Candidate, ...] = (
    settings.raise_gpu_layers,
    settings.reduce_parallel,
    settings.quantize_cache,
    settings.shrink_context,
    settings.combine_settings,
    elsewhere.unload_model,
    elsewhere.free_process,
    elsewhere.smaller_quantization,
    elsewhere.experts_to_cpu,
)


def remedies_of(
    subject: Subject, verdicts: tuple[Verdict, ...], cause: Cause | None, fuses: Fuses = UNFUSED
) -> tuple[Remedy, ...]:
    """Return what would help, in order of gain."""
    broken = machine_remedies(subject, verdicts, cause)
    if broken.is_final:
        return broken.remedies
    others = (*broken.remedies, *reload_remedies(subject))
    if not subject.is_spilled or subject.loaded.by_choice:
        return others
    arithmetic = subject.arithmetic
    if isinstance(arithmetic, NoArithmetic):
        return others
    candidates = FITS_NOW if arithmetic.fits(arithmetic.room.free_bytes) else IN_ORDER
    found: list[Remedy | None] = []
    for candidate in candidates:
        with fuses.guard(f"remedy {candidate.__name__}", subject.model.key):
            found.append(candidate(subject, arithmetic))
    return (*(remedy for remedy in found if remedy is not None), *others)
