"""Times of charts: the row below one with clock times and marks, and what the trend of a row is of."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.cells import cell_len

from gpumon.text import units
from gpumon.widgets.kit.lines import Glyphs, Line, Role, Span, text_line
from gpumon.widgets.views import ChartView

DAY_SECONDS = 86400
TICK_SECONDS = (
    *(5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200),
    *(days * DAY_SECONDS for days in (1, 2, 5, 10)),
)
"""Distances of clock times on an axis."""
TO_THE_DAY = "%d %b"
TICK_CELLS = 13
"""What a clock time takes, with what keeps it from the next one."""


def time_axis(view: ChartView, columns: int, label_width: int, glyphs: Glyphs) -> Line:
    """Draw the one row of the time axis: what happened, then clock times where there is room left."""
    cells: list[tuple[str, Role]] = [(glyphs.rule, "track")] * columns
    pointer = "^" if glyphs.ascii_only else "▲"
    has_clock = view.end is not None and view.seconds > 0
    for ago, word in view.marks if view.seconds > 0 else ():
        if 0 <= ago <= view.seconds:
            at = round((1 - ago / view.seconds) * columns)
            _put(cells, f"{pointer}{glyphs.written(word)}", at, "plain")
    for text, at in _clock_times(view, columns) if has_clock else _relative_times(view, columns):
        _put(cells, text, at, "dim")
    corner = "+" if glyphs.ascii_only else "└"
    line = (Span(" " * label_width), Span(corner, "track"))
    return (*line, *grouped("".join(text for text, _ in cells), [role for _, role in cells]))


def _put(cells: list[tuple[str, Role]], text: str, at: int, role: Role) -> None:
    """Write ``text`` from a cell on, or as far left as it must begin, unless something else stands there."""
    start = max(0, min(at, len(cells) - len(text)))
    beside = cells[max(0, start - 1) : start + len(text) + 1]
    fits = cell_len(text) == len(text) <= len(cells)
    if fits and all(taken == "track" for _, taken in beside):
        cells[start : start + len(text)] = [(character, role) for character in text]


def _clock_times(view: ChartView, columns: int) -> Iterator[tuple[str, int]]:
    """Yield round clock times, and the cells that they stand for."""
    end = view.end or 0.0
    wanted = view.seconds * TICK_CELLS / columns
    step = next((step for step in TICK_SECONDS if step >= wanted), TICK_SECONDS[-1])
    start, offset = end - view.seconds, _utc_offset(end)
    first = math.ceil((start + offset) / step) * step - offset
    for number in range(int((end - first) // step) + 1):
        at = first + number * step
        form = units.TO_THE_SECOND if step < 60 else units.TO_THE_MINUTE
        form = TO_THE_DAY if step >= DAY_SECONDS else form
        yield units.clock(at, form), round((at - start) / view.seconds * columns)


def _utc_offset(at: float) -> int:
    """Return the seconds by which local time is ahead; 0 for a time that no calendar has."""
    try:
        return time.localtime(at).tm_gmtoff
    except (OverflowError, ValueError, OSError):
        return 0


def _relative_times(view: ChartView, columns: int) -> Iterable[tuple[str, int]]:
    half = f"-{_brief(view.seconds / 2)}"
    return (f"-{_brief(view.seconds)}", 0), ("now", columns), (half, columns // 2)


def _brief(seconds: float) -> str:
    """Write a duration in its largest unit if that is exact: ``10m``."""
    return units.duration(seconds).replace(" 00s", "").replace(" 00m", "").replace(" 00h", "")


def grouped(plain: str, roles: Sequence[Role]) -> Line:
    """Return ``plain`` in as few spans as its characters' ``roles`` allow."""
    spans, start = [], 0
    for role, group in groupby(roles):
        end = start + len(list(group))
        spans.append(Span(plain[start:end], role))
        start = end
    return tuple(spans)


TREND_HEADINGS = ("last 2 min", "2 min")
"""What time the trend of a row is of: the first of these for which there is room."""


def trend_heading(room: int) -> Line:
    """Return the name of a column of trends."""
    return text_line(next((words for words in TREND_HEADINGS if len(words) <= room), ""), "dim")
