"""One cursor over the rows of all panels, in the order in which they stand on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """A row that can be opened."""

    panel: str
    key: str


class Cursor:
    """Stays on its row while rows come and go; on the nearest one if its own goes."""

    def __init__(self, prefer: str) -> None:
        self._prefer = prefer
        self._moved = False
        self._index = 0
        self._rows: Sequence[Row] = ()
        self.row: Row | None = None

    def place(self, rows: Sequence[Row]) -> None:
        """Take the rows that there are now."""
        self._rows = rows
        if not rows:
            self.row = None
        elif not self._moved:
            self._put(next((index for index, row in enumerate(rows) if row.panel == self._prefer), 0))
        elif self.row in rows:
            self._put(rows.index(self.row))
        else:
            self._put(min(self._index, len(rows) - 1))

    def move(self, step: int) -> None:
        """Move by ``step`` rows, at most to the first or last one."""
        if self._rows:
            self._moved = True
            self._put(min(max(self._index + step, 0), len(self._rows) - 1))

    def switch(self) -> None:
        """Go to the first row of the next panel that has rows."""
        panels = list(dict.fromkeys(row.panel for row in self._rows))
        if self.row is None or len(panels) < 2:
            return
        following = panels[(panels.index(self.row.panel) + 1) % len(panels)]
        self._moved = True
        self._put(next(index for index, row in enumerate(self._rows) if row.panel == following))

    def select(self, row: Row) -> None:
        """Go to ``row`` if it is there."""
        if row in self._rows:
            self._moved = True
            self._put(self._rows.index(row))

    def key_in(self, panel: str) -> str | None:
        """Return the key of the row under the cursor if it is in ``panel``."""
        return self.row.key if self.row and self.row.panel == panel else None

    def _put(self, index: int) -> None:
        self._index = index
        self.row = self._rows[index]
