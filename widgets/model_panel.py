"""A line or two for each loaded model: where its bytes are, how fast it runs, how long it stays."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.text import units
from gpumon.widgets.kit.columns import Column, Fitted, Row, draw_row, fit, offset_of
from gpumon.widgets.kit.gauges import BarPart, split_bar, trend_line
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Part,
    Role,
    Span,
    in_role,
    join_parts,
    shorten_words,
    text_line,
)
from gpumon.widgets.kit.panels import ALL, RowPanel, gutter
from gpumon.widgets.views import ModelRow

COLUMNS = (
    Column("mark", (0,)),
    Column("name", (0, 25, 45, 100), widths=(8, 14, 20, 44), gap=1),
    Column("details", (80, 150)),
    Column("bar", (30, 90, 155), widths=(6, 12, 20), grows_to=48),
    Column("gpu", (50, 110), align="right"),
    Column("ram", (52, 112), align="right"),
    Column("spill", (10,)),
    Column("rate", (20,), align="right"),
    Column("trend", (78, 145), widths=(8, 14), gap=1, grows_to=24),
    Column("context", (60, 95), align="right"),
    Column("processor", (140,)),
    Column("state", (40,)),
    Column("until", (70, 165), align="right"),
    Column("runtime", (160,)),
)
SPILL_TREND_WIDTH = 16
UNKNOWN_PROCESSOR = "Unknown"
LOAD_STEPS = 10_000
ACTIVE_STATES = {"loading", "busy", "stopping"}


def model_lines(
    rows: Sequence[ModelRow],
    width: int,
    glyphs: Glyphs,
    lines_per_row: int = 1,
    cursor_key: str | None = None,
    shown: slice = ALL,
) -> list[Line]:
    """Draw those ``shown`` of ``rows`` in columns that suit all, each on ``lines_per_row`` (1 or 2) lines."""
    cells = [_cells(row, glyphs, row.key == cursor_key) for row in rows]
    if lines_per_row == 1:
        cells = [{**of_row, **_left_cells(row, glyphs)} for row, of_row in zip(rows, cells, strict=True)]
    fitted = fit(COLUMNS, cells, width)
    lines: list[Line] = []
    for row, row_cells in zip(rows[shown], cells[shown], strict=True):
        block = [draw_row(row_cells, fitted, glyphs.ellipsis)]
        if lines_per_row > 1:
            block.append(_second_line(row, fitted, width, glyphs))
        is_old = row.age_seconds is not None or row.left_seconds is not None
        lines += [in_role(line, "dim") for line in block] if is_old else block
    return lines


def _cells(row: ModelRow, glyphs: Glyphs, selected: bool) -> Row:
    return {
        "mark": (gutter(row.level, selected, glyphs),),
        "name": (text_line(glyphs.written(row.name), "title"),),
        "details": _details(row, glyphs),
        "spill": (text_line(glyphs.written(_spill(row)), row.level),),
        "rate": (_rate(row, glyphs),),
        "trend": lambda width: trend_line(row.rate_trend, width, None, glyphs),
        "context": _context(row),
        "processor": (_processor(row, glyphs),),
        "state": () if row.decode_tokens_per_second is None else _states(row, glyphs),
        "until": _until(row, glyphs),
        "runtime": (text_line(glyphs.written(row.runtime), "dim"),),
        **_memory_cells(row, glyphs),
    }


def _memory_cells(row: ModelRow, glyphs: Glyphs) -> Row:
    if row.gpu_bytes is None:
        return _load_cells(row, glyphs)
    on_gpu, in_ram = row.gpu_bytes, row.ram_bytes
    gpu = (Span(units.gib(on_gpu)), Span(" GiB", "dim"))
    cells: Row = {} if row.has_no_gpu else {"gpu": (gpu, (*gpu, Span(" GPU", "dim")))}
    if in_ram is None or row.load_fraction is not None:
        return {**cells, **_load_cells(row, glyphs)}
    parts = [BarPart(on_gpu, "model"), BarPart(in_ram, "model" if row.has_no_gpu else "ram")]
    cells = {**cells, "bar": lambda width: split_bar(parts, width, glyphs.lowered)}
    ram = Span(f"{'' if row.has_no_gpu else '+'}{'~' if row.ram_is_estimate else ''}{units.gib(in_ram)}")
    return {**cells, "ram": ((ram, Span(" RAM", "dim")), (ram, Span(" GiB RAM", "dim")))} if in_ram else cells


def _load_cells(row: ModelRow, glyphs: Glyphs) -> Row:
    """Draw how far a load has come."""
    if row.load_fraction is None:
        return {}
    done = round(min(max(row.load_fraction, 0.0), 1.0) * LOAD_STEPS)
    parts = [BarPart(done, "model"), BarPart(LOAD_STEPS - done, "track")]
    return {"bar": lambda width: split_bar(parts, width, glyphs.lowered)}


def _left_cells(row: ModelRow, glyphs: Glyphs) -> Row:
    """Say why a model has left where its bar was; the second line says it where there is one."""
    if not (words := _left_words(row, glyphs)):
        return {}
    return {"bar": lambda width: text_line(shorten_words(words, width, glyphs.ellipsis), "dim")}


def _left_words(row: ModelRow, glyphs: Glyphs) -> str:
    if row.left_seconds is None:
        return ""
    return glyphs.written(f"{row.left_reason}, {units.duration(row.left_seconds)} ago")


def _second_line(row: ModelRow, fitted: Sequence[Fitted], width: int, glyphs: Glyphs) -> Line:
    """Draw what the driver measures beside what the runtime claims, and the history of the spill."""
    start = offset_of("name", fitted) or 0
    parts = [Part(line, need) for need, line in enumerate(_second_parts(row, fitted, glyphs)) if line]
    line = join_parts(parts, width - start, (Span(f" {glyphs.dot} ", "dim"),))
    if not line and row.notes:  # the start of a sentence tells more than an empty line
        words = shorten_words(glyphs.written(row.notes[0]), width - start, glyphs.ellipsis)
        line = text_line(words, row.level)
    return (Span(" " * start), *line) if line else ()


def _second_parts(row: ModelRow, fitted: Sequence[Fitted], glyphs: Glyphs) -> list[Line]:
    measured: Line = ()
    if row.measured_vram_bytes is not None:
        claimed = "" if row.gpu_is_measured else f", claimed {units.gib(row.gpu_bytes)}"
        measured = (
            Span("VRAM measured ", "dim"),
            Span(units.gib(row.measured_vram_bytes)),
            Span(f" GiB{claimed}", "dim"),
        )
    spill: Line = ()
    if any(row.spill_trend):
        cells = min(SPILL_TREND_WIDTH, len(row.spill_trend))
        spill = (Span("spill ", "dim"), *trend_line(row.spill_trend, cells, 1.0, glyphs, "ram"))
    beside = {place.column.key for place in fitted}
    processor = () if "processor" in beside else _processor(row, glyphs)
    served_by = f"served by {glyphs.written(row.runtime)}" if row.runtime else ""
    runtime = text_line("" if "runtime" in beside else served_by, "dim")
    notes = [text_line(glyphs.written(note), row.level) for note in row.notes]
    return [text_line(_left_words(row, glyphs)), *notes, measured, processor, spill, runtime]


def _details(row: ModelRow, glyphs: Glyphs) -> tuple[Line, ...]:
    quantization, size = glyphs.written(row.quantization or ""), glyphs.written(row.parameter_size or "")
    short = text_line(quantization or size, "dim")
    return (short, text_line(f"{size} {quantization}".strip(), "dim"))


def _spill(row: ModelRow) -> str:
    return f"SPILL {row.spill_percent}" if row.spill_percent else ""


def _processor(row: ModelRow, glyphs: Glyphs) -> Line:
    return text_line("" if row.processor == UNKNOWN_PROCESSOR else glyphs.written(row.processor), "dim")


def _state(row: ModelRow, glyphs: Glyphs) -> Line:
    is_active = row.state.partition(" ")[0] in ACTIVE_STATES
    return text_line(glyphs.written(row.state), "plain" if is_active else "dim")


def _states(row: ModelRow, glyphs: Glyphs) -> tuple[Line, ...]:
    """Write the state, and before it, where there is no room for more, its first word."""
    state, first = _state(row, glyphs), row.state.partition(" ")[0]
    return (state,) if first == row.state else (text_line(glyphs.written(first), state[0].role), state)


def _rate(row: ModelRow, glyphs: Glyphs) -> Line:
    """Write the decode rate.

    An old row has its age instead, as a rate is of now or nothing; a row without a rate has its state, so
    that ``loading`` is seen at any width.
    """
    if row.age_seconds is not None:
        return text_line(f"{units.duration(row.age_seconds)} old")
    if row.decode_tokens_per_second is None:
        return _state(row, glyphs)
    number, unit = units.rate(row.decode_tokens_per_second).split(" ", 1)
    role: Role = "dim" if row.rate_is_estimate else "plain"
    return (Span(f"~{number}" if row.rate_is_estimate else number, role), Span(f" {unit}", "dim"))


def _context(row: ModelRow) -> tuple[Line, ...]:
    if row.context_length is None:
        return ()
    length = units.tokens(row.context_length)
    short = (Span("ctx ", "dim"), Span(length))
    if row.context_used_tokens is None:
        return (short,)
    return (
        short,
        (Span("ctx ", "dim"), Span(units.tokens(row.context_used_tokens)), Span(f"/{length}", "dim")),
    )


def _until(row: ModelRow, glyphs: Glyphs) -> tuple[Line, ...]:
    when = glyphs.written(row.until)
    if not when or when == units.UNKNOWN:
        return ()
    if row.load_fraction is not None:
        return (text_line(when),)
    short = glyphs.written(row.time_left or row.until)
    return (text_line(f"exp {short}", "dim"), text_line(f"until {when}", "dim"))


class ModelPanel(RowPanel):
    """The loaded models."""

    title = "Models"
    _rows: tuple[ModelRow, ...] = ()

    def show(self, rows: Sequence[ModelRow], empty: str = "no model is loaded") -> None:
        """Draw ``rows``, or the words of ``empty`` where there are none."""
        self.show_rows(rows, empty)

    def row_lines(self, width: int, shown: slice) -> list[Line]:
        """Return the lines of the models ``shown``."""
        return model_lines(self._rows, width, self.glyphs, self.lines_per_row, self.cursor_key, shown)
