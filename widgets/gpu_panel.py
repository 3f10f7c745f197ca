"""A line or two for each GPU: who holds its memory, how busy, hot and throttled it is."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.text import units
from gpumon.text.safe import short_gpu_name
from gpumon.widgets.kit.columns import Cell, Column, Draw, Fitted, Row, aligned, draw_row, fit, offset_of
from gpumon.widgets.kit.gauges import BarPart, named_bar, split_bar, trend_line
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Role,
    Span,
    in_role,
    joined,
    line_width,
    noted,
    padded,
    plain_text,
    shorten,
    shorten_words,
    text_line,
    without_blanks,
)
from gpumon.widgets.kit.panels import gutter
from gpumon.widgets.kit.rows import ALL, RowPanel
from gpumon.widgets.time_axis import trend_heading
from gpumon.widgets.views import BarSegment, GpuRow

CELLS_PER_MODEL = 3
LABEL_WIDTHS = (40, 24, 14, 9)
NAMED_BAR_CELLS = 30
"""From this length on the names stand on the bar, and no legend below it."""


def bar_parts(row: GpuRow, width: int) -> list[BarPart]:
    """Return the bar's parts: models first, then all other processes as one, reserved, free.

    What is used but not told apart counts as a process; models are one part where cells are few.
    """
    models = [segment for segment in row.segments if segment.kind == "model"]
    others = [segment for segment in row.segments if segment.kind == "process"]
    held = sum(segment.size_bytes for segment in models)
    other = sum(segment.size_bytes for segment in others)
    reserved = sum(segment.size_bytes for segment in row.segments if segment.kind == "reserved")
    total = row.total_bytes or 0
    untold = max(0, min(row.used_bytes or 0, total) - held - other - reserved)
    free = max(0, total - held - other - reserved - untold)
    parts = [_model_part(segment, at) for at, segment in enumerate(models)]
    if len(models) * CELLS_PER_MODEL > width:
        parts = [BarPart(held, "model", f"{len(models)} models", units.gib(held))]
    return [
        *parts,
        BarPart(other + untold, "process", _others_label(others), units.gib(other + untold)),
        BarPart(reserved, "reserved"),
        BarPart(min(free, row.planned_bytes), "planned"),
        BarPart(max(0, free - row.planned_bytes), "track"),
    ]


def _model_part(segment: BarSegment, at: int) -> BarPart:
    return BarPart(
        segment.size_bytes, ("model", "model2")[at % 2], segment.label, units.gib(segment.size_bytes)
    )


def _others_label(others: Sequence[BarSegment]) -> str:
    """Name the largest of the other processes, and say how many there are besides."""
    if not others:
        return ""
    largest = max(others, key=lambda segment: segment.size_bytes)
    return largest.label if len(others) == 1 else f"{largest.label} +{len(others) - 1}"


def legend(row: GpuRow, width: int, glyphs: Glyphs) -> Line:
    """Name the bar's segments with their GiB: names are shortened first, then the last ones counted."""
    everything, shortest = len(row.segments), LABEL_WIDTHS[-1]
    tries = [_legend(row, everything, label_width, glyphs) for label_width in LABEL_WIDTHS]
    tries += [_legend(row, count, shortest, glyphs) for count in range(everything - 1, 0, -1)]
    tries += [_legend(row, min(1, everything), shortest, glyphs, free=False), joined(_free(row, glyphs))]
    return next((line for line in tries if line_width(line) <= width), ())


def _legend(row: GpuRow, count: int, label_width: int, glyphs: Glyphs, free: bool = True) -> Line:
    parts = [_segment(segment, label_width, glyphs) for segment in row.segments[:count]]
    if hidden := len(row.segments) - count:
        parts.append(text_line(f"+{hidden} more", "dim"))
    return joined([*parts, *(_free(row, glyphs) if free else ())])


def _segment(segment: BarSegment, label_width: int, glyphs: Glyphs) -> Line:
    label = shorten(glyphs.written(segment.label), label_width, glyphs.ellipsis)
    swatch = Span(glyphs.fill(segment.kind), segment.kind)
    return (swatch, Span(f" {label} ", "dim"), Span(units.gib(segment.size_bytes)))


def _free(row: GpuRow, glyphs: Glyphs) -> Sequence[Line]:
    if row.free_bytes is None:
        return []
    free = Span(units.gib(row.free_bytes))
    return [(Span(glyphs.free, "track"), Span(" free ", "dim"), free, Span(" GiB", "dim"))]


