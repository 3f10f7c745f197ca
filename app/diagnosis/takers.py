"""Who took the memory that a model lacks, how much and when; and how fast the model was before.

Only what was seen is told: a process that held its memory before anybody looked took it at no known time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import LOOK_SECONDS, Arithmetic, NoArithmetic
from gpumon.app.diagnosis.diagnosis import Cause, CauseKind, Evidence, Took
from gpumon.app.diagnosis.room import Occupant, Room, room_of
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import ARITHMETIC, GPUMON, NVML, clock_words, size_evidence
from gpumon.app.insight.leaving import moves_weights
from gpumon.app.insight.wording import amount
from gpumon.app.state.records.history import StepPace
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.text.units import MIB

LEAST_BYTES = 256 * MIB
"""Less than this makes no model spill that is worth a word."""
NAMED = 3
NOTICED_SECONDS = 5.0
"""A server is asked so seldom that a model counts as whole for so long after another began to take."""
TRACE_BYTES = 52 * MIB
"""Less is not told as missing: it would be written as nothing."""
SLOWER_RATIO = 2.0
"""A step that takes so many times longer, at the same size of picture, is no noise."""
WINDOW_SECONDS, WINDOW_CELLS = 3600.0, 60
"""How far back, and how finely, a series is looked through for the rate before."""


class Taker(NamedTuple):
    """Someone who took memory in the time that matters, and holds it still."""

    occupant: Occupant
    vram_by_gpu: dict[str, int]
    time: float
    """When the largest part was taken."""

    @property
    def vram_bytes(self) -> int:
        """What that is over all GPUs."""
        return sum(self.vram_by_gpu.values())


class Span(NamedTuple):
    """The time in which memory must have been taken to be missed."""

    after: float | None
    """When the model was last whole; ``None`` where it never was while anybody looked. Who was taking memory
    then is meant too."""
    until: float
    in_place: bool
    """Whether it made room while it was loaded; else it was placed at its load, once."""


def span_of(subject: Subject) -> Span:
    """Return when what a model lacks was taken: since it was whole, and before it was placed."""
    model, runner, now = subject.model, subject.runner, subject.state.now
    whole = model.history.whole_until
    after = None if whole is None else whole - NOTICED_SECONDS
    loaded = model.first_seen if runner is None else runner.key.started + LOOK_SECONDS
    in_place = moves_weights(model, subject.state) or (whole is not None and whole > loaded)
    if in_place:
        return Span(after, model.spilled_since or now, in_place=True)
    return Span(after, loaded, in_place=False)


def takers_in(subject: Subject, room: Room, span: Span) -> list[Taker]:
    """Return who took memory in a span of time, the largest first; never the desktop."""
    found = (
        _taker(one, room, span)
        for one in room.occupants
        if one.kind != "session" and (one.model is None or one.model != subject.model.key)
    )
    takers = [one for one in found if one is not None and one.vram_bytes >= LEAST_BYTES]
    return sorted(takers, key=lambda one: (-one.vram_bytes, one.occupant.name))


def _taker(occupant: Occupant, room: Room, span: Span) -> Taker | None:
    taken = occupant.taken(*span[:2], going_on=True)
    sizes = {uuid: size for uuid, size in taken.items() if uuid in room.uuids}
    holds = (hold for uuid in sizes for hold in occupant.holds[uuid])
    steps = (hold.largest_step(*span[:2], going_on=True) for hold in holds)
    largest = max((one for one in steps if one), key=lambda one: one.vram_bytes, default=None)
    if largest is None or largest.time is None:
        return None
    return Taker(occupant, sizes, largest.time)


def taken(subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find those without whom it would have fitted, by the arithmetic."""
    span, room = span_of(subject), arithmetic.room
    free = room.free_bytes if span.in_place else arithmetic.free_at_load_bytes

    def fits(takers: Sequence[Taker]) -> bool:
        back = (sum(one.vram_by_gpu.get(uuid, 0) for one in takers) for uuid in room.uuids)
        return arithmetic.fits([size + more for size, more in zip(free, back, strict=True)])

    enough = _fewest(takers_in(subject, room, span), fits)
    return _cause(subject, enough, span, _figures(arithmetic, span)) if enough else None


