"""What cures a spill, in order of gain: each is computed again, and only what fits is advised.

Whatever makes a model fit gives it the rate of the card; of those the ones that cost nothing come first, then
those that cost little, and a smaller file comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gpumon.app.diagnosis.arithmetic import Arithmetic, NoArithmetic
from gpumon.app.diagnosis.choices import by_layers_alone
from gpumon.app.diagnosis.diagnosis import Cause, Remedy, Verdict
from gpumon.app.diagnosis.remedies import elsewhere, settings
from gpumon.app.diagnosis.remedies.cache import cache_remedies
from gpumon.app.diagnosis.remedies.disk import disk_remedies
from gpumon.app.diagnosis.remedies.elsewhere import machine_remedies
from gpumon.app.diagnosis.remedies.prompts import prompt_remedies
from gpumon.app.diagnosis.remedies.reloads import reload_remedies
from gpumon.app.diagnosis.remedies.takers import taker_remedies
from gpumon.app.diagnosis.remedies.waiting import waiting_remedies
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.fuses import UNFUSED, Fuses
from gpumon.app.insight.wording import amount
from gpumon.app.state.work import drawing_of

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
    reloads = (*reload_remedies(subject), *prompt_remedies(subject), *waiting_remedies(subject))
    others = (*broken.remedies, *cache_remedies(subject), *disk_remedies(subject), *reloads)
    freeing: tuple[Remedy, ...] = ()
    with fuses.guard("remedy taker_remedies", subject.model.key):
        freeing = taker_remedies(subject, cause)
    if subject.model.kind.makes_pictures:
        return (*freeing, *picture_remedies(subject, verdicts), *broken.remedies)
    if not subject.is_spilled or _is_told_where(subject):
        return (*freeing, *others)
    is_spill = not subject.loaded.by_choice or by_layers_alone(subject)
    less: Remedy | None = None
    with fuses.guard("remedy keep_less_in_ram", subject.model.key):
        less = settings.keep_less_in_ram(subject)
    if less is not None and (not is_spill or not _all_layers_fit(subject)):
        return (less, *others)
    arithmetic = subject.arithmetic
    if not is_spill or isinstance(arithmetic, NoArithmetic):
        return (*freeing, *others)
    candidates = FITS_NOW if arithmetic.fits(arithmetic.room.free_bytes) else IN_ORDER
    found: list[Remedy | None] = []
    for candidate in candidates:
        with fuses.guard(f"remedy {candidate.__name__}", subject.model.key):
            found.append(candidate(subject, arithmetic))
    told = {(one.action, one.frees_bytes) for one in freeing}
    new = [one for one in found if one is not None and (one.action, one.frees_bytes) not in told]
    is_enough = not any(one.missing_bytes for one in freeing)
    return (*freeing, *new, *others) if is_enough else (*new, *freeing, *others)


def _is_told_where(subject: Subject) -> bool:
    """Return whether more is in RAM than the runtime was told to put there: no memory would change that."""
    estimate = subject.loaded.left_out
    return not subject.loaded.by_choice and estimate is not None and bool(estimate.chosen_bytes)


def _all_layers_fit(subject: Subject) -> bool:
    """Return whether a number of layers alone keeps the rest off the card."""
    arithmetic = subject.arithmetic
    return not isinstance(arithmetic, NoArithmetic) and bool(settings.raise_gpu_layers(subject, arithmetic))


IN_PART = frozenset({"spilled", "loaded_in_part", "streams_weights"})
USUAL_PIXELS = 1024 * 1024


def picture_remedies(subject: Subject, verdicts: tuple[Verdict, ...]) -> tuple[Remedy, ...]:
    """Return what would let all of an image generator's model stay on the GPU: room, or less to draw."""
    wrong = any(one.kind in IN_PART and one.severity in {"watch", "bad"} for one in verdicts)
    return (*_less_to_draw(subject), *_load_again(subject)) if wrong else ()


def _less_to_draw(subject: Subject) -> Iterator[Remedy]:
    """Suggest smaller pictures, or fewer at once: what a step works with takes room from the weights."""
    drawing = drawing_of(subject.model, subject.state)
    job = drawing.job if drawing else None
    if job is None:
        return
    if (job.batch_size or 1) > 1:
        words = f"draw fewer pictures at once than {job.batch_size}"
        yield Remedy("draw_less", words, None, "each of them takes room for a step")
    elif job.width and job.height and job.width * job.height > USUAL_PIXELS:
        words = f"draw smaller than {job.width}x{job.height}, and enlarge it afterwards"
        yield Remedy("draw_less", words, None, "what a step works with grows with the picture")


def _load_again(subject: Subject) -> Iterator[Remedy]:
    """Suggest to free it: the next job loads it anew, with the room that there is then."""
    model, missing = subject.model, subject.split.ram_bytes
    line = model.kind.stop(model.key.source, model.claim.name)
    need = f"needs {amount(missing)} more" if missing else "it takes what is free then"
    yield Remedy(
        "reload_model",
        "free the card of others, then let it load its model again",
        line,
        need,
        frees_bytes=subject.loaded.measured_bytes,
    )