COLUMNS = (
    Column("mark", (0,)),
    Column("index", (0,), align="right", gap=1),
    Column("name", (30, 60, 120), widths=(9, 15, 28), gap=1, cut=shorten_words),
    Column("bar", (20, 70, 90, 150), widths=(8, 18, 30, 40), grows_to=72),
    Column("figure", (10,), align="right"),
    Column("unified", (11,), gap=1),
    Column("utilization", (25,), widths=(7,)),
    Column("trend", (85, 140), widths=(8, 14), gap=1, grows_to=24),
    Column("temperature", (55, 110), widths=(3, 9)),
    Column("power", (65, 130), widths=(4, 10)),
)
HEADINGS = {"utilization": "busy", "temperature": "°C", "power": "W"}
LEGEND_ROOM = 80


def gpu_lines(
    rows: Sequence[GpuRow],
    width: int,
    glyphs: Glyphs,
    lines_per_row: int = 1,
    cursor_key: str | None = None,
    shown: slice = ALL,
    columns: Sequence[Fitted] = (),
) -> list[Line]:
    """Draw those ``shown`` of ``rows`` in columns that suit all, each on at most ``lines_per_row`` lines."""
    fitted = columns or columns_for(rows, width, glyphs)
    lines: list[Line] = []
    for row in rows[shown]:
        cells = _cells(row, glyphs, row.key == cursor_key)
        lines += _block(row, cells, fitted, width, glyphs, height_of(row, fitted, lines_per_row))
    return lines


def columns_for(rows: Sequence[GpuRow], width: int, glyphs: Glyphs) -> tuple[Fitted, ...]:
    """Choose the columns by the width, the longest name and the largest memory."""
    return fit(COLUMNS, [_frame(row, glyphs) for row in rows], width)


def height_of(row: GpuRow, fitted: Sequence[Fitted], most: int) -> int:
    """Return how many lines a GPU takes, at most ``most``: a second one for what is wrong, or for names."""
    if most < 2 or not _measured(row):
        return 1
    return 2 if row.notes or not _has_named_bar(fitted) else 1


def _has_named_bar(fitted: Sequence[Fitted]) -> bool:
    return any(place.column.key == "bar" and place.width >= NAMED_BAR_CELLS for place in fitted)


def heading_line(fitted: Sequence[Fitted], note: str, width: int, glyphs: Glyphs) -> Line:
    """Draw the names of the columns, and a note at the right."""
    cells: dict[str, Cell] = {
        key: aligned(text_line(words.replace("°", glyphs.degree), "dim")) for key, words in HEADINGS.items()
    }
    cells["bar"] = lambda room: text_line("VRAM"[:room], "dim")
    cells["trend"] = trend_heading
    cells["figure"] = (text_line("GiB", "dim"),)
    line = draw_row(cells, fitted, glyphs.ellipsis)
    title = text_line(" GPUs", "title")
    line = (*title, *without_blanks(line, line_width(title)))
    return noted(line, text_line(note, "dim"), width)


def _block(
    row: GpuRow, cells: Row, fitted: Sequence[Fitted], width: int, glyphs: Glyphs, height: int
) -> list[Line]:
    if not _measured(row):
        return [_words_line(row, cells, fitted, width, glyphs)]
    lines = [draw_row(cells, fitted, glyphs.ellipsis)]
    if height > 1:
        lines.append(_second_line(row, fitted, width, glyphs))
    return [in_role(line, "dim") for line in lines] if row.age_seconds is not None else lines


def _words_line(row: GpuRow, cells: Row, fitted: Sequence[Fitted], width: int, glyphs: Glyphs) -> Line:
    """Draw a GPU of which nothing is known: words take the place of all figures."""
    frame = [place for place in fitted if place.column.key in {"mark", "index", "name"}]
    head = padded(draw_row(cells, frame, glyphs.ellipsis), offset_of("bar", fitted) or 0)
    words = _join_notes((*_age(row), *_notes(row, glyphs)) or ("nothing known",), glyphs)
    gap = text_line("" if plain_text(head).endswith("  ") else "  ")
    room = width - line_width(head) - line_width(gap)
    if room < 1:
        return draw_row(cells, frame, glyphs.ellipsis)
    return (*head, *gap, *text_line(shorten_words(words, room, glyphs.ellipsis), row.level))


def _second_line(row: GpuRow, fitted: Sequence[Fitted], width: int, glyphs: Glyphs) -> Line:
    """Draw what is wrong and, where the bar is too short for names, a legend of it."""
    below_bar = offset_of("bar", fitted) or 0
    start = below_bar if width - below_bar >= LEGEND_ROOM else offset_of("name", fitted) or below_bar
    room = width - start
    notes = text_line(
        shorten_words(_join_notes(_notes(row, glyphs), glyphs), room, glyphs.ellipsis), _note_role(row)
    )
    left = room - line_width(notes) - 2 if notes else room
    line = joined([notes, () if _has_named_bar(fitted) else legend(row, left, glyphs)])
    return (Span(" " * start), *line) if line else ()


def _notes(row: GpuRow, glyphs: Glyphs) -> tuple[str, ...]:
    return tuple(glyphs.written(note) for note in row.notes)


