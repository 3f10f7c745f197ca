"""A scrolling container whose bar is drawn with the characters that the terminal takes."""

from __future__ import annotations

from typing import ClassVar

from textual.containers import VerticalScroll
from textual.scrollbar import ScrollBarRender

from gpumon.widgets.glyphs import Glyphs


class WholeCells(ScrollBarRender):
    """Ends a bar at whole cells: what lies between is drawn with blocks that ASCII has not."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "]
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "]


class Scroll(VerticalScroll, can_focus=False):
    """Scrolls what is in it; the keys are those of the screen."""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__()
        if glyphs.ascii_only:
            # For this bar alone: set on its class it would hold for every application in the process.
            self.vertical_scrollbar.renderer = WholeCells  # type: ignore[misc]
