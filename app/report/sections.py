"""Puts a report together: what is told of a span, in which order and words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gpumon.app.history.rows import GpuMinute, Request, Span
from gpumon.app.history.sums import Step, start_of, step_for
from gpumon.app.picture.heads import HEADS, IN_RAM_HEADS
from gpumon.app.report.document import (
    Bars,
    Block,
    Column,
    Document,
    Finding,
    Grid,
    Section,
    Trend,
    Words,
    short,
)
from gpumon.app.report.findings import (
    REREAD,
    Loaded,
    Slow,
    Wrong,
    gpu_totals,
    loaded,
    model_totals,
    slow_times,
    slowest,
    wrongs,
)
from gpumon.app.report.material import Material
from gpumon.text import units

UNKNOWN = units.UNKNOWN
DAY = "%a %d %b %H:%M"
SHORT_DAY = "%d %b %H:%M"
SHOWN_SLOW = 8
SHOWN_SERIES = 6
"""Models with a colour of their own; those with the least share one."""
TREND_STEPS = 240
JOULES_PER_WH = 3600.0


def document_of(
    material: Material, *, source: str | None = None, compared: Section | None = None
) -> Document:
    """Return the report of a span; ``source`` is the recording that it is of, if it is of one."""
    sections = [
        Section("Models", [*_models(material)]),
        *([compared] if compared else []),
        Section("What was wrong", [*_wrongs(material)]),
        Section("Slow times", [*_slow(material)]),
        Section("Loads", [*_loads(material)]),
        Section("GPUs: heat, power, memory", [*_gpus(material)]),
        Section("The slowest requests", [*_slowest(material)]),
    ]
    return Document("gpumon report", [*_head(material, source)], sections)


def _head(material: Material, source: str | None) -> Iterator[str]:
    span, hosts = material.span, sorted({one.host for one in material.machine_minutes})
    watched = sum(one.watched_seconds for one in material.machine_minutes)
    of = f"{source}, " if source else ""
    where = f", on {', '.join(map(short, hosts))}" if hosts else ""
    yield f"{of}{span_words(span)}{where}"
    length = units.duration(span.end - span.start)
    yield f"watched {units.duration(watched)} of {length}: what happened while nobody watched is not in it"


def span_words(span: Span) -> str:
    """Write from when until when a span is, in local time."""
    return f"{units.clock(span.start, DAY)} to {units.clock(span.end, f'{DAY} %Y')}"


def _models(material: Material) -> Iterator[Block]:
    totals = model_totals(material.model_minutes)
    if not totals:
        yield Words("No model was loaded.")
        return
    columns = (
        Column("model", False, True),
        Column("loaded"),
        Column("busy"),
        Column("requests"),
        Column("tokens"),
        Column("tok/s"),
        Column("in RAM"),
        Column("energy"),
    )
    rows = [
        (
            short(one.name.name),
            units.duration(one.watched_seconds),
            units.duration(one.busy_seconds),
            f"{one.requests:,}",
            count(one.decoded_tokens, estimate=one.is_estimate),
            rate(one.decode_tokens_per_second),
            units.duration(one.spilled_seconds) if one.spilled_seconds else UNKNOWN,
            energy(one.energy_joules),
        )
        for one in totals
    ]
    yield Grid(columns, rows)
    if (bars := token_bars(material)) is not None:
        yield Words(f"Tokens by the {step_for(material.span)}:")
        yield bars


def token_bars(material: Material) -> Bars | None:
    """Return the tokens of each hour or day, by model; ``None`` where they are not known."""
    step = step_for(material.span)
    starts = _starts(material, step)
    sums: dict[str, list[float]] = {}
    for one in material.model_minutes:
        if one.decoded_tokens is not None:
            values = sums.setdefault(short(one.name), [0.0] * len(starts))
            values[starts.index(start_of(one.minute, step))] += one.decoded_tokens
    ranked = sorted(sums.items(), key=lambda item: -sum(item[1]))
    if len(ranked) > SHOWN_SERIES:
        rest = [values for _, values in ranked[SHOWN_SERIES - 1 :]]
        ranked = [
            *ranked[: SHOWN_SERIES - 1],
            ("others", [sum(values) for values in zip(*rest, strict=True)]),
        ]
    form = "%H:%M" if step == "hour" else "%a %d %b"
    return Bars([units.clock(start, form) for start in starts], ranked, "tokens") if ranked else None


def _starts(material: Material, step: Step) -> list[float]:
    """Return the hours or days in which anybody watched, and those between."""
    minutes = [one.minute for one in (*material.machine_minutes, *material.model_minutes)]
    if not minutes:
        return []
    at, end, found = start_of(min(minutes), step), max(minutes), []
    while at <= end:
        found.append(at)
        at = start_of(at + (3600 if step == "hour" else 90_000), step)
    return found


def _wrongs(material: Material) -> Iterator[Block]:
    found = wrongs(material.troubles, material.requests)
    if not found:
        yield Words("Nothing was told to be wrong with a model.")
    for one in found:
        yield Finding(one.level, _wrong_head(one), [*_wrong_facts(one)], one.command)


def _wrong_head(one: Wrong) -> str:
    head = HEADS.get(one.trouble, one.trouble.replace("_", " ").upper())
    times = f"{one.times} {'time' if one.times == 1 else 'times'}"
    lasted = f", {units.duration(one.seconds)} in all" if one.seconds else ""
    busy = f", {units.duration(one.busy_seconds)} of it at work" if one.busy_seconds else ""
    return f"{short(one.name.name)} {head}: {times}{lasted}{busy}"


def _wrong_facts(one: Wrong) -> Iterator[tuple[str, str]]:
    if (cost := _cost(one)) is not None:
        yield "cost", cost
    if one.cause or one.sentence:
        yield ("cause" if one.cause else "told"), short(one.cause or one.sentence, 300)
    if one.cure:
        yield "cure", short(one.cure, 300)


def _cost(one: Wrong) -> str | None:
    if one.trouble == REREAD and one.reread_tokens is not None:
        took = f", which took {units.duration(one.lost_seconds)}" if one.lost_seconds is not None else ""
        return f"{one.reread_tokens:,} tokens of prompts were read again{took}"
    if one.tokens_per_second is None:
        return None
    rates = units.rate(one.tokens_per_second)
    if one.full_tokens_per_second is None or HEADS.get(one.trouble) not in IN_RAM_HEADS:
        return f"{rates} meanwhile"
    lost = one.full_tokens_per_second - one.tokens_per_second
    if lost <= 0:
        return f"{rates}, no less than is expected wholly on GPUs"
    waited = f": about {units.duration(one.lost_seconds)} longer" if one.lost_seconds else ""
    return f"{rates} in place of about {units.rate(one.full_tokens_per_second)} wholly on GPUs{waited}"


def _slow(material: Material) -> Iterator[Block]:
    found = slow_times(material.model_minutes)
    if not found:
        yield Words("No model was much slower than usual for two minutes or more.")
        return
    columns = (
        Column("from", False),
        Column("for"),
        Column("model", False, True),
        Column("tok/s"),
        Column("usual"),
        Column("meanwhile", False, True),
    )
    yield Grid(columns, [_slow_row(one) for one in found[:SHOWN_SLOW]])
    if any(not one.is_learned for one in found[:SHOWN_SLOW]):
        yield Words("~ is the median of this span: nothing was learned of that model yet.")
    if len(found) > SHOWN_SLOW:
        yield Words(f"And {len(found) - SHOWN_SLOW} more, less slow.")


def _slow_row(one: Slow) -> tuple[str, ...]:
    return (
        units.clock(one.start, SHORT_DAY),
        units.duration(one.end - one.start),
        short(one.name.name),
        rate(one.tokens_per_second),
        f"{'' if one.is_learned else '~'}{rate(one.usual_tokens_per_second)}",
        HEADS.get(one.trouble or "", (one.trouble or UNKNOWN).replace("_", " ")).lower(),
    )


def _loads(material: Material) -> Iterator[Block]:
    found = loaded(material.loads)
    if not found:
        yield Words("No load was seen.")
        return
    columns = (
        Column("model", False, True),
        Column("loads"),
        Column("failed"),
        Column("in all"),
        Column("longest"),
        Column("because, and who left for it", False, True),
    )
    rows = [
        (
            short(one.name),
            str(one.number),
            str(one.failed) if one.failed else UNKNOWN,
            seconds(one.seconds),
            seconds(one.longest_seconds),
            _because(one),
        )
        for one in found
    ]
    yield told(columns, rows, "failed")


def told(columns: Sequence[Column], rows: Sequence[Sequence[str]], *optional: str) -> Grid:
    """Return a table without those optional columns in which nothing is told."""
    kept = [
        at
        for at, column in enumerate(columns)
        if column.title not in optional or any(row[at] != UNKNOWN for row in rows)
    ]
    return Grid([columns[at] for at in kept], [[row[at] for at in kept] for row in rows])


def _because(one: Loaded) -> str:
    causes = (f"{cause.replace('_', ' ').replace('memory', 'evicted')}{_times(n)}" for cause, n in one.causes)
    left = (f"{short(name, 30)} left{_times(n)}" for name, n in one.made_room)
    reason = (short(one.reason, 80),) if one.reason else ()
    return "; ".join((*reason, *causes, *left)) or UNKNOWN


def _times(number: int) -> str:
    return "" if number == 1 else f" x{number}"


def _gpus(material: Material) -> Iterator[Block]:
    totals = gpu_totals(material.gpu_minutes)
    if not totals:
        yield Words("No GPU was seen.")
        return
    columns = (
        Column("GPU", False, True),
        Column("most used"),
        Column("hottest"),
        Column("power"),
        Column("energy"),
        Column("slowed"),
        Column("by", False, True),
    )
    rows = [
        (
            short(units_name(one.label)),
            f"{units.gib(one.used_bytes_peak)} of {units.size(one.total_bytes)}",
            units.celsius(one.temperature_celsius_peak),
            units.watts(one.power_watts),
            energy(one.energy_joules),
            units.duration(one.throttled_seconds) if one.throttled_seconds else UNKNOWN,
            short(", ".join(one.throttle_reasons), 60) or UNKNOWN,
        )
        for one in totals
    ]
    yield Grid(columns, rows)
    known = [one.energy_joules for one in totals if one.energy_joules is not None]
    if known and len(totals) > 1:
        silent = len(totals) - len(known)
        yield Words(f"{energy(sum(known))} in all{f', but for {silent} that do not tell' if silent else ''}.")
    for one in totals:
        yield from _gpu_trends(material, one.uuid, short(units_name(one.label)))


def units_name(label: str) -> str:
    """Leave out of a GPU's name what every card of its maker bears."""
    return label.replace("NVIDIA ", "").replace("GeForce ", "")