def _age(row: GpuRow) -> tuple[str, ...]:
    return () if row.age_seconds is None else (f"{units.duration(row.age_seconds)} old",)


def _join_notes(notes: Sequence[str], glyphs: Glyphs) -> str:
    return f" {glyphs.dot} ".join(notes)


def _note_role(row: GpuRow) -> Role:
    return "dim" if row.level == "ok" else row.level


def _measured(row: GpuRow) -> bool:
    return row.total_bytes is not None or row.utilization_percent is not None


def _frame(row: GpuRow, glyphs: Glyphs) -> Row:
    """Return what the widths rest on: what does not change while a GPU works."""
    total = units.gib(row.total_bytes)
    figure = f"{total:>{len(units.gib(1))}}/{total}" if row.total_bytes else total
    drawn = dict.fromkeys(("bar", "utilization", "trend", "temperature", "power"), _blank)
    return {
        **drawn,
        "mark": ((Span("  "),),),
        "index": (text_line(str(row.index)),),
        "name": (text_line(short_gpu_name(glyphs.written(row.name))),),
        "figure": (text_line(figure),),
        "unified": (text_line("unified"),) if row.unified else (),
    }


def _blank(_width: int) -> Line:
    return ()


def _cells(row: GpuRow, glyphs: Glyphs, selected: bool) -> Row:
    frame: Row = {
        "mark": (gutter(row.level, selected, glyphs),),
        "index": (text_line(str(row.index), "dim"),),
        "name": (text_line(short_gpu_name(glyphs.written(row.name)), "title" if selected else "plain"),),
    }
    if not _measured(row):
        return frame
    return {
        **frame,
        **_memory_cells(row, glyphs),
        "utilization": aligned(_utilization(row)),
        "trend": lambda width: trend_line(row.utilization_trend, width, 100.0, glyphs),
        "temperature": _of(row.temperature_celsius, row.slowdown_celsius),
        "power": _of(row.power_watts, row.power_limit_watts),
    }


def _memory_cells(row: GpuRow, glyphs: Glyphs) -> Row:
    if row.total_bytes is None:
        return {"figure": ((Span(units.gib(row.used_bytes)),),)}
    return {
        "bar": lambda width: _bar(row, width, glyphs),
        "figure": ((Span(units.gib(row.used_bytes)), Span(f"/{units.gib(row.total_bytes)}", "dim")),),
        "unified": (text_line("unified", "dim"),) if row.unified else (),
    }


def _bar(row: GpuRow, width: int, glyphs: Glyphs) -> Line:
    draw = named_bar if width >= NAMED_BAR_CELLS else split_bar
    parts = [part._replace(label=glyphs.written(part.label)) for part in bar_parts(row, width)]
    return draw(parts, width, glyphs)


def _utilization(row: GpuRow) -> Line:
    """Write the utilization; for an old row its age instead, so that it is told at any width."""
    if row.age_seconds is not None:
        return text_line(f"{units.duration(row.age_seconds).partition(' ')[0]} old")
    percent = row.utilization_percent
    return text_line(units.percent(percent), "dim" if percent is None else "plain")


def _of(value: float | None, limit: float | None) -> Draw:
    """Write a figure and, where there is room, its limit: ``51 of 90``."""
    if value is None:
        return aligned(text_line(units.UNKNOWN, "dim"))
    short = text_line(f"{value:.0f}")
    long: Line = short if limit is None else (*short, Span(f" of {limit:.0f}", "dim"))
    return lambda width: aligned(long if line_width(long) <= width else short)(width)


class GpuPanel(RowPanel):
    """The GPUs."""

    title = "GPUs"
    _rows: tuple[GpuRow, ...] = ()
    _chosen: tuple[tuple[GpuRow, ...], int, tuple[Fitted, ...]] = ((), 0, ())
    """The columns that suit rows at a width."""

    def show(self, rows: Sequence[GpuRow]) -> None:
        """Draw ``rows``."""
        self.show_rows(rows)

    def heading(self, width: int, note: str) -> Line:
        """Return the names of the columns."""
        return heading_line(self._columns(width), note, width, self.glyphs)

    def row_height(self, row: int) -> int:
        """Return how many lines a GPU takes."""
        return height_of(self._rows[row], self._columns(self.content_size.width), self.lines_per_row)

    def row_lines(self, width: int, shown: slice) -> list[Line]:
        """Return the lines of the GPUs ``shown``."""
        columns = self._columns(width)
        return gpu_lines(self._rows, width, self.glyphs, self.lines_per_row, self.cursor_key, shown, columns)

    def _columns(self, width: int) -> tuple[Fitted, ...]:
        rows, at, columns = self._chosen
        if rows is not self._rows or at != width:
            columns = columns_for(self._rows, width, self.glyphs)
            self._chosen = (self._rows, width, columns)
        return columns
