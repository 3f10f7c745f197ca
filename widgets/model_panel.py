"""A line for each loaded model: where its bytes are, how fast it runs, how long it stays.

Columns have names and fixed places: their widths depend on the pane's and on the longest name, never on what
a model does.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.text import units
from gpumon.widgets.kit.columns import Column, Draw, Fitted, Row, aligned, draw_row, fit, offset_of
from gpumon.widgets.kit.gauges import BarPart, bar, scale_bar, trend_line
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Part,
    Role,
    Span,
    in_role,
    join_parts,
    line_width,
    noted,
    padded,
    plain_text,
    shorten_words,
    text_line,
    without_blanks,
)
from gpumon.widgets.kit.panels import gutter
from gpumon.widgets.kit.rows import ALL, RowPanel
from gpumon.widgets.time_axis import trend_heading
from gpumon.widgets.views import JobView, ModelRow

COLUMNS = (
    Column("mark", (0,)),
    Column("name", (0, 25, 45, 100), widths=(8, 14, 20, 44), gap=1),
    Column("runtime", (66,), widths=(12,), cut=shorten_words),
    Column("quantization", (90,), widths=(7,)),
    Column("bar", (30, 75, 155), widths=(8, 14, 22), grows_to=44),
    Column("memory", (50,), widths=(10,)),
    Column("in_ram", (52,), widths=(6,)),
    Column("rate", (20,), widths=(8,)),
    Column("full", (60,), widths=(5,), gap=1),
    Column("peak", (130,), widths=(5,), gap=1),
    Column("trend", (78, 145), widths=(8, 14), grows_to=24),
    Column("context", (65,), widths=(9,)),
    Column("until", (80,), widths=(7,)),
)
HEADINGS = {
    "runtime": ("served by", "left"),
    "memory": ("GiB", "right"),
    "in_ram": ("in RAM", "right"),
    "rate": ("tok/s", "right"),
    "full": ("full", "right"),
    "peak": ("best", "right"),
    "context": ("context", "right"),
    "until": ("leaves", "right"),
}
OF_PICTURES = {"rate": "speed", "full": "", "peak": "", "trend": "steps", "context": "", "until": ""}
"""Those of a list of image generators alone, where they differ."""
WORDS_FROM = ("memory", "rate")
"""Columns of figures; where a row has words instead, they begin at the first of these that is shown."""
LEAST_WORDS = 3
ACTIVE_STATES = {"loading", "busy", "stopping"}
FOREVER = "Forever"


def model_lines(
    rows: Sequence[ModelRow],
    width: int,
    glyphs: Glyphs,
    lines_per_row: int = 1,
    cursor_key: str | None = None,
    shown: slice = ALL,
    scale_bytes: int = 0,
) -> list[Line]:
    """Draw those ``shown`` of ``rows``, each on one line, and its notes on a second where that is allowed.

    Bars of all rows have one scale: the column is as long as ``scale_bytes``, or as the largest model.
    """
    fitted = columns_for(rows, width, glyphs)
    scale = max([scale_bytes, *(sum(part.size for part in _parts(row)) for row in rows)])
    lines: list[Line] = []
    for row in rows[shown]:
        block = [_first_line(row, fitted, width, glyphs, row.key == cursor_key, scale)]
        if lines_per_row > 1 and has_second_line(row):
            block.append(_second_line(row, fitted, width, glyphs))
        is_dim = row.age_seconds is not None or row.left_seconds is not None
        lines += [in_role(line, "dim") for line in block] if is_dim else block
    return lines


def columns_for(rows: Sequence[ModelRow], width: int, glyphs: Glyphs) -> tuple[Fitted, ...]:
    """Choose the columns by the width and the longest name."""
    longest = max((line_width(_name(row, glyphs)) for row in rows), default=0)
    return fit(COLUMNS, [_frame(longest, _longest_runtime(rows, glyphs))], width)


def _longest_runtime(rows: Sequence[ModelRow], glyphs: Glyphs) -> int:
    """Return the room for what serves the models; none where one runtime serves all of them."""
    runtimes = {row.runtime for row in rows if row.runtime}
    if len(runtimes) < 2:
        return 0
    return max(line_width(text_line(glyphs.written(one))) for one in (*runtimes, HEADINGS["runtime"][0]))


def _frame(longest_name: int, longest_runtime: int) -> Row:
    """Return a row that stands for all: its words are as long as the longest, and all else is drawn."""
    blank: Draw = lambda _width: ()  # noqa: E731
    words = {"name": "n" * longest_name, "runtime": "n" * longest_runtime, "mark": "  "}
    cells: Row = {column.key: blank for column in COLUMNS if column.key not in words}
    return {**cells, **{key: ((Span(text),),) for key, text in words.items() if text}}


def has_second_line(row: ModelRow) -> bool:
    """Return whether there is something to say of a model that its columns do not."""
    return bool(row.notes)


def heading_line(
    fitted: Sequence[Fitted], note: str, width: int, glyphs: Glyphs, *, of_pictures: bool = False
) -> Line:
    """Draw the names of the columns, and a note at the right."""
    cells: dict[str, tuple[Line, ...] | Draw] = {"bar": lambda room: _legend(room, glyphs)}
    for key, (words, align) in HEADINGS.items():
        said = OF_PICTURES.get(key, words) if of_pictures else words
        cells[key] = aligned(text_line(said, "dim"), align)
    cells["trend"] = aligned(text_line(OF_PICTURES["trend"], "dim"), "left") if of_pictures else trend_heading
    title = text_line(" Models", "title")
    line = (*title, *without_blanks(draw_row(cells, fitted, glyphs.ellipsis), line_width(title)))
    return noted(line, text_line(note, "dim"), width)


def _make_pictures(rows: Sequence[ModelRow]) -> bool:
    """Whether all that is listed are image generators."""
    return bool(rows) and all(row.makes_pictures for row in rows)


def _legend(width: int, glyphs: Glyphs) -> Line:
    """Say what the fills of the bars stand for."""
    gpu: Line = (Span(glyphs.solid, "model"), Span(" GPU", "dim"))
    ram: Line = (Span(glyphs.ram, "ram"), Span(" RAM", "dim"))
    return join_parts([Part(gpu), Part(ram, 1)], width)


def _name(row: ModelRow, glyphs: Glyphs) -> Line:
    return text_line(glyphs.written(row.name), "title")


def _first_line(
    row: ModelRow, fitted: Sequence[Fitted], width: int, glyphs: Glyphs, selected: bool, scale: float
) -> Line:
    head: Row = {
        "mark": (gutter(row.level, selected, glyphs),),
        "name": (_name(row, glyphs),),
        "runtime": (text_line(glyphs.written(row.runtime), "dim"),),
        "quantization": aligned(
            text_line(glyphs.written(row.quantization or row.parameter_size or ""), "dim"), "left"
        ),
        "bar": lambda room: scale_bar(_parts(row), scale, room, glyphs.lowered),
    }
    words = _words(row, glyphs)
    if not words:
        return draw_row({**head, **_figures(row, glyphs)}, fitted, glyphs.ellipsis)
    line = draw_row(head, fitted, glyphs.ellipsis)
    figures = next((at for key in WORDS_FROM if (at := offset_of(key, fitted)) is not None), 0)
    start = max(figures, line_width(line) + 1)
    room = max(0, width - start)
    said = join_parts([Part(part, need) for need, part in enumerate(words)], room)
    if not said:  # the start of a sentence tells more than a row of which nothing is said
        said = text_line(shorten_words(plain_text(words[0]), room, glyphs.ellipsis), words[0][0].role)
    return (*padded(line, start), *said) if room > LEAST_WORDS else line


def _parts(row: ModelRow) -> list[BarPart]:
    """Return what is on the GPU, what is in RAM, and what a load has still to take."""
    on_gpu, in_ram = row.gpu_bytes or 0, row.ram_bytes or 0
    ram: Role = "model" if row.has_no_gpu else "ram"
    if not row.is_loading:
        return [BarPart(on_gpu, "model"), BarPart(in_ram, ram)] if row.left_seconds is None else []
    planned_gpu = max(0, (row.planned_gpu_bytes or 0) - on_gpu)
    planned_ram = max(0, (row.planned_ram_bytes or 0) - in_ram)
    return [
        BarPart(on_gpu, "model"),
        BarPart(planned_gpu, "planned"),
        BarPart(in_ram, ram),
        BarPart(planned_ram, "planned_ram"),
    ]


def _figures(row: ModelRow, glyphs: Glyphs) -> Row:
    return {
        "memory": aligned(_memory(row)),
        "in_ram": aligned(
            text_line(glyphs.written(row.spill_percent), row.level if row.level != "ok" else "ram")
        ),
        "until": aligned(_until(row, glyphs)),
        **(_job_figures(row, glyphs) if row.makes_pictures else _token_figures(row, glyphs)),
    }


def _token_figures(row: ModelRow, glyphs: Glyphs) -> Row:
    return {
        "rate": aligned(_rate(row, glyphs)),
        "full": aligned(_reached(row.full_tokens_per_second)),
        "peak": aligned(_reached(row.peak_tokens_per_second)),
        "trend": lambda width: trend_line(row.rate_trend, width, _rate_ceiling(row), glyphs, "rate"),
        "context": aligned(_context(row)),
    }


def _job_figures(row: ModelRow, glyphs: Glyphs) -> Row:
    """Write of an image generator how fast its steps go, with its unit, and how far it is: ``7/20``."""
    job = row.job
    if job is None or row.age_seconds is not None:
        return {"rate": aligned(_rate(row, glyphs))}
    steps, rate = _steps(job), units.step_rate(job.seconds_per_step)
    role: Role = row.level if row.level in {"watch", "bad"} else "title"
    is_known = job.seconds_per_step is not None
    return {
        "rate": aligned(text_line(rate, role) if is_known else steps or _state(row, glyphs)),
        "trend": lambda width: bar(job.step, job.step_count, width, glyphs, "rate"),
        "context": aligned(steps or text_line(units.duration(job.elapsed_seconds), "dim")),
    }


def _steps(job: JobView) -> Line:
    if job.step is None or job.step_count is None:
        return ()
    return (Span(str(job.step)), Span(f"/{job.step_count}", "dim"))


def _rate_ceiling(row: ModelRow) -> float | None:
    """Return the top of the rate's trend: the rate that it could have, unless it was faster."""
    known = [rate for rate in row.rate_trend if rate is not None]
    return max([*known, row.full_tokens_per_second or 0.0], default=None) or None