def _gpu_trends(material: Material, uuid: str, label: str) -> Iterator[Trend]:
    minutes = [one for one in material.gpu_minutes if one.uuid == uuid]
    if len(minutes) < 2:
        return
    watched = [one.minute for one in (*material.machine_minutes, *minutes)]
    start, end = min(watched), max(watched) + 60
    step = max(60, -(-(end - start) // TREND_STEPS))
    kept: list[list[GpuMinute]] = [[] for _ in range(-(-(end - start) // step))]
    for one in minutes:
        kept[int(one.minute - start) // step].append(one)
    ends = units.clock(start, DAY), units.clock(end, DAY)
    total = max((one.total_bytes or 0 for one in minutes), default=0) / units.GIB
    slowed = [any(one.throttled_seconds for one in some) for some in kept]
    used = [_of(some, "used_bytes", units.GIB) for some in kept]
    yield Trend(f"{label}: memory", "GiB", total or _top(used), used, ends)
    hot = [_of(some, "temperature_celsius", 1) for some in kept]
    if any(mean is not None for mean, _ in hot):
        yield Trend(f"{label}: temperature", "°C", max(100.0, _top(hot)), hot, ends, slowed, "slowed down")


def _of(minutes: Sequence[object], figure: str, unit: float) -> tuple[float | None, float | None]:
    means = [value for one in minutes if (value := getattr(one, figure)) is not None]
    peaks = [value for one in minutes if (value := getattr(one, f"{figure}_peak")) is not None]
    return (sum(means) / len(means) / unit if means else None, max(peaks) / unit if peaks else None)


def _top(points: Iterable[tuple[float | None, float | None]]) -> float:
    return max((value for point in points for value in point if value is not None), default=1.0) or 1.0


def _slowest(material: Material) -> Iterator[Block]:
    found = slowest(material.requests)
    if not found:
        yield Words("No request was seen to end.")
        return
    columns = (
        Column("ended", False),
        Column("model", False, True),
        Column("took"),
        Column("prompt"),
        Column("read again"),
        Column("reply"),
        Column("tok/s"),
        Column("energy"),
    )
    yield told(columns, [_request_row(one) for one in found], "read again", "prompt", "energy")


def _request_row(one: Request) -> tuple[str, ...]:
    return (
        units.clock(one.ended, SHORT_DAY),
        short(one.name),
        seconds(one.seconds),
        count(one.prompt_tokens),
        count(one.reread_tokens or None),
        f"{'>' if one.decoded_is_lower_bound and one.decoded_tokens else ''}{count(one.decoded_tokens)}",
        rate(one.decode_tokens_per_second),
        energy(one.energy_joules),
    )


def count(number: int | None, *, estimate: bool = False) -> str:
    """Write a number of tokens; an estimate is marked."""
    return UNKNOWN if number is None else f"{'~' if estimate else ''}{number:,}"


def rate(tokens_per_second: float | None) -> str:
    """Write a rate without its unit."""
    return units.rate(tokens_per_second).removesuffix(" tok/s")


def seconds(amount: float | None) -> str:
    """Write seconds, short ones with a decimal."""
    return f"{amount:.1f}s" if amount is not None and amount < 9.95 else units.duration(amount)


def energy(joules: float | None) -> str:
    """Write energy in Wh or kWh; what is not told is a dash."""
    if joules is None:
        return UNKNOWN
    wh = joules / JOULES_PER_WH
    return f"{wh / 1000:.1f} kWh" if wh >= 1000 else f"{wh:.{1 if wh < 9.95 else 0}f} Wh"
