"""Two spans side by side; which is better is said only where there is enough to say it by. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

from gpumon.app.history.rows import Load, Request
from gpumon.app.report.document import Block, Column, Grid, Section, Words, short
from gpumon.app.report.material import Material
from gpumon.app.report.sections import rate, seconds, span_words
from gpumon.text import units

LEAST_SAMPLES = 5
"""With fewer on either side nothing is said to be better."""
LEAST_DIFFERENCE = 0.03
"""A smaller difference is none that anybody notices."""
TOO_FEW = "too few to tell"
SURE = 2.0
"""Standard deviations that the sum of ranks must be away from what chance gives: one in twenty."""
ENERGY_TOKENS = 50
"""Of a shorter reply the energy of a thousand tokens is that of its prompt."""


class Figure(NamedTuple):
    """What is compared."""

    words: str
    more_is_better: bool
    write: Callable[[float | None], str]
    of: Callable[[Request], float | None]


def _energy(one: Request) -> float | None:
    tokens = one.decoded_tokens or 0
    return (
        one.energy_joules / 3.6 / tokens
        if one.energy_joules is not None and tokens >= ENERGY_TOKENS
        else None
    )


FIGURES = (
    Figure("tok/s", True, rate, lambda one: one.decode_tokens_per_second),
    Figure("prompt tok/s", True, rate, lambda one: one.prefill_tokens_per_second),
    Figure("first token", False, seconds, lambda one: one.first_token_seconds),
    Figure(
        "Wh per 1,000",
        False,
        lambda value: units.UNKNOWN if value is None else f"{value:.2f}",
        _energy,
    ),
)


class Compared(NamedTuple):
    """A figure of a model in two spans."""

    before: float | None
    """Median."""
    after: float | None
    before_count: int
    after_count: int
    verdict: str


def compare(before: Sequence[float], after: Sequence[float], *, more_is_better: bool) -> Compared:
    """Return the medians of two spans, and which is better where that can be said."""
    middles = median(before) if before else None, median(after) if after else None
    return Compared(*middles, len(before), len(after), _verdict(before, after, more_is_better))


def _verdict(before: Sequence[float], after: Sequence[float], more_is_better: bool) -> str:
    if min(len(before), len(after)) < LEAST_SAMPLES:
        return TOO_FEW
    middle = median(before)
    change = median(after) / middle - 1 if middle else 0.0
    if abs(change) < LEAST_DIFFERENCE or abs(_ranked(before, after)) < SURE:
        return "no difference"
    return f"{'better' if (change > 0) is more_is_better else 'worse'} ({change:+.0%})"


def _ranked(before: Sequence[float], after: Sequence[float]) -> float:
    """Return by how many standard deviations the ranks of ``after`` differ from chance (Mann and Whitney)."""
    low = sum((b < a) + 0.5 * (b == a) for a in after for b in before)
    n, m = len(before), len(after)
    return (low - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def compared(before: Material, after: Material) -> Section:
    """Return the section that sets a span beside the one that the report is of."""
    return Section("Compared", [*_blocks(before, after)])


def _blocks(before: Material, after: Material) -> Iterator[Block]:
    yield Words(f"Before: {span_words(before.span)}. After: {span_words(after.span)}.")
    rows = [*_rows(before, after)]
    if not rows:
        yield Words("No model has ended a request in both.")
        return
    columns = (
        Column("model", False, True),
        Column("median of", False),
        Column("before"),
        Column("after"),
        Column("samples", False),
        Column("after is", False, True),
    )
    yield Grid(columns, rows)
    if any(row[-1] == TOO_FEW for row in rows):
        yield Words(f"Which is better is said from {LEAST_SAMPLES} on either side on.")


def _rows(before: Material, after: Material) -> Iterator[tuple[str, ...]]:
    names = sorted({one.name for one in before.requests} & {one.name for one in after.requests})
    for name in names:
        rows = [*_rows_of(name, before, after)]
        for at, row in enumerate(rows):
            yield ("" if at else short(name), *row)


def _rows_of(name: str, before: Material, after: Material) -> Iterator[tuple[str, ...]]:
    """Yield what is known of a model in both spans."""
    for figure in FIGURES:
        values = [_values(some, name, figure) for some in (before, after)]
        yield from _row(figure.words, figure.write, *values, is_more_better=figure.more_is_better)
    took = [[one.seconds for one in some.loads if _is_load(one, name)] for some in (before, after)]
    yield from _row("load", seconds, *took, is_more_better=False)


def _values(material: Material, name: str, figure: Figure) -> list[float]:
    found = (figure.of(one) for one in material.requests if one.name == name)
    return [value for value in found if value is not None]


def _is_load(one: Load, name: str) -> bool:
    return one.name == name and one.outcome == "loaded"


def _row(
    words: str,
    write: Callable[[float | None], str],
    before: Sequence[float],
    after: Sequence[float],
    *,
    is_more_better: bool,
) -> Iterator[tuple[str, ...]]:
    if before and after:
        found = compare(before, after, more_is_better=is_more_better)
        counts = f"{found.before_count}, {found.after_count}"
        yield words, write(found.before), write(found.after), counts, found.verdict