def _memory(row: ModelRow) -> Line:
    """Write what is on the GPU and, after a plus, what is in RAM; the latter alone without a GPU."""
    if row.gpu_bytes is None and not row.ram_bytes:
        return text_line(units.UNKNOWN, "dim")
    in_ram = f"{'~' if row.ram_is_estimate else ''}{units.gib(row.ram_bytes)}" if row.ram_bytes else ""
    if row.has_no_gpu or row.gpu_bytes is None:
        return text_line(in_ram or units.gib(row.gpu_bytes))
    plus: Line = (Span(f"+{in_ram}", "ram"),) if in_ram else ()
    return (Span(units.gib(row.gpu_bytes)), *plus)


def _words(row: ModelRow, glyphs: Glyphs) -> list[Line]:
    """Return what stands in place of the figures of a model that loads or has left."""
    if row.left_seconds is not None:
        reason = f", {glyphs.written(row.left_reason)}" if row.left_reason else ""
        return [text_line(f"left {units.duration(row.left_seconds)} ago{reason}", "dim")]
    if row.is_loading or row.state.partition(" ")[0] == "loading":
        return [text_line(glyphs.written(words)) for words in (row.state, row.until) if words]
    return []


def _state(row: ModelRow, glyphs: Glyphs) -> Line:
    first = glyphs.written(row.state).partition(" ")[0]
    if first == "idle":
        return text_line(glyphs.dot, "dim")
    return text_line(first, "plain" if first in ACTIVE_STATES else "dim")


