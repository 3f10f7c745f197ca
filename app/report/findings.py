"""What a span came to: models, what was wrong and what it cost, slow times, loads, GPUs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from operator import attrgetter
from statistics import median
from typing import NamedTuple, TypeVar

import msgspec

from gpumon.app.history.rows import GpuMinute, Load, ModelMinute, Request, Trouble
from gpumon.app.history.sums import GpuSum, ModelSum, Name
from gpumon.app.picture.heads import HEADS, IN_RAM_HEADS

SLOW_FRACTION = 0.7
"""Below this part of its usual rate a model is slow."""
SLOW_MINUTES = 2
"""A shorter time tells nothing: one minute may be of a single short answer."""
GAP_SECONDS = 300
"""Minutes without a rate that are no end of a slow time."""
TELLING_SECONDS = 5.0
"""A minute with less decoding than this tells no rate."""
USUAL_MINUTES = 10
"""So many minutes with a rate are needed to say what is usual where it was not learned."""
SLOWEST = 10
REREAD = "prompt_reread"

_R = TypeVar("_R")
_K = TypeVar("_K", bound=Hashable)


def model_totals(minutes: Iterable[ModelMinute]) -> list[ModelSum]:
    """Return what each model did in all, the one with the most tokens first."""
    sums: dict[Name, ModelSum] = {}
    for one in minutes:
        name = name_of(one)
        sums.setdefault(name, ModelSum(start=one.minute, name=name)).add(one)
    return sorted(
        sums.values(), key=lambda one: (-(one.decoded_tokens or 0), -one.busy_seconds, one.name.name)
    )


def name_of(one: ModelMinute | Trouble | Request | Load) -> Name:
    """Return by what the model of a row is known."""
    return Name(one.host, one.server, one.kind, one.name, one.digest, one.quantization)


def gpu_totals(minutes: Iterable[GpuMinute]) -> list[GpuSum]:
    """Return what each GPU did in all, by its number."""
    sums: dict[tuple[str, str], GpuSum] = {}
    for one in minutes:
        label = f"{'GPU' if one.gpu_index is None else one.gpu_index} {one.name or ''}".strip()
        empty = GpuSum(start=one.minute, host=one.host, uuid=one.uuid, label=label)
        sums.setdefault((one.host, one.uuid), empty).add(one)
    return sorted(sums.values(), key=lambda one: (one.host, one.label))


class Wrong(msgspec.Struct, kw_only=True):
    """One thing that was wrong with a model, as often as it was."""

    name: Name
    trouble: str
    times: int = 0
    level: str = "watch"
    seconds: float = 0.0
    busy_seconds: float = 0.0
    tokens_per_second: float | None = None
    """Mean while it was so."""
    full_tokens_per_second: float | None = None
    """An estimate of its rate wholly on GPUs."""
    lost_seconds: float | None = None
    """What it cost; an estimate but where prompts were read again."""
    reread_tokens: int | None = None
    sentence: str = ""
    cause: str | None = None
    cure: str | None = None
    command: str | None = None


def wrongs(troubles: Sequence[Trouble], requests: Sequence[Request]) -> list[Wrong]:
    """Return what was wrong, the dearest first; words are those of the newest time."""
    found: dict[tuple[Name, str], Wrong] = {}
    for (name, kind), several in _grouped(troubles, lambda one: (name_of(one), one.trouble)):
        found[name, kind] = _wrong(name, kind, sorted(several, key=attrgetter("started")))
    for name, ended in _grouped(requests, name_of):
        again = [one for one in ended if one.reread_tokens]
        if again:
            wrong = found.setdefault((name, REREAD), Wrong(name=name, trouble=REREAD))
            wrong.times = max(wrong.times, len(again))
            wrong.reread_tokens = sum(one.reread_tokens or 0 for one in again)
            wrong.lost_seconds = _sum(one.lost_seconds for one in again)
    order = {"bad": 0, "watch": 1}
    return sorted(
        found.values(), key=lambda one: (-(one.lost_seconds or 0.0), order.get(one.level, 2), -one.seconds)
    )


def _wrong(name: Name, kind: str, several: Sequence[Trouble]) -> Wrong:
    newest = several[-1]
    rated = [one for one in several if one.decode_tokens_per_second is not None and one.busy_seconds > 0]
    full = [one for one in rated if one.full_tokens_per_second is not None]
    wrong = Wrong(
        name=name,
        trouble=kind,
        times=len(several),
        level="bad" if any(one.level == "bad" for one in several) else newest.level,
        seconds=sum(one.until - one.started for one in several),
        busy_seconds=sum(one.busy_seconds for one in several),
        tokens_per_second=_mean((one.decode_tokens_per_second, one.busy_seconds) for one in rated),
        full_tokens_per_second=_mean((one.full_tokens_per_second, one.busy_seconds) for one in full),
        sentence=newest.sentence,
        cause=_newest(several, "cause"),
        cure=_newest(several, "cure"),
        command=_newest(several, "command"),
    )
    if HEADS.get(kind) in IN_RAM_HEADS and full:
        wrong.lost_seconds = sum(map(_lost, full))
    return wrong


def _lost(one: Trouble) -> float:
    """Return the seconds at work that a rate below the full one took."""
    rate, full = one.decode_tokens_per_second or 0.0, one.full_tokens_per_second or 0.0
    return one.busy_seconds * max(0.0, 1.0 - rate / full) if full > 0 else 0.0


def _newest(several: Sequence[Trouble], field: str) -> str | None:
    return next((words for one in reversed(several) if (words := getattr(one, field))), None)


class Slow(NamedTuple):
    """A time in which a model was slower than usual."""

    name: Name
    start: float
    end: float
    tokens_per_second: float
    usual_tokens_per_second: float
    is_learned: bool
    """Whether the usual rate was learned, and is not the median of this span."""
    trouble: str | None
    """What was wrong meanwhile, if that was told."""


def slow_times(minutes: Sequence[ModelMinute]) -> list[Slow]:
    """Return the times in which models were slow, the slowest first."""
    found = [slow for _, several in _grouped(minutes, name_of) for slow in _slow_of(several)]
    return sorted(found, key=lambda one: one.tokens_per_second / one.usual_tokens_per_second)


def _slow_of(several: Sequence[ModelMinute]) -> Iterator[Slow]:
    telling = [
        one for one in several if one.decode_tokens_per_second and one.decoding_seconds >= TELLING_SECONDS
    ]
    rates = [one.decode_tokens_per_second or 0.0 for one in telling]
    own = median(rates) if len(rates) >= USUAL_MINUTES else None
    run: list[ModelMinute] = []
    for one in sorted(telling, key=attrgetter("minute")):
        usual = one.usual_tokens_per_second or own
        is_slow = usual is not None and (one.decode_tokens_per_second or 0.0) < SLOW_FRACTION * usual
        if run and (not is_slow or one.minute - run[-1].minute > GAP_SECONDS):
            yield from _slow(run, own)
            run = []
        if is_slow:
            run.append(one)
    yield from _slow(run, own)


def _slow(run: Sequence[ModelMinute], own: float | None) -> Iterator[Slow]:
    if len(run) < SLOW_MINUTES:
        return
    rate = _mean((one.decode_tokens_per_second, one.decoding_seconds) for one in run)
    learned = _mean((one.usual_tokens_per_second, one.decoding_seconds) for one in run)
    usual = learned or own
    said = Counter(one.trouble for one in run if one.level in {"watch", "bad"} and one.trouble)
    if rate is not None and usual is not None:
        trouble = said.most_common(1)[0][0] if said else None
        yield Slow(
            name_of(run[0]), run[0].minute, run[-1].minute + 60, rate, usual, learned is not None, trouble
        )


class Loaded(NamedTuple):
    """The loads of a model."""

    name: str
    number: int
    failed: int
    seconds: float
    longest_seconds: float
    causes: tuple[tuple[str, int], ...]
    """Why it was loaded again, and how often."""
    made_room: tuple[tuple[str, int], ...]
    """Who had to leave for it, and how often."""
    reason: str | None
    """Why it failed last."""


def loaded(loads: Sequence[Load]) -> list[Loaded]:
    """Return what loads took, the model that waited longest first."""
    found = []
    for name, several in _grouped(loads, attrgetter("name")):
        evicted = Counter(
            other for one in several for other in msgspec.json.decode(one.evicted, type=list[str])
        )
        causes = Counter(one.reload_cause for one in several if one.reload_cause)
        failed = [one for one in several if one.outcome != "loaded"]
        found.append(
            Loaded(
                name,
                len(several),
                len(failed),
                sum(one.seconds for one in several),
                max(one.seconds for one in several),
                tuple(causes.most_common()),
                tuple(evicted.most_common()),
                failed[-1].reason if failed else None,
            )
        )
    return sorted(found, key=lambda one: -one.seconds)


def slowest(requests: Iterable[Request]) -> list[Request]:
    """Return the requests that took longest."""
    return sorted(requests, key=lambda one: -one.seconds)[:SLOWEST]


def _grouped(rows: Iterable[_R], key: Callable[[_R], _K]) -> Iterable[tuple[_K, list[_R]]]:
    """Return rows by what they have in common, each in the order in which it first came."""
    found: dict[_K, list[_R]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found.items()


def _mean(weighed: Iterable[tuple[float | None, float]]) -> float | None:
    """Return the mean of what is known, by weight."""
    known = [(value, weight) for value, weight in weighed if value is not None and weight > 0]
    whole = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / whole if whole else None


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
