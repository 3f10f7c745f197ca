"""Several machines, a row each: what is wrong there, how full their GPUs are, how fast it goes."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from gpumon.text import units
from gpumon.widgets.kit.columns import Column, Draw, Row, draw_row, fit, offset_of
from gpumon.widgets.kit.gauges import bar
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Span,
    in_role,
    line_width,
    noted,
    padded,
    shorten,
    shorten_words,
    text_line,
)
from gpumon.widgets.kit.panels import gutter
from gpumon.widgets.kit.rows import RowPanel
from gpumon.widgets.views import HostRow

COLUMNS = (
    Column("mark", (0,)),
    Column("name", (0, 16, 44), widths=(10, 16, 28), gap=1),
    Column("verdict", (1, 8, 30), widths=(12, 26, 44), grows_to=104),
    Column("vram", (20, 36), widths=(10, 16), grows_to=44),
    Column("size", (14,), widths=(11,), align="right"),
    Column("rate", (12,), widths=(7,), align="right"),
    Column("models", (19,), widths=(6,), align="right"),
    Column("age", (18,), widths=(6,), align="right"),
)
LEAST_BAR = 4
"""Cells below which several GPUs share one bar."""
LEAST_NAME, GOOD_NAME = 8, 17
"""Cells of a model's name, for the first fact and for those after it."""


def host_lines(
    rows: Sequence[HostRow],
    width: int,
    glyphs: Glyphs,
    cursor: str | None = None,
    lines_per_row: int = 1,
    shown: slice = slice(None),
) -> list[Line]:
    """Draw the names of the columns, and one or two lines for each of the hosts ``shown``."""
    cells = [_cells(row, glyphs, selected=row.key == cursor) for row in rows]
    fitted = fit(COLUMNS, cells, width - 1)
    lines = [draw_row(_headings(), fitted, glyphs.ellipsis)]
    start = offset_of("verdict", fitted) or 3
    for row, drawn in zip(rows[shown], cells[shown], strict=True):
        first = draw_row(drawn, fitted, glyphs.ellipsis)
        lines.append(_dimmed(first) if row.is_old else first)
        if lines_per_row > 1 and has_second_line(row):
            lines.append(_second(row, start, width, glyphs))
    return lines


def has_second_line(row: HostRow) -> bool:
    """Whether there is more to say of a host."""
    return bool(row.cause or row.remedy)


def _headings() -> Row:
    return {
        "name": (text_line("HOST", "dim"),),
        "verdict": lambda width: text_line("VERDICT"[:width], "dim"),
        "vram": lambda width: text_line("GPU MEMORY"[:width], "dim"),
        "size": _right("GiB", role="dim"),
        "rate": _right("tok/s", role="dim"),
        "models": _right("MODELS", role="dim"),
        "age": _right("SEEN", role="dim"),
    }


def _right(*forms: str, role: str = "plain") -> Draw:
    """Return what draws the longest form that fits, at the right."""

    def draw(width: int) -> Line:
        fitting = [form for form in forms if cell_len(form) <= width]
        span = Span(fitting[-1] if fitting else "", role)  # type: ignore[arg-type]  # a role
        return padded((span,), width, "right")

    return draw


def _cells(row: HostRow, glyphs: Glyphs, *, selected: bool) -> Row:
    name = text_line(glyphs.written(row.name), "title" if selected or row.head else "plain")
    return {
        "mark": (gutter(row.level, selected, glyphs),),
        "name": (name,),
        "verdict": lambda width: _verdict(row, width, glyphs),
        "vram": lambda width: _bars(row, width, glyphs),
        "size": _right(*_sizes(row, glyphs)),
        "rate": _right(_rate(row, glyphs)),
        "models": _right(_models(row, glyphs), role="dim"),
        "age": _right(_age(row, glyphs), role="dim"),
    }


def _verdict(row: HostRow, width: int, glyphs: Glyphs) -> Line:
    """Draw the head word, what it is about and as many facts as fit, the name shortened for the first."""
    if not row.head:
        return text_line(shorten_words(glyphs.written(row.sentence, 400), width, glyphs.ellipsis))
    head = Span(shorten(row.head, width, glyphs.ellipsis), row.level)
    room = width - line_width((head,)) - 1
    facts = [_without_rate(glyphs.written(fact)) for fact in row.facts]
    share = facts[0].partition(" ")[0] if facts and "%" in facts[0].partition(" ")[0] else ""
    told = [[share], [facts[0]], facts[:2], facts] if share else [facts[:1], facts[:2], facts]
    name = glyphs.written(row.subject)
    dot = f" {glyphs.dot} "
    joined = [dot.join(filter(None, some)) for some in told]
    least = [min(cell_len(name), LEAST_NAME if one in joined[:2] else GOOD_NAME) for one in joined]
    fitting = [one for one, cells in zip(joined, least, strict=True) if cell_len(one) + cells + 3 <= room]
    said = fitting[-1] if fitting else ""
    left = room - (cell_len(said) + len(dot) if said and name else 0)
    if not name:
        return (head, *_after(shorten_words(said or (facts or [""])[0], max(0, room), glyphs.ellipsis)))
    shown = shorten(name, left, glyphs.ellipsis) if left >= min(cell_len(name), LEAST_NAME) else ""
    return (head, *_after(dot.join(filter(None, (shown, said)))))