def _rate(row: ModelRow, glyphs: Glyphs) -> Line:
    """Write the decode rate; without one what the model does, as a rate is of now or nothing."""
    if row.age_seconds is not None:
        return text_line(f"{units.duration(row.age_seconds)} old")
    if row.decode_tokens_per_second is None:
        return _state(row, glyphs)
    number = units.rate(row.decode_tokens_per_second).split(" ", 1)[0]
    role: Role = "dim" if row.rate_is_estimate else row.level if row.level in {"watch", "bad"} else "title"
    return (Span(f"~{number}" if row.rate_is_estimate else number, role),)


def _reached(tokens_per_second: float | None) -> Line:
    if tokens_per_second is None:
        return ()
    return text_line(units.rate(tokens_per_second).split(" ", 1)[0], "dim")


def _context(row: ModelRow) -> Line:
    if row.context_length is None:
        return ()
    length = units.tokens(row.context_length)
    if row.context_used_tokens is None:
        return text_line(length, "dim")
    return (Span(units.tokens(row.context_used_tokens)), Span(f"/{length}", "dim"))


def _until(row: ModelRow, glyphs: Glyphs) -> Line:
    when = glyphs.written(row.time_left or row.until)
    return text_line("never" if when == FOREVER else when if row.time_left else "", "dim")


