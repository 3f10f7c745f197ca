"""One to three lines for each GPU: who holds its memory, how busy, hot and throttled it is."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.text import units
from gpumon.text.names import short_gpu_name
from gpumon.widgets.kit.columns import Column, Fitted, Row, draw_row, fit, offset_of
from gpumon.widgets.kit.gauges import BarPart, split_bar, trend_line
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Role,
    Span,
    in_role,
    joined,
    line_width,
    padded,
    plain_text,
    shorten,
    shorten_words,
    text_line,
)
from gpumon.widgets.kit.panels import ALL, RowPanel, gutter
from gpumon.widgets.views import BarSegment, GpuRow

CELLS_PER_MODEL = 3
LABEL_WIDTHS = (40, 24, 14, 9)


def bar_parts(row: GpuRow, width: int) -> list[BarPart]:
    """Return the bar's parts: models first, then all other processes as one, reserved, free.

    What is used but not told apart counts as a process; models are one part where cells are few.
    """
    models = [segment.size_bytes for segment in row.segments if segment.kind == "model"]
    if len(models) * CELLS_PER_MODEL > width:
        models = [sum(models)]
    others = sum(segment.size_bytes for segment in row.segments if segment.kind == "process")
    reserved = sum(segment.size_bytes for segment in row.segments if segment.kind == "reserved")
    total = row.total_bytes or 0
    untold = max(0, min(row.used_bytes or 0, total) - sum(models) - others - reserved)
    free = max(0, total - sum(models) - others - reserved - untold)
    parts = [BarPart(size, "model") for size in models]
    return [
        *parts,
        BarPart(others + untold, "process"),
        BarPart(reserved, "reserved"),
        BarPart(free, "track"),
    ]


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
    Column("bar", (20, 70, 150), widths=(8, 18, 30), grows_to=72),
    Column("figure", (10, 80), align="right"),
    Column("unified", (11,), gap=1),
    Column("utilization", (25, 57), align="right"),
    Column("trend", (90, 140), widths=(8, 14), gap=1, grows_to=24),
    Column("temperature", (55, 110), align="right"),
    Column("power", (65, 130), align="right"),
    Column("fan", (160,), align="right"),
    Column("notes", (50, 105, 155), widths=(12, 24, 60), cut=shorten_words),
)
LEGEND_ROOM = 80


def gpu_lines(
    rows: Sequence[GpuRow],
    width: int,
    glyphs: Glyphs,
    lines_per_row: int = 1,
    cursor_key: str | None = None,
    shown: slice = ALL,
) -> list[Line]:
    """Draw those ``shown`` of ``rows`` in columns that suit all, each on ``lines_per_row`` (1 to 3) lines."""
    cells = [_cells(row, glyphs, row.key == cursor_key, lines_per_row) for row in rows]
    fitted = fit(COLUMNS, cells, width)
    lines: list[Line] = []
    for row, row_cells in zip(rows[shown], cells[shown], strict=True):
        lines += _block(row, row_cells, fitted, width, glyphs, lines_per_row)
        lines += [()] * (-len(lines) % lines_per_row)
    return lines


def _block(
    row: GpuRow, cells: Row, fitted: Sequence[Fitted], width: int, glyphs: Glyphs, lines_per_row: int
) -> list[Line]:
    if not _measured(row):
        return [_words_line(row, cells, fitted, width, glyphs)]
    more = (_second_line, _third_line)[: lines_per_row - 1]
    lines = [
        draw_row(cells, fitted, glyphs.ellipsis),
        *(line(row, fitted, width, glyphs) for line in more),
    ]
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
    """Draw the notes and the legend of the bar, below the bar if there is room enough."""
    below_bar = offset_of("bar", fitted) or 0
    start = below_bar if width - below_bar >= LEGEND_ROOM else offset_of("name", fitted) or below_bar
    room = width - start
    notes = text_line(
        shorten_words(_join_notes(_notes(row, glyphs), glyphs), room, glyphs.ellipsis), _note_role(row)
    )
    left = room - line_width(notes) - 2 if notes else room
    line = joined([notes, legend(row, left, glyphs)])
    return (Span(" " * start), *line) if line else ()


def _third_line(row: GpuRow, fitted: Sequence[Fitted], width: int, glyphs: Glyphs) -> Line:
    start = offset_of("bar", fitted)
    if start is None or not row.vram_trend:
        return ()
    bar_width = next(place.width for place in fitted if place.column.key == "bar")
    trend = trend_line(row.vram_trend, bar_width, row.total_bytes, glyphs)
    label = text_line("VRAM over time", "dim")
    fits = start + bar_width + 2 + line_width(label) <= width
    return (Span(" " * start), *joined([trend, label if fits else ()]))


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


def _cells(row: GpuRow, glyphs: Glyphs, selected: bool, lines_per_row: int) -> Row:
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
        "utilization": _utilization(row),
        "trend": lambda width: trend_line(row.utilization_trend, width, 100.0, glyphs),
        "temperature": _temperature(row, glyphs),
        "power": _power(row),
        "fan": () if row.fan_percent is None else _labelled("fan", row.fan_percent)[1:],
        "notes": _note_cell(row, glyphs) if lines_per_row == 1 else (),
    }


def _memory_cells(row: GpuRow, glyphs: Glyphs) -> Row:
    if row.total_bytes is None:
        return {"figure": ((Span(units.gib(row.used_bytes)),),)}
    figure = (Span(units.gib(row.used_bytes)), Span(f"/{units.gib(row.total_bytes)}", "dim"))
    return {
        "bar": lambda width: split_bar(bar_parts(row, width), width, glyphs),
        "figure": (figure, (*figure, Span(" GiB", "dim"))),
        "unified": (text_line("unified", "dim"),) if row.unified else (),
    }


def _note_cell(row: GpuRow, glyphs: Glyphs) -> tuple[Line, ...]:
    notes, role = _notes(row, glyphs), _note_role(row)
    first = text_line(_join_notes(notes[:1], glyphs), role)
    return (first, first, text_line(_join_notes(notes, glyphs), role))


def _utilization(row: GpuRow) -> tuple[Line, ...]:
    """Write the utilization; for an old row its age instead, so that it is told at any width."""
    if row.age_seconds is not None:
        return (text_line(f"{units.duration(row.age_seconds)} old"),)
    return _labelled("util", row.utilization_percent)


def _labelled(label: str, percent: float | None) -> tuple[Line, ...]:
    value = Span(units.percent(percent), "dim" if percent is None else "plain")
    return ((value,), (Span(f"{label} ", "dim"), Span(f"{value.text:>4}", value.role)))


def _temperature(row: GpuRow, glyphs: Glyphs) -> tuple[Line, ...]:
    if row.temperature_celsius is None:
        return (text_line(units.UNKNOWN, "dim"),)
    short = text_line(units.celsius(row.temperature_celsius).replace("°", glyphs.degree))
    if row.slowdown_celsius is None:
        return (short,)
    return (short, (*short, Span(f" of {row.slowdown_celsius:.0f}", "dim")))


def _power(row: GpuRow) -> tuple[Line, ...]:
    if row.power_watts is None:
        return (text_line(units.UNKNOWN, "dim"),)
    drawn = Span(f"{row.power_watts:.0f}")
    short = (drawn, Span(" W", "dim"))
    if row.power_limit_watts is None:
        return (short,)
    return (short, (drawn, Span(f"/{row.power_limit_watts:.0f} W", "dim")))


class GpuPanel(RowPanel):
    """The GPUs."""

    title = "GPUs"
    _rows: tuple[GpuRow, ...] = ()

    def show(self, rows: Sequence[GpuRow]) -> None:
        """Draw ``rows``."""
        self.show_rows(rows)

    def row_lines(self, width: int, shown: slice) -> list[Line]:
        """Return the lines of the GPUs ``shown``."""
        return gpu_lines(self._rows, width, self.glyphs, self.lines_per_row, self.cursor_key, shown)
