"""The models that servers have on disk, one line each."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.text import units
from gpumon.widgets.columns import Column, Row, draw_row, fit
from gpumon.widgets.fitting import text_line
from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.lines import Line
from gpumon.widgets.rows import ALL, RowPanel
from gpumon.widgets.views import InstalledRow

COLUMNS = (
    Column("mark", (0,)),
    Column("name", (0, 10, 40), widths=(8, 24, 60), gap=1),
    Column("size", (20,), align="right"),
    Column("loaded", (30,)),
    Column("server", (50,)),
)


def installed_lines(
    rows: Sequence[InstalledRow],
    width: int,
    glyphs: Glyphs,
    cursor: str | None = None,
    shown: slice = ALL,
) -> list[Line]:
    """Draw one line for each of the models ``shown``, in columns that suit all."""
    cells = [_cells(row, glyphs, selected=row.key == cursor) for row in rows]
    fitted = fit(COLUMNS, cells, width)
    return [draw_row(row, fitted, glyphs.ellipsis) for row in cells[shown]]


def _cells(row: InstalledRow, glyphs: Glyphs, *, selected: bool) -> Row:
    return {
        "mark": (text_line(glyphs.cursor if selected else " ", "cursor"),),
        "name": (text_line(glyphs.written(row.name), "title" if selected else "plain"),),
        "size": (text_line(units.size(row.size_bytes), "dim"),),
        "loaded": (text_line("loaded" if row.loaded else "", "ok"),),
        "server": (text_line(glyphs.written(row.server), "dim"),),
    }


class InstalledPanel(RowPanel):
    """The installed models."""

    title = "Installed models"
    _rows: tuple[InstalledRow, ...] = ()

    def show(self, rows: Sequence[InstalledRow], empty: str) -> None:
        """Draw ``rows``, or the words of ``empty`` where there are none."""
        shown = (tuple(rows), empty)
        if shown != (self._rows, self.empty_words):
            self._rows, self.empty_words = shown
            self.redraw()

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of the models shown."""
        return tuple(row.key for row in self._rows)

    def row_lines(self, width: int, shown: slice) -> list[Line]:
        """Return the lines of the models ``shown``."""
        return installed_lines(self._rows, width, self.glyphs, self.cursor_key, shown)
