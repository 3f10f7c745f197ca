"""Spills because of who else holds, or held, memory of the GPUs."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.app.diagnosis.arithmetic import Arithmetic
from gpumon.app.diagnosis.diagnosis import Cause, CauseKind
from gpumon.app.diagnosis.room import Occupant
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import ARITHMETIC, NVML, occupant_words, size_evidence
from gpumon.app.insight.wording import amount
from gpumon.app.state.records import ModelRecord
from gpumon.text.safe import visible

NAMED = 3


def held_by_others(_subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find the models, or else the processes, but for which it would have fitted."""
    earlier = arithmetic.earlier
    for kind in ("model", "process"):
        enough = _enough([one for one in earlier if one.kind == kind], arithmetic)
        if enough:
            return _held(enough, arithmetic)
    return _held(enough, arithmetic) if (enough := _enough(_ended_at_will(earlier), arithmetic)) else None


def held_by_session(_subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find the programs of the desktop, where without them it would have fitted."""
    enough = _enough(arithmetic.earlier, arithmetic)
    return _held(enough, arithmetic) if enough else None


def all_earlier(_subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Name everyone who was there before, where anybody was."""
    earlier = _ended_at_will(arithmetic.earlier)
    return _held(earlier, arithmetic) if earlier else None


def gone_since(subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find who held memory when the model was loaded, and has gone."""
    started = arithmetic.started
    if started is None:
        return None
    departed = [one for one in subject.state.departed if _was_there(one, started)]
    if departed:
        last = max(departed, key=lambda one: one.split.gpu_bytes or 0)
        return _gone("other_model", last.claim.name, last.split.gpu_bytes or 0, arithmetic)
    back = [one for one in subject.state.returned if one.time > started and one.name]
    if not back:
        return None
    largest = max(back, key=lambda one: one.vram_bytes)
    return _gone("foreign_process", largest.name or "", largest.vram_bytes, arithmetic)


def _was_there(model: ModelRecord, at: float) -> bool:
    return model.first_seen < at < (model.gone or at) and bool(model.split.gpu_bytes)


def _ended_at_will(occupants: Sequence[Occupant]) -> list[Occupant]:
    return [one for one in occupants if one.kind != "session"]


def _enough(occupants: Sequence[Occupant], arithmetic: Arithmetic) -> list[Occupant]:
    """Return the fewest, the largest first, without whom it would have fitted; none if it would not."""
    free = dict(zip(arithmetic.room.uuids, arithmetic.free_at_load_bytes, strict=True))
    for count, occupant in enumerate(occupants, start=1):
        for uuid, size in occupant.vram_by_gpu.items():
            free[uuid] = free.get(uuid, 0) + size
        if arithmetic.fits([free[uuid] for uuid in arithmetic.room.uuids]):
            return list(occupants[:count])
    return []


def _held(occupants: Sequence[Occupant], arithmetic: Arithmetic) -> Cause:
    first, shown = occupants[0], occupants[:NAMED]
    kind: CauseKind = "other_model" if first.kind == "model" else "foreign_process"
    verb = "was" if len(shown) == 1 else "were"
    return Cause(
        kind,
        f"{occupant_words(shown)} {verb} on the GPU before it",
        (
            *(size_evidence(visible(one.name), one.vram_bytes, NVML) for one in shown),
            size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
            size_evidence("free at its load", sum(arithmetic.free_at_load_bytes), NVML),
        ),
    )


def _gone(kind: CauseKind, name: str, held_bytes: int, arithmetic: Arithmetic) -> Cause:
    shown = visible(name)
    return Cause(
        kind,
        f"{shown} held {amount(held_bytes)} when it was loaded, and has gone since",
        (
            size_evidence(shown, held_bytes, NVML),
            size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
            size_evidence("free for it now", arithmetic.room.free_total_bytes, NVML),
        ),
    )
