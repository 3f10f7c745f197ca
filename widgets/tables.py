"""Lists beside the dashboard: the figures of a page, models on disk, the palette, the help."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct
from rich.cells import cell_len

from gpumon.text import units
from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.columns import Column, Row, draw_row, fit
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Role,
    Span,
    line_width,
    noted,
    padded,
    shorten,
    shorten_words,
    spread,
    text_line,
    wrap_words,
)
from gpumon.widgets.kit.panels import LinePanel, gutter, title_line
from gpumon.widgets.kit.rows import ALL, RowPanel
from gpumon.widgets.views import ChoiceRow, Fact, InstalledRow

WRAP_LIMIT = 6
VALUE_LEAST_WIDTH = 12


def fact_lines(facts: Sequence[Fact], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw the facts in columns; values wrap between words, and origins go where they leave no room."""
    labels = max((line_width(_label(fact, glyphs)) for fact in facts), default=0)
    label_width = min(labels, max(4, width * 2 // 5))
    origin_width = max((line_width(_origin(fact, glyphs)) for fact in facts), default=0)
    room = width - label_width - 3
    if room - origin_width - 2 >= VALUE_LEAST_WIDTH * 2:
        room -= origin_width + 2
    else:
        origin_width = 0
    room = min(room, max((cell_len(glyphs.written(fact.value, limit=2000)) for fact in facts), default=0))
    lines: list[Line] = []
    for fact in facts:
        lines += _fact(fact, label_width, room, origin_width, glyphs)
    return [line for line in lines if line_width(line) <= width]


def _fact(fact: Fact, label_width: int, room: int, origin_width: int, glyphs: Glyphs) -> list[Line]:
    label = text_line(shorten(glyphs.written(fact.label), label_width, glyphs.ellipsis), "dim")
    start: Line = (Span(" "), *padded(label, label_width), Span("  "))
    values = wrap_words(glyphs.written(fact.value, limit=2000), max(1, room), WRAP_LIMIT, glyphs.ellipsis)
    first: Line = (*start, Span(values[0], fact.level or "plain"))
    if origin_width:
        origin = _origin(fact, glyphs)
        first = spread(first, origin, line_width(start) + room + 2 + line_width(origin))
    indent = Span(" " * line_width(start))
    return [first, *((indent, Span(value, fact.level or "plain")) for value in values[1:])]


def _label(fact: Fact, glyphs: Glyphs) -> Line:
    return text_line(glyphs.written(fact.label))


def _origin(fact: Fact, glyphs: Glyphs) -> Line:
    return text_line(glyphs.written(fact.origin), "dim")


class FactTable(LinePanel):
    """A titled list of facts."""

    def __init__(
        self,
        title: str = "",
        *,
        glyphs: Glyphs = UNICODE,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(glyphs=glyphs, id=id, classes=classes)
        self._title = title
        self._facts: tuple[Fact, ...] = ()

    def show(self, facts: Sequence[Fact]) -> None:
        """Draw ``facts``."""
        if (shown := tuple(facts)) != self._facts:
            self._facts = shown
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the title, if there is one, and the facts."""
        title = [title_line(self._title, "", width, self.glyphs)] if self._title else []
        return [*title, *fact_lines(self._facts, width, self.glyphs)][:height]


COLUMNS = (
    Column("mark", (0,)),
    Column("name", (0, 14, 46), widths=(14, 24, 60), gap=1),
    Column("size", (36,), widths=(8,), align="right"),
    Column("needs", (20,), widths=(8,), align="right"),
    Column("here", (5, 28, 44), widths=(12, 20, 34), grows_to=46),
    Column("rate", (12, 40), widths=(6, 15), align="right"),
    Column("context", (24, 42), widths=(7, 15), align="right"),
    Column("server", (50,)),
)
"""Nothing here follows what the answers are: as these come, no column moves."""


def installed_lines(
    rows: Sequence[InstalledRow],
    width: int,
    glyphs: Glyphs,
    cursor: str | None = None,
    shown: slice = ALL,
) -> list[Line]:
    """Draw the names of the columns, and one line for each of the models ``shown``."""
    cells = [_cells(row, glyphs, selected=row.key == cursor) for row in rows]
    fitted = fit(COLUMNS, cells, width)
    return [draw_row(row, fitted, glyphs.ellipsis) for row in (_headings(glyphs), *cells[shown])]


def _headings(glyphs: Glyphs) -> Row:
    return {
        "name": (text_line("NAME", "dim"),),
        "size": _longest(glyphs, "FILE", role="dim"),
        "needs": _longest(glyphs, "NEEDS", role="dim"),
        "here": _longest(glyphs, "HERE", role="dim"),
        "rate": _longest(glyphs, "~tok/s", "tok/s, estimate", role="dim"),
        "context": _longest(glyphs, "CONTEXT", "LARGEST CONTEXT", role="dim"),
        "server": (text_line("SERVER", "dim"),),
    }


def _cells(row: InstalledRow, glyphs: Glyphs, *, selected: bool) -> Row:
    here = tuple(map(glyphs.written, row.here)) or (units.UNKNOWN,)
    return {
        "mark": (gutter(row.level, selected, glyphs),),
        "name": (text_line(glyphs.written(row.name), "title" if selected else "plain"),),
        "size": _longest(glyphs, *_size_forms(row.size_bytes), role="dim"),
        "needs": _longest(glyphs, *_size_forms(row.needed_bytes)),
        "here": _longest(glyphs, *here, role=_role(row)),
        "rate": _longest(glyphs, *_rate_forms(row.tokens_per_second)),
        "context": _longest(glyphs, _context(row.context_length)),
        "server": (text_line(glyphs.written(row.server), "dim"),),
    }


def _longest(glyphs: Glyphs, *forms: str, role: Role = "plain") -> Callable[[int], Line]:
    """Return what draws the longest of some forms for which there is room, else the first cut short."""

    def draw(width: int) -> Line:
        fitting = [form for form in forms if cell_len(form) <= width]
        return text_line(fitting[-1] if fitting else shorten_words(forms[0], width, glyphs.ellipsis), role)

    return draw


def _role(row: InstalledRow) -> Role:
    return row.level if row.level in {"watch", "bad"} else "plain" if row.here else "dim"


def _size_forms(size_bytes: int | None) -> tuple[str, ...]:
    """Write a size, of hundreds of GiB without their tenths where there is no room."""
    whole = units.size(size_bytes)
    return (f"{round(size_bytes / units.GIB)} GiB", whole) if size_bytes and len(whole) > 8 else (whole,)


def _rate_forms(band: tuple[float, float, float] | None) -> tuple[str, ...]:
    """Write an estimate, alone and with its range: ``~47``, ``~47 (37-59)``."""
    if band is None:
        return (units.UNKNOWN,)
    low, expected, high = (units.rate(value).removesuffix(" tok/s") for value in band)
    return (f"~{expected}", f"~{expected} ({low}-{high})")


def _context(tokens: int | None) -> str:
    return "none" if tokens == 0 else units.tokens(tokens)


class InstalledPanel(RowPanel):
    """The installed models, under the names of their columns."""

    title = "Installed models"
    _rows: tuple[InstalledRow, ...] = ()

    def show(self, rows: Sequence[InstalledRow], empty: str) -> None:
        """Draw ``rows``, or the words of ``empty`` where there are none."""
        self.show_rows(rows, empty)

    def heading(self, width: int, note: str) -> Line:
        """Return the names of the columns."""
        [names] = installed_lines(self._rows, width, self.glyphs, None, slice(0))
        return noted(names, text_line(note, "dim"), width)

    def row_lines(self, width: int, shown: slice) -> list[Line]:
        """Return the lines of the models ``shown``."""
        return installed_lines(self._rows, width, self.glyphs, self.cursor_key, shown)[1:]


class ChoicePanel(RowPanel):
    """What there is to choose from, one line each."""

    _rows: tuple[ChoiceRow, ...] = ()

    def show(self, rows: Sequence[ChoiceRow], empty: str) -> None:
        """Draw ``rows``, or the words of ``empty`` where there are none."""
        self.show_rows(rows, empty)

    def row_lines(self, width: int, shown: slice) -> list[Line]:
        """Return the lines of the rows ``shown``, their notes at the right."""
        return [self._line(row, width) for row in self._rows[shown]]

    def _line(self, row: ChoiceRow, width: int) -> Line:
        selected = row.key == self.cursor_key
        note = text_line(self.glyphs.written(row.note), "dim")
        room = max(1, width - 2 - line_width(note) - 2)
        words = shorten_words(self.glyphs.written(row.title), room, self.glyphs.ellipsis)
        mark = Span(self.glyphs.cursor if selected else " ", "cursor")
        return spread((mark, Span(" "), Span(words, "title" if selected else "plain")), note, width - 1)


COLUMN_GAP = 2
TWO_COLUMNS_FROM = 74
"""Below this width the words of two columns would wrap."""


class Section(Struct, frozen=True):
    """A titled list of the help."""

    title: str
    facts: tuple[Fact, ...]


def sheet_lines(sections: Sequence[Section], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw the sections below each other, or in two columns that are as even as whole sections allow."""
    if width < TWO_COLUMNS_FROM:
        return _column(sections, width, glyphs)
    room = (width - COLUMN_GAP) // 2
    heights = [len(_column([section], room, glyphs)) for section in sections]
    cut = min(range(1, len(sections) + 1), key=lambda at: max(sum(heights[:at]), sum(heights[at:])))
    left, right = _column(sections[:cut], room, glyphs), _column(sections[cut:], room, glyphs)
    blank: Line = (Span(" " * COLUMN_GAP),)
    rows = max(len(left), len(right))
    left, right = ([*side, *[()] * (rows - len(side))] for side in (left, right))
    return [(*padded(one, room), *blank, *other) for one, other in zip(left, right, strict=True)]


def _column(sections: Sequence[Section], width: int, glyphs: Glyphs) -> list[Line]:
    lines: list[Line] = []
    for section in sections:
        lines.append(title_line(section.title, "", width, glyphs))
        lines += fact_lines(section.facts, width, glyphs)
    return [line for line in lines if line_width(line) <= width]


class HelpSheet(LinePanel):
    """The lists, at their natural height."""

    _sections: tuple[Section, ...] = ()
    _watched: tuple[str, ...] = ()

    def show(self, sections: Sequence[Section], watched: Sequence[str] = ()) -> None:
        """Draw ``sections``, and below them what is ``watched``."""
        if (shown := (tuple(sections), tuple(watched))) != (self._sections, self._watched):
            self._sections, self._watched = shown
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the lines of all sections, and those of what is watched."""
        lines = sheet_lines(self._sections, width, self.glyphs)
        return [*lines, *watched_lines(self._watched, width, self.glyphs)][:height]


def watched_lines(watched: Sequence[str], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw what is watched, on as few lines as hold it."""
    words = f" {glyphs.dot} ".join(glyphs.written(one) for one in watched)
    rows = wrap_words(words, max(1, width - 1), WRAP_LIMIT, glyphs.ellipsis) if words else []
    return [text_line(f" {row}", "dim") for row in rows]
