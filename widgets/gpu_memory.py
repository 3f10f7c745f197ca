"""A GPU's memory: the parts of its bar, and the legend that names them."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.text import units
from gpumon.widgets.bars import BarPart
from gpumon.widgets.fitting import joined, line_width, shorten, text_line
from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.lines import Line, Span
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
