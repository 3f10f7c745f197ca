"""RAM, swap and CPU of the machine on a line."""

from __future__ import annotations

from gpumon.text import units
from gpumon.widgets.kit.gauges import BarPart, split_bar
from gpumon.widgets.kit.lines import Glyphs, Line, Part, Role, Span, in_role, join_parts, text_line
from gpumon.widgets.kit.panels import LinePanel, gutter
from gpumon.widgets.views import MemoryRow

BAR_CELLS = ((110, 40), (78, 26), (60, 12))
"""From this width on the bar has so many cells; below the last one there is none."""


def memory_line(row: MemoryRow, width: int, glyphs: Glyphs) -> Line:
    """Draw RAM as a bar and a figure, then what of it models hold, swap, pressure and CPU."""
    cells = next((cells for least, cells in BAR_CELLS if width >= least), 0)
    bar = split_bar(_ram_parts(row), cells, glyphs) if row.total_bytes else text_line(" " * cells)
    head = (*gutter(row.level, False, glyphs), Span(" RAM ", "dim"), *bar, Span("  " if cells else ""))
    figure = (Span(units.gib(row.used_bytes)), Span(f"/{units.gib(row.total_bytes)} GiB", "dim"))
    parts = [
        (*head, *figure),
        _age(row),
        _models(row),
        _swap(row),
        _cpu(row),
        _available(row),
        _pressure(row),
    ]
    line = join_parts([Part(part, need) for need, part in enumerate(parts) if part], width)
    return in_role(line, "dim") if row.age_seconds is not None else line


def _swap(row: MemoryRow) -> Line:
    """Say what is swapped out where there is swap, and how it moves where it does."""
    if not row.swap_total_bytes:
        return ()
    moving = [
        (Span(f" {label} ", "dim"), Span(units.byte_rate(rate)))
        for label, rate in (("in", row.swap_in_bytes_per_second), ("out", row.swap_out_bytes_per_second))
        if rate
    ]
    used = units.gib(row.swap_used_bytes)
    return (Span("swap ", "dim"), Span(used), *(span for pair in moving for span in pair))


def _cpu(row: MemoryRow) -> Line:
    return _figure("CPU", None if row.cpu_percent is None else units.percent(row.cpu_percent))


def _available(row: MemoryRow) -> Line:
    return _figure("available", None if row.available_bytes is None else units.size(row.available_bytes))


def _pressure(row: MemoryRow) -> Line:
    return _figure("pressure", None if row.pressure_percent is None else units.percent(row.pressure_percent))


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


def _models(row: MemoryRow) -> Line:
    if not row.model_bytes:
        return ()
    return (Span("models ", "dim"), Span(units.size(row.model_bytes), _model_role(row)))


def _age(row: MemoryRow) -> Line:
    return () if row.age_seconds is None else text_line(f"{units.duration(row.age_seconds)} old")


def _figure(label: str, value: str | None) -> Line:
    return () if value in {None, units.UNKNOWN} else (Span(f"{label} ", "dim"), Span(value or ""))


class MemoryPanel(LinePanel):
    """The machine's memory and CPU."""

    _view: MemoryRow | None = None

    def show(self, view: MemoryRow | None) -> None:
        """Draw ``view``; nothing for ``None``."""
        if view != self._view:
            self._view = view
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the one line."""
        return [] if self._view is None else [memory_line(self._view, width, self.glyphs)][:height]
