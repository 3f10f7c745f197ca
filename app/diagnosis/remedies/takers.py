"""What helps against others on the card: to free what they took, or to leave the card to them.

Lines are those of the servers that hold it; a program of no known kind is named, for its user to close.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpumon.app.diagnosis.arithmetic import Arithmetic
from gpumon.app.diagnosis.diagnosis import Cause, Remedy, RemedyAction
from gpumon.app.diagnosis.room import Occupant, Room
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.takers import missing_after, own_room, span_of
from gpumon.app.diagnosis.words import closed_words, needs_words, occupant_words
from gpumon.app.insight.activity import activity
from gpumon.app.insight.wording import amount
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.text.safe import visible


def taker_remedies(subject: Subject, cause: Cause | None) -> tuple[Remedy, ...]:
    """Return what frees the memory that others took, what costs least first."""
    room = own_room(subject) if cause is not None and cause.takers else None
    if cause is None or room is None:
        return ()
    by_pid = {one.pid: one for one in room.occupants}
    named = [by_pid[one.pid] for one in cause.takers if one.pid in by_pid]
    takers = _with_more(subject, room, named)
    models = [record for one in takers if (record := _record(one, subject.state)) is not None]
    away = _away(subject, room, takers)
    if not models or (leave := _leave(subject, models)) is None:
        return (away,)
    return (leave, away) if _is_better_left(subject, models) else (away, leave)


def _with_more(subject: Subject, room: Room, takers: list[Occupant]) -> list[Occupant]:
    """Add the fewest others that have to go too, as they have taken memory since; none where that is vain."""
    others = [one for one in room.occupants if one.kind != "session" and one not in takers]
    for count in range(len(others) + 1):
        enough = [*takers, *others[:count]]
        if not missing_after(subject, room, enough):
            return enough
    return takers


def _record(occupant: Occupant, state: State) -> ModelRecord | None:
    return state.models.get(occupant.model) if occupant.model else None


def _line(model: ModelRecord) -> str | None:
    return model.kind.stop(model.key.source, model.claim.name)


def _away(subject: Subject, room: Room, takers: Sequence[Occupant]) -> Remedy:
    """Have the others leave and, where it stays where it was loaded, load this one again."""
    records = [(one, _record(one, subject.state)) for one in takers]
    unloaded = [(one, line) for one, record in records if record and (line := _line(record))]
    closed = [one for one, record in records if record is None or not _line(record)]
    again, own = _again(subject)
    lines = [*(line for _, line in unloaded), *((own,) if own else ())]
    words = [f"unload {occupant_words([one for one, _ in unloaded])}"] if unloaded else []
    words += [f"close {closed_words(closed)}"] if closed else []
    missing = missing_after(subject, room, takers)
    action: RemedyAction = "unload_model" if unloaded else "free_process"
    return Remedy(
        action,
        f"{' and '.join(words)}{again}",
        " && ".join(lines) if unloaded else None,
        _sum_words(subject, room, takers, missing),
        frees_bytes=sum(one.vram_bytes for one in takers),
        expected_tokens_per_second=None if missing else subject.expected_fitting,
        need_bytes=None if missing else _need_bytes(subject),
        missing_bytes=missing or None,
    )


def _again(subject: Subject) -> tuple[str, str | None]:
    """Return what is to be done with the model itself, in words and as a line."""
    if span_of(subject).in_place:
        return "", None
    return (", then load it again" if _line(subject.model) else ", then start it again"), _line(subject.model)


def _need_bytes(subject: Subject) -> int | None:
    arithmetic = subject.arithmetic
    return arithmetic.need_bytes() if isinstance(arithmetic, Arithmetic) else None


def _sum_words(subject: Subject, room: Room, takers: Sequence[Occupant], missing: int) -> str:
    """Write whether what is freed is enough: ``needs 5.9 of 11.8 GiB free``."""
    freed, need = sum(one.vram_bytes for one in takers), _need_bytes(subject)
    if missing:
        return f"frees {amount(freed)}; {amount(missing)} are missing"
    if need is not None:
        return needs_words(need, sum(room.without(takers)))
    in_ram = subject.split.ram_bytes
    return f"frees {amount(freed)}" + (f" for {amount(in_ram)} in RAM, by its claim" if in_ram else "")


def _leave(subject: Subject, takers: Sequence[ModelRecord]) -> Remedy | None:
    """Unload this one, so that the others have the card; its next request loads it again."""
    line, measured = _line(subject.model), subject.loaded.measured_bytes
    gpu_bytes = subject.split.gpu_bytes if measured is None else measured
    if line is None:
        return None
    names = " and ".join(visible(one.claim.name) for one in takers)
    later = "; its next request loads it again" if subject.model.kind.manages_memory else ""
    freed = "frees what it holds" if gpu_bytes is None else f"frees {amount(gpu_bytes)} of the GPU"
    return Remedy(
        "leave_gpu", f"unload it, and leave the GPU to {names}{later}", line, freed, frees_bytes=gpu_bytes
    )


def _is_better_left(subject: Subject, takers: Sequence[ModelRecord]) -> bool:
    """Return whether this one is to go rather than the others: the idle before the busy, then the older."""
    state = subject.state
    own_works = activity(subject.model, state) == "busy"
    others_work = any(activity(one, state) == "busy" for one in takers)
    if own_works != others_work:
        return others_work
    return max(_asked(one, state) for one in takers) > _asked(subject.model, state)


def _asked(model: ModelRecord, state: State) -> float:
    """Return when a model was last seen to be asked for."""
    return max(_times(model, state))


def _times(model: ModelRecord, state: State) -> Iterator[float]:
    runner, paces = state.runner_of(model), model.history.step_paces
    yield model.first_seen
    if runner is not None and runner.worked is not None:
        yield runner.worked
    if paces:
        yield paces[-1].time
