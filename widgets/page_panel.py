"""What a page says: sections of figures, bars and tables in one column, charts in another or below."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import compress

from rich.cells import cell_len
from textual import events
from textual.message import Message

from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.history_chart import Plots
from gpumon.widgets.kit.gauges import BarPart, scale_bar
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Role,
    Span,
    joined,
    line_width,
    padded,
    shorten,
    shorten_words,
    spread,
    text_line,
    wrap_words,
)
from gpumon.widgets.kit.panels import LinePanel
from gpumon.widgets.tables import fact_lines
from gpumon.widgets.views import BarRow, ChartView, CureRow, Fact, RequestRow, Section

WRAP_LIMIT = 6
LINE_LIMIT = 10
"""Of a line to type all is to be read, however narrow the pane."""
INDENT = "  "
LOW_CHART_HEIGHT = 8
"""Of charts below the figures, where there is no room beside them."""
LEAST_CHART_HEIGHT, MOST_CHART_HEIGHT = 6, 18
WIDTH_FOR_ORIGINS = 50
"""From here on it is said where figures come from."""
LEAST_WORDS = 24
"""Cells for what is said beside where it comes from."""
LEAST_BAR, MOST_BAR = 4, 32
"""Cells of a bar."""


def section_lines(section: Section, width: int, glyphs: Glyphs, cursor: int | None = None) -> list[Line]:
    """Draw a section: its title, then what it holds; ``cursor`` is the number of the selected cure."""
    lines = [_head(section, width, glyphs)]
    lines += _fact_lines(section.facts, width, glyphs)
    lines += bar_lines(section.bars, width, glyphs)
    for number, cure in enumerate(section.cures):
        lines += cure_lines(cure, number + 1, width, glyphs, selected=number == cursor)
    lines += request_lines(section.requests, width, glyphs)
    return [line for line in lines if line_width(line) <= width]


def _head(section: Section, width: int, glyphs: Glyphs) -> Line:
    words = shorten(glyphs.written(section.title), max(1, width - 1), glyphs.ellipsis)
    title: Line = (Span(" "), Span(words, "title"))
    columns: Sequence[tuple[str, int]] = ()
    if section.cures:
        columns = _cure_columns(width)
    elif section.requests:
        count = _request_count(width)
        columns = [(name, REQUEST_CELL) for name, rank in REQUEST_COLUMNS if rank < count]
        start = " " * max(1, REQUEST_START - line_width(title))
        return (*title, Span(start), *_right_aligned(columns)) if len(columns) > 1 else title
    if columns:
        return spread(title, _right_aligned(columns), width)
    return spread(title, (Span(glyphs.written(section.note), "dim"), Span(" ")), width)


def _right_aligned(columns: Sequence[tuple[str, int]]) -> Line:
    return text_line("".join(name.rjust(cells) for name, cells in columns), "dim")


def _fact_lines(facts: Sequence[Fact], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw sentences from the left edge on, and figures behind their labels; where from at the right."""
    labels = max((line_width(text_line(glyphs.written(fact.label))) for fact in facts), default=0)
    label_width = min(labels, max(4, width * 2 // 5))
    return [line for fact in facts for line in _fact(fact, label_width, width, glyphs)]


def _fact_start(fact: Fact, label_width: int, glyphs: Glyphs) -> Line:
    if not fact.label:
        return (Span(INDENT),)
    label = text_line(shorten(glyphs.written(fact.label), label_width, glyphs.ellipsis), "dim")
    return (Span(INDENT), *padded(label, label_width), Span(INDENT))


def _fact(fact: Fact, label_width: int, width: int, glyphs: Glyphs) -> Iterator[Line]:
    start = _fact_start(fact, label_width, glyphs)
    origin = text_line(glyphs.written(fact.origin), "dim")
    room = width - line_width(start) - 1
    beside = room - line_width(origin) - 2
    words = glyphs.written(fact.value, limit=2000)
    has_origin = bool(origin) and width >= WIDTH_FOR_ORIGINS
    has_origin = has_origin and (beside >= LEAST_WORDS or cell_len(words) <= beside)
    rows = wrap_words(words, max(1, beside if has_origin else room), WRAP_LIMIT, glyphs.ellipsis)
    role = fact.level or "plain"
    yield spread((*start, Span(rows[0], role)), (*origin, Span(" ")) if has_origin else (), width)
    for row in rows[1:]:
        yield (Span(" " * line_width(start)), Span(row, role))


def bar_lines(rows: Sequence[BarRow], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw figures with bars, all of one length, and words behind them."""
    label_width = min(_widest(rows, glyphs, lambda row: row.label), max(4, width * 2 // 5))
    figure_width = _widest(rows, glyphs, lambda row: row.figure)
    length = _bar_length(rows, width - label_width - figure_width - 7, glyphs)
    lines = []
    for row in rows:
        label = text_line(shorten(glyphs.written(row.label), label_width, glyphs.ellipsis), "dim")
        figure = text_line(glyphs.written(row.figure.replace("°", glyphs.degree)), row.level or "plain")
        start = (Span(INDENT), *padded(label, label_width), Span(INDENT))
        if figure_width and (row.figure or row.parts):
            start = (*start, *padded(figure, figure_width, "right"), Span(INDENT))
        lines.append((*start, *_behind(row, length, width - line_width(start) - 1, glyphs)))
    return lines


def _widest(rows: Sequence[BarRow], glyphs: Glyphs, text: Callable[[BarRow], str]) -> int:
    return max((line_width(text_line(glyphs.written(text(row)))) for row in rows), default=0)


def _bar_length(rows: Sequence[BarRow], room: int, glyphs: Glyphs) -> int:
    """Return how long all bars are, so that the widest words fit behind them if that leaves a bar."""
    notes = _widest([row for row in rows if row.parts], glyphs, lambda row: row.note)
    length = room - notes - 2 if notes and room - notes - 2 >= LEAST_BAR else room
    return min(length, MOST_BAR) if any(row.parts for row in rows) else 0


def _behind(row: BarRow, length: int, room: int, glyphs: Glyphs) -> Line:
    """Draw a row's bar, if it has one, and the words that still fit."""
    if not row.parts and not row.tracked:
        rows = wrap_words(glyphs.written(row.note, limit=400), max(1, room), 1, glyphs.ellipsis)
        return text_line(rows[0] if row.note else "", row.level or "dim")
    return _with_bar(row, length, room, glyphs) if length >= LEAST_BAR else ()


def _with_bar(row: BarRow, length: int, room: int, glyphs: Glyphs) -> Line:
    role = row.level if row.level and not row.figure else "dim"
    parts = list(row.parts)
    if row.tracked:
        parts.append(BarPart(max(0.0, row.scale - sum(part.size for part in parts)), "track"))
    bar = scale_bar(parts, row.scale, length, glyphs)
    note = text_line(glyphs.written(row.note), role)
    blank = Span(" " * (length - line_width(bar) + 2))
    return (*bar, blank, *note) if note and length + 2 + line_width(note) <= room else bar


CURE_COLUMNS = (("context", 9), ("tok/s", 7), ("GiB", 6), ("", 1))
LEAST_COMMAND_WIDTH = 30


def _cure_columns(width: int) -> tuple[tuple[str, int], ...]:
    """Return the columns of figures for which there is room beside the lines; the context goes first."""
    columns: tuple[tuple[str, int], ...] = CURE_COLUMNS
    while len(columns) > 1 and width - sum(cells for _, cells in columns) < LEAST_COMMAND_WIDTH:
        columns = columns[1:]
    return columns


def _cure_figures(cure: CureRow, columns: Sequence[tuple[str, int]], glyphs: Glyphs) -> Line:
    figures = {"context": cure.context, "tok/s": cure.rate, "GiB": cure.vram, "": ""}
    cells = (padded(text_line(glyphs.written(figures[name])), width, "right") for name, width in columns)
    return joined(cells, ())


def cure_lines(cure: CureRow, number: int, width: int, glyphs: Glyphs, *, selected: bool) -> list[Line]:
    """Draw a cure: its number, the line to type, what comes of it; below where the line goes, and why."""
    beside = _cure_figures(cure, _cure_columns(width), glyphs)
    room = max(1, width - line_width(beside) - 4)
    rows = wrap_words(glyphs.written(cure.line, limit=1000), room, LINE_LIMIT, glyphs.ellipsis)
    mark = Span(glyphs.cursor if selected else " ", "cursor")
    role: Role = "title" if cure.has_command else "plain"
    lines: list[Line] = [spread((mark, Span(f"{number} ", "dim"), Span(rows[0], role)), beside, width)]
    below = wrap_words(glyphs.written(cure.words, limit=1000), max(1, width - 4), 3, glyphs.ellipsis)
    indent = Span(" " * 3)
    lines += [(indent, Span(row, role)) for row in rows[1:]]
    return [*lines, *((indent, Span(row, "dim")) for row in below if row)]


REQUEST_START, REQUEST_CELL = 15, 8
REQUEST_COLUMNS = (("prompt", 0), ("kept", 4), ("reply", 1), ("tok/s", 2), ("first", 5), ("took", 3))
"""From left to right, each with its rank: a narrow page shows the first ones."""


def _request_count(width: int) -> int:
    return max(0, (width - REQUEST_START) // REQUEST_CELL)


def request_lines(rows: Sequence[RequestRow], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw one line for each request, in columns below the names in the head."""
    shown = [rank < _request_count(width) for _, rank in REQUEST_COLUMNS]
    lines = []
    for row in rows:
        figures = compress((row.prompt, row.kept, row.reply, row.rate, row.first, row.took), shown)
        began = text_line(glyphs.written(row.started), "title" if row.runs else "dim")
        cells = (padded(text_line(glyphs.written(one)), REQUEST_CELL, "right") for one in figures)
        lines.append((Span(INDENT), *padded(began, REQUEST_START - 2), *joined(cells, ())))
    return lines


class PagePanel(LinePanel):
    """The sections of a page, the other figures where asked for, and charts where none stand beside."""

    _sections: tuple[Section, ...] = ()
    _rest: tuple[Fact, ...] = ()
    _charts: tuple[ChartView, ...] = ()
    _cursor: int | None = None
    _is_open = False
    rest_line = 0
    """The line on which the further figures begin."""
    cure_lines: tuple[int, ...] = ()
    """The lines on which the cures begin."""
    cures_end = 0
    """The line after the last of them."""

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:  # noqa: A002
        super().__init__(glyphs=glyphs, id=id)
        self._plots = Plots()

    def show(
        self,
        sections: Sequence[Section],
        rest: Sequence[Fact],
        charts: Sequence[ChartView],
        *,
        cursor: int | None,
        is_open: bool,
    ) -> None:
        """Draw ``sections``; ``rest`` is counted, and told where it ``is_open``."""
        shown = (tuple(sections), tuple(rest), tuple(charts), cursor, is_open)
        if shown != (self._sections, self._rest, self._charts, self._cursor, self._is_open):
            self._sections, self._rest, self._charts, self._cursor, self._is_open = shown
            self.redraw()

    class CureClicked(Message):
        """A cure was clicked: its number, from 1."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def on_click(self, event: events.Click) -> None:
        """Post the number of the cure under the mouse, that of its first line or of those below it."""
        offset = event.get_content_offset(self)
        above = [
            number for number, line in enumerate(self.cure_lines, start=1) if offset and line <= offset.y
        ]
        if offset is not None and above and offset.y < self.cures_end:
            self.post_message(self.CureClicked(above[-1]))

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the sections with a blank line between them, the further figures, and the charts."""
        lines: list[Line] = []
        cures: list[int] = []
        for section in self._sections:
            lines += [()] if lines else []
            cures += self._cures_from(section, width, len(lines))
            lines += section_lines(section, width, self.glyphs, self._cursor)
            if section.cures:
                self.cures_end = len(lines)
        lines += [()] if lines and self._rest else []
        self.rest_line, self.cure_lines = len(lines), tuple(cures)
        lines += self._rest_lines(width)
        for chart in self._charts:
            lines += [(), *self._plots.drawn(chart, width, LOW_CHART_HEIGHT, self.glyphs)]
        if height is None:
            self._plots.settle()
        return lines[:height]

    def _cures_from(self, section: Section, width: int, line: int) -> Iterator[int]:
        line += 1 + len(_fact_lines(section.facts, width, self.glyphs))
        for number, cure in enumerate(section.cures):
            yield line
            line += len(cure_lines(cure, number + 1, width, self.glyphs, selected=False))

    def _rest_lines(self, width: int) -> list[Line]:
        if not self._rest:
            return []
        names = ", ".join(fact.label.strip() for fact in self._rest)
        words = f"{len(self._rest)} more figures: {names}"
        said = "fewer figures" if self._is_open else self.glyphs.written(words, limit=1000)
        head: Line = (Span(" d ", "title"), Span(shorten_words(said, width - 4, self.glyphs.ellipsis), "dim"))
        return [head, *(fact_lines(self._rest, width, self.glyphs) if self._is_open else ())]


class ChartColumn(LinePanel):
    """The charts of a page, as many as have room, and below them what else stands beside its figures."""

    _charts: tuple[ChartView, ...] = ()
    _below: tuple[Section, ...] = ()

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:  # noqa: A002
        super().__init__(glyphs=glyphs, id=id)
        self._plots = Plots()

    def show(self, charts: Sequence[ChartView], below: Sequence[Section]) -> None:
        """Draw ``charts``, and ``below`` them the sections."""
        shown = (tuple(charts), tuple(below))
        if shown != (self._charts, self._below):
            self._charts, self._below = shown
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the charts, each as high as the others, with a rule at their left."""
        room, inner = 40 if height is None else height, width - 2
        below = [line for section in self._below for line in section_lines(section, inner, self.glyphs)]
        lines = list(self._chart_lines(inner, room - len(below)))
        lines += below
        lines += [()] * (room - len(lines))
        self._plots.settle()
        rule = Span("|" if self.glyphs.ascii_only else "│", "track")
        return [(rule, Span(" "), *line) for line in lines[:room]]

    def _chart_lines(self, width: int, room: int) -> Iterator[Line]:
        count = min(len(self._charts), max(1, (room + 1) // (LEAST_CHART_HEIGHT + 1)))
        height = min(MOST_CHART_HEIGHT, (room + 1) // count - 1) if count else 0
        for chart in self._charts[:count] if height > 0 else ():
            yield from self._plots.drawn(chart, width, height, self.glyphs)
            yield ()
