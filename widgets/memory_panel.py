"""RAM, swap and CPU of the machine, on three lines or on one."""

from __future__ import annotations

from gpumon.text import units
from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.columns import Column, Row, draw_row, fit
from gpumon.widgets.kit.gauges import BarPart, bar, split_bar, trend_text
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Part,
    Role,
    Span,
    in_role,
    join_parts,
    line_width,
    text_line,
)
from gpumon.widgets.kit.panels import LinePanel, gutter, title_line
from gpumon.widgets.views import MemoryRow

COLUMNS = (
    Column("mark", (0,)),
    Column("label", (0,), gap=1),
    Column("bar", (20, 40, 50), widths=(8, 16, 26), grows_to=40),
    Column("figure", (10, 30), align="right"),
)


def memory_lines(row: MemoryRow, width: int, glyphs: Glyphs, lines: int = 3) -> list[Line]:
    """Draw ``row`` on three lines (RAM, swap, CPU), or in short on one."""
    drawn = [_short_line(row, width, glyphs)] if lines < 3 else _full_lines(row, width, glyphs)
    return [in_role(line, "dim") for line in drawn] if row.age_seconds is not None else drawn


def _full_lines(row: MemoryRow, width: int, glyphs: Glyphs) -> list[Line]:
    cells = [_ram_cells(row, glyphs), _swap_cells(row, glyphs), _cpu_cells(row, glyphs)]
    words = [_ram_words(row), _swap_words(row), _cpu_words(row)]
    fitted = fit(COLUMNS, cells, width)
    start = sum(place.width for place in fitted) + sum(place.column.gap for place in fitted[1:])
    lines = []
    for row_cells, parts in zip(cells, words, strict=True):
        line = draw_row(row_cells, fitted, glyphs.ellipsis)
        tail = join_parts([Part(part, need) for need, part in enumerate(parts) if part], width - start - 2)
        blank = Span(" " * (start + 2 - line_width(line)))
        lines.append((*line, blank, *tail) if tail else line)
    return lines


def _short_line(row: MemoryRow, width: int, glyphs: Glyphs) -> Line:
    ram = (*gutter(row.level, False, glyphs), Span(" RAM ", "dim"), *_of(row.used_bytes, row.total_bytes))
    swap: Line = ()
    if row.swap_total_bytes:
        swap = (Span("swap ", "dim"), *_of(row.swap_used_bytes, row.swap_total_bytes))
    cpu: Line = ()
    if row.cpu_percent is not None:
        cpu = (Span("CPU ", "dim"), Span(units.percent(row.cpu_percent)))
    available = _figure("available", units.size(row.available_bytes))
    parts = [ram, _age(row), _models(row), swap, cpu, available]
    return join_parts([Part(part, need) for need, part in enumerate(parts) if part], width)


def _of(used_bytes: int | None, total_bytes: int | None) -> Line:
    total = Span(f"/{units.gib(total_bytes)} GiB", "dim")
    return (Span(units.gib(used_bytes)), total)


def _ram_cells(row: MemoryRow, glyphs: Glyphs) -> Row:
    return {
        "mark": (gutter(row.level, False, glyphs),),
        "label": (text_line("RAM", "dim"),),
        "bar": lambda width: split_bar(_ram_parts(row), width, glyphs),
        "figure": _figures(row.used_bytes, row.total_bytes),
    }


def _ram_parts(row: MemoryRow) -> list[BarPart]:
    """Return spilled models, other used memory, and free memory. Nothing is known without a total."""
    if row.total_bytes is None or row.used_bytes is None:
        return []
    used = min(row.used_bytes, row.total_bytes)
    models = min(row.model_bytes or 0, used)
    return [
        BarPart(models, _model_role(row)),
        BarPart(used - models, "process"),
        BarPart(row.total_bytes - used, "track"),
    ]


def _model_role(row: MemoryRow) -> Role:
    return "model" if row.models_belong_there else "ram"


def _swap_cells(row: MemoryRow, glyphs: Glyphs) -> Row:
    cells: Row = {"mark": ((Span("  "),),), "label": (text_line("swap", "dim"),)}
    if not row.swap_total_bytes:
        return cells
    return {
        **cells,
        "bar": lambda width: bar(row.swap_used_bytes, row.swap_total_bytes, width, glyphs, "process"),
        "figure": _figures(row.swap_used_bytes, row.swap_total_bytes),
    }


def _cpu_cells(row: MemoryRow, glyphs: Glyphs) -> Row:
    return {
        "mark": ((Span("  "),),),
        "label": (text_line("CPU", "dim"),),
        "bar": lambda width: text_line(trend_text(row.cpu_trend, width, 100.0, glyphs), "process"),
        "figure": (text_line(units.percent(row.cpu_percent)),),
    }


def _figures(used_bytes: int | None, total_bytes: int | None) -> tuple[Line, ...]:
    short = (Span(units.gib(used_bytes)), Span(f"/{units.gib(total_bytes)}", "dim"))
    return (short, (*short, Span(" GiB", "dim")))


def _ram_words(row: MemoryRow) -> list[Line]:
    available = _figure("available", None if row.available_bytes is None else units.size(row.available_bytes))
    pressure = _figure(
        "pressure", None if row.pressure_percent is None else units.percent(row.pressure_percent)
    )
    return [_age(row), _models(row), available, pressure]


def _swap_words(row: MemoryRow) -> list[Line]:
    if row.swap_total_bytes == 0:
        return [text_line("none", "dim")]
    moving = (row.swap_in_bytes_per_second, row.swap_out_bytes_per_second)
    if not any(moving):
        return []
    return [_figure("in", units.byte_rate(moving[0])), _figure("out", units.byte_rate(moving[1]))]


def _cpu_words(row: MemoryRow) -> list[Line]:
    count = () if row.cpu_count is None else text_line(f"{row.cpu_count} threads", "dim")
    return [count, _figure("load", None if row.load_average is None else f"{row.load_average:.1f}")]


def _models(row: MemoryRow) -> Line:
    if not row.model_bytes:
        return ()
    return (Span("models ", "dim"), Span(units.size(row.model_bytes), _model_role(row)))


def _age(row: MemoryRow) -> Line:
    return () if row.age_seconds is None else text_line(f"{units.duration(row.age_seconds)} old")


def _figure(label: str, value: str | None) -> Line:
    return () if value in {None, units.UNKNOWN} else (Span(f"{label} ", "dim"), Span(value or ""))


class MemoryPanel(LinePanel):
    """The machine's memory and CPU; one line where there is no room for a title and three."""

    _view: MemoryRow | None = None

    def __init__(
        self,
        *,
        glyphs: Glyphs = UNICODE,
        compact: bool = False,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(glyphs=glyphs, id=id, classes=classes)
        self._compact = compact

    @property
    def compact(self) -> bool:
        """Whether all is said on one line."""
        return self._compact

    @compact.setter
    def compact(self, compact: bool) -> None:
        if compact != self._compact:
            self._compact = compact
            self.redraw()

    def show(self, view: MemoryRow | None) -> None:
        """Draw ``view``; nothing for ``None``."""
        if view != self._view:
            self._view = view
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the title and three lines, three, or one, as the height allows."""
        if self._view is None:
            return []
        if self._compact or (height is not None and height < 3):
            return memory_lines(self._view, width, self.glyphs, lines=1)[:height]
        title = [title_line("Memory", "", width, self.glyphs)] if height is None or height > 3 else []
        return [*title, *memory_lines(self._view, width, self.glyphs)]