def _second_line(row: ModelRow, fitted: Sequence[Fitted], width: int, glyphs: Glyphs) -> Line:
    """Draw what is to be said besides, the most important first."""
    start = offset_of("name", fitted) or 0
    room = width - start
    role: Role = "dim" if row.level == "ok" or row.is_loading else row.level
    parts = [Part(text_line(glyphs.written(note, 1000), role), need) for need, note in enumerate(row.notes)]
    line = join_parts(parts, room, (Span(f" {glyphs.dot} ", "dim"),))
    if not line:  # the start of a sentence tells more than an empty line
        line = text_line(shorten_words(glyphs.written(row.notes[0]), room, glyphs.ellipsis), role)
    return (Span(" " * start), *line) if plain_text(line) else ()


class ModelPanel(RowPanel):
    """The loaded models."""

    title = "Models"
    _rows: tuple[ModelRow, ...] = ()

    _scale_bytes = 0

    def show(self, rows: Sequence[ModelRow], empty: str = "no model is loaded", scale_bytes: int = 0) -> None:
        """Draw ``rows``, or the words of ``empty``; ``scale_bytes`` are what the longest bar stands for."""
        if scale_bytes != self._scale_bytes:
            self._scale_bytes = scale_bytes
            self.redraw()
        self.show_rows(rows, empty)

    def heading(self, width: int, note: str) -> Line:
        """Return the names of the columns."""
        if not self._rows:
            return text_line(" Models", "title") if width >= 8 else ()
        fitted, of_pictures = columns_for(self._rows, width, self.glyphs), _make_pictures(self._rows)
        return heading_line(fitted, note, width, self.glyphs, of_pictures=of_pictures)

    def row_height(self, row: int) -> int:
        """Return 2 for a model with something to say besides, where there is room for that."""
        return 2 if self.lines_per_row > 1 and has_second_line(self._rows[row]) else 1

    def row_lines(self, width: int, shown: slice) -> list[Line]:
        """Return the lines of the models ``shown``."""
        return model_lines(
            self._rows, width, self.glyphs, self.lines_per_row, self.cursor_key, shown, self._scale_bytes
        )