def all_taken(subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Name everyone who was seen to take memory, though it would not have fitted without them."""
    span = span_of(subject)
    found = takers_in(subject, arithmetic.room, span)[:NAMED]
    return _cause(subject, found, span, _figures(arithmetic, span)) if found else None


def _figures(arithmetic: Arithmetic, span: Span) -> tuple[Evidence, ...]:
    if span.in_place:
        return ()
    return (
        size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
        size_evidence("free at its load", sum(arithmetic.free_at_load_bytes), NVML),
    )


def taken_since_whole(subject: Subject, arithmetic: Arithmetic) -> Cause | None:
    """Find the same of a model that was seen to fit: then nothing else counts as much."""
    return None if span_of(subject).after is None else taken(subject, arithmetic)


def taken_by_bytes(subject: Subject) -> Cause | None:
    """Find those whose memory would hold what is in RAM, where the model's own need cannot be reckoned."""
    room, span = own_room(subject), span_of(subject)
    in_ram = subject.split.ram_bytes
    if room is None or not in_ram:
        return None
    later = [] if span.in_place else [one.taken(span.until, math.inf) for one in room.occupants]

    def fits(takers: Sequence[Taker]) -> bool:
        return room.missing_bytes(in_ram, [*later, *(one.vram_by_gpu for one in takers)]) == 0

    enough = _fewest(takers_in(subject, room, span), fits)
    return _cause(subject, enough, span, ()) if enough else None


def missing_after(subject: Subject, room: Room, gone: Sequence[Occupant]) -> int:
    """Return what a model still lacks when others have gone; 0 where all of it fits then."""
    arithmetic = subject.arithmetic
    if isinstance(arithmetic, NoArithmetic):
        in_ram = subject.split.ram_bytes or 0
        missing = room.missing_bytes(in_ram, [one.vram_by_gpu for one in gone]) if in_ram else 0
        return missing if missing >= TRACE_BYTES else 0
    free = arithmetic.room.without(gone)
    if arithmetic.fits(free):
        return 0
    margin = arithmetic.margin_bytes * len(free)
    return max(TRACE_BYTES, arithmetic.need_bytes() + margin - sum(arithmetic.usable(free)))


def missing_now(subject: Subject) -> int | None:
    """Return what a model lacks now; ``None`` where its room is not known."""
    room = own_room(subject)
    return None if room is None else missing_after(subject, room, ())


def own_room(subject: Subject) -> Room | None:
    """Return the room of a model: of one that makes room while it is loaded the cards that it is on."""
    if not isinstance(subject.arithmetic, NoArithmetic):
        return subject.arithmetic.room
    room = room_of(subject.model, subject.runner, subject.state)
    held = subject.runner.vram_by_gpu if subject.runner else {}
    on = [place for place, uuid in enumerate(room.uuids) if held.get(uuid)] if room else []
    if room is None or not on or not span_of(subject).in_place:
        return room
    return replace(
        room,
        uuids=tuple(room.uuids[place] for place in on),
        labels=tuple(room.labels[place] for place in on),
        capacity_bytes=tuple(room.capacity_bytes[place] for place in on),
        free_bytes=tuple(room.free_bytes[place] for place in on),
    )


def _fewest(takers: Sequence[Taker], fits: Callable[[Sequence[Taker]], bool]) -> Sequence[Taker]:
    """Return the fewest, the largest first, that made the difference; none where it would fit anyway."""
    if not takers or fits(()):
        return ()
    return next((takers[:count] for count in range(1, len(takers) + 1) if fits(takers[:count])), ())


def _cause(subject: Subject, takers: Sequence[Taker], span: Span, figures: tuple[Evidence, ...]) -> Cause:
    kind: CauseKind = "other_model" if takers[0].occupant.kind == "model" else "foreign_process"
    words = taken_words(takers, subject.state.now)
    if span.in_place:
        after = (
            "since then a part of it is in RAM" if subject.is_spilled else "since then its steps take longer"
        )
    else:
        after = "before it was loaded" if span.after is None else "before it was loaded again"
    return Cause(
        kind,
        f"{words}, {after}{_change_words(subject)}",
        (*_evidence(takers, subject.state.now), *figures, *before_evidence(subject)),
        words,
        tuple(map(_took, takers)),
    )


def _change_words(subject: Subject) -> str:
    """Say what became of the rate: ``: 46 to 7.0 tok/s``."""
    before, now = rate_before(subject), subject.rates.measured
    if before is None or now is None or now >= before:
        return ""
    return f": {units.rate(before).split()[0]} to {units.rate(now)}"


def given_back(subject: Subject, arithmetic: Arithmetic, loaded: float) -> Cause | None:
    """Find who held memory when the model was loaded, and has given it back though its process goes on."""
    given = [
        one
        for one in subject.state.given_back
        if one.time > loaded and one.name and (one.since is None or one.since <= loaded + LOOK_SECONDS)
    ]
    if not given:
        return None
    most = max(given, key=lambda one: one.vram_bytes)
    name, size = visible(most.name or ""), amount(most.vram_bytes)
    words = f"{name} gave back {size} at {clock_words(most.time, subject.state.now)}"
    evidence = (
        Evidence(name, size, NVML),
        size_evidence("need", arithmetic.need_bytes(), ARITHMETIC),
        size_evidence("free for it now", arithmetic.room.free_total_bytes, NVML),
    )
    return Cause("foreign_process", f"{words}, after it was loaded", evidence, words)


def taken_words(takers: Sequence[Taker], now: float) -> str:
    """Say who took what when: ``flux took 9.1 GiB at 14:18, steam 1.2 GiB at 14:02``."""
    said = [
        f"{visible(one.occupant.name)} {'' if number else 'took '}{amount(one.vram_bytes)} "
        f"at {clock_words(one.time, now)}"
        for number, one in enumerate(takers)
    ]
    return ", ".join(said)


def _evidence(takers: Sequence[Taker], now: float) -> list[Evidence]:
    return [
        Evidence(
            visible(one.occupant.name), f"{amount(one.vram_bytes)} since {clock_words(one.time, now)}", NVML
        )
        for one in takers
    ]


def _took(taker: Taker) -> Took:
    one = taker.occupant
    source = one.model.source if one.model else None
    return Took(visible(one.name), one.pid, source, taker.vram_bytes, taker.time)


def rate_before(subject: Subject) -> float | None:
    """Return the rate of a model in the last minute in which it worked while all of it was on GPUs."""
    history = subject.model.history
    if history.whole_until is None or not subject.is_spilled:
        return None
    cells = history.decode.window(history.whole_until, WINDOW_SECONDS, WINDOW_CELLS)
    means = [cell.mean for cell in cells[:-1] if cell is not None]
    if not means and cells[-1] is not None:
        return cells[-1].maximum
    return means[-1] if means else None


class StepChange(NamedTuple):
    """What became of the time for a step of an image generator."""

    before: StepPace
    now: StepPace


def step_change(subject: Subject) -> StepChange | None:
    """Return how much longer a step takes than one of the same size did; ``None`` where it does not."""
    paces = subject.model.history.step_paces
    now = paces[-1] if paces else None
    if now is None:
        return None
    alike = (one for one in paces if (one.size, one.model) == (now.size, now.model))
    same = [one for one in alike if one.time < now.time]
    quick = [one for one in same if one.seconds_per_step * SLOWER_RATIO <= now.seconds_per_step]
    return StepChange(quick[-1], now) if quick else None


def before_evidence(subject: Subject) -> list[Evidence]:
    """Return how fast it was before, as far as that was seen."""
    rate, steps = rate_before(subject), step_change(subject)
    found = [] if rate is None else [Evidence("decode rate before", units.rate(rate), GPUMON)]
    if steps is not None:
        found.append(Evidence("a step before", units.step_rate(steps.before.seconds_per_step), GPUMON))
    return found


def crowded(subject: Subject) -> Cause | None:
    """Find who took memory of a card between a quick step and a slow one of the same size."""
    steps, room = step_change(subject), own_room(subject)
    if steps is None or room is None or subject.is_spilled:
        return None
    span = Span(steps.before.time - NOTICED_SECONDS, steps.now.time, in_place=True)
    found = takers_in(subject, room, span)
    return _cause(subject, found, span, ()) if found else None