def _without_rate(fact: str) -> str:
    """Return a fact without the rate before it, which has a column of its own."""
    rate, unit, rest = fact.partition(" tok/s, ")
    return rest if unit and " " not in rate else fact


def _after(words: str) -> Line:
    return (Span(f" {words}"),) if words else ()


def _bars(row: HostRow, width: int, glyphs: Glyphs) -> Line:
    """Draw a bar for each GPU, or one for all where there is no room for as many."""
    if not row.gpus:
        return text_line(glyphs.dash, "dim")
    count = len(row.gpus)
    each = (width - (count - 1)) // count
    if each < LEAST_BAR:
        used, total = _summed(row)
        return bar(used, total, width, glyphs.lowered) if total else text_line(glyphs.dash, "dim")
    spans: list[Span] = []
    for place, (used, total) in enumerate(row.gpus):
        spans += [Span(" ")] if place else []
        drawn = bar(used, total, each, glyphs.lowered)
        spans += drawn if used is not None and total else padded(text_line(glyphs.dash, "dim"), each)
    return tuple(spans)


def _summed(row: HostRow) -> tuple[int | None, int | None]:
    """Return what is used and what there is on all GPUs; ``None`` where one does not tell."""
    used = [one for one, _ in row.gpus if one is not None]
    total = [one for _, one in row.gpus if one is not None]
    return (sum(used), sum(total)) if row.gpus and len(used) == len(total) == len(row.gpus) else (None, None)


def _sizes(row: HostRow, glyphs: Glyphs) -> tuple[str, ...]:
    used, total = _summed(row)
    if used is None or total is None:
        return (glyphs.dash,)
    whole = f"{units.gib(used)}/{units.gib(total)}"
    return (f"{round(used / units.GIB)}/{round(total / units.GIB)}", whole)


def _rate(row: HostRow, glyphs: Glyphs) -> str:
    known = row.tokens_per_second is not None
    return units.rate(row.tokens_per_second).removesuffix(" tok/s") if known else glyphs.dash


def _models(row: HostRow, glyphs: Glyphs) -> str:
    if row.models is None:
        return glyphs.dash
    return f"{row.models}+{row.loading}" if row.loading else str(row.models)


def _age(row: HostRow, glyphs: Glyphs) -> str:
    """Write since when nothing has come; what is of this moment needs no figure."""
    if row.age_seconds is None:
        return glyphs.dash
    return units.duration(row.age_seconds).split(" ")[0] if row.is_old else "now"


def _second(row: HostRow, start: int, width: int, glyphs: Glyphs) -> Line:
    """Draw the line to type, why before it, below the verdict."""
    room, arrow = width - start, ">" if glyphs.ascii_only else "▸"
    typed = f"{arrow} {glyphs.written(row.remedy, 1000)}" if row.remedy else ""
    place = glyphs.written(row.where) if typed else ""
    cause = glyphs.written(row.cause, 1000)
    if len(typed) > room:
        typed, place = "", ""
    left = room - len(typed) - (3 if typed else 0)
    cause = shorten_words(cause, left, glyphs.ellipsis) if left >= 2 * LEAST_NAME else ""
    words = "   ".join(filter(None, (cause, typed)))
    words += f" {place}" if place and cell_len(words) + cell_len(place) + 1 <= room else ""
    return (Span(" " * start), Span(words, "dim")) if words else ()


def _dimmed(line: Line) -> Line:
    """Draw what is not of now in one dim role; its mark keeps its own."""
    return (*line[:2], *in_role(line[2:], "dim"))


class HostPanel(RowPanel):
    """The hosts, under the names of their columns."""

    title = "Hosts"
    keeps_title = True
    _rows: tuple[HostRow, ...] = ()

    def show(self, rows: Sequence[HostRow], empty: str) -> None:
        """Draw ``rows``, or the words of ``empty`` where there are none."""
        self.show_rows(rows, empty)

    def row_height(self, row: int) -> int:
        """Return one line, or two where there is more to say and room for it."""
        return 2 if self.lines_per_row > 1 and has_second_line(self._rows[row]) else 1

    def heading(self, width: int, note: str) -> Line:
        """Return the names of the columns."""
        [names] = host_lines(self._rows, width, self.glyphs, None, 1, slice(0))
        return noted(names, text_line(note, "dim"), width)

    def row_lines(self, width: int, shown: slice) -> list[Line]:
        """Return the lines of the hosts ``shown``."""
        return host_lines(self._rows, width, self.glyphs, self.cursor_key, self.lines_per_row, shown)[1:]
