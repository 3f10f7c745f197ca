"""Sends the terminal the cells that changed, and of their colours only what differs from the cell before.

Textual draws the changed part of a line from the left edge of its widget on, and names both colours of every
piece; a panel as wide as the screen then costs a line for one digit. Written over ssh, and to a recorder of
the terminal, that adds up.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.control import Control
from textual._compositor import ChopsUpdate
from textual.strip import Strip

from gpumon.app.ui.colours import Pen


class TrimmedUpdate(ChopsUpdate):
    """The same picture in fewer bytes."""

    def render_segments(self, console: Console) -> str:
        """Return what to write to the terminal."""
        pen = Pen(console.color_system)
        texts = [text for x, y, strip in self._pieces() for text in _written(x, y, strip, pen)]
        return "".join((*texts, pen.lift()))

    def _pieces(self) -> Iterator[tuple[int, int, Strip]]:
        """Yield column, line and content of every changed run of cells."""
        for y, start, stop in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                first, last = max(x, start), min(end, stop)
                if strip is not None and first < last:
                    yield first, y, strip.crop(first - x, last - x)


def _written(x: int, y: int, strip: Strip, pen: Pen) -> Iterator[str]:
    yield Control.move_to(x, y).segment.text
    for text, style, control in strip:
        yield text if control or not text else pen.write(text, style)


def trimmed(update: RenderableType | None) -> RenderableType | None:
    """Return a partial update in its shorter form, anything else as it is."""
    if type(update) is not ChopsUpdate:
        return update
    return TrimmedUpdate(update.chops, update.spans, update.chop_ends)
