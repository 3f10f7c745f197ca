"""What the mouse does over a panel of lines: it clicks, it lights up what it is over, its wheel scrolls.

Terminals report each cell that the mouse enters. As long as it is over the same thing, or on its way, nothing
is drawn, and nothing is computed but which thing that is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

Ground = Literal["selected", "hover"]
"""What a whole line stands on: that of the row under the cursor, or under the mouse."""
GROUNDS: tuple[Ground, ...] = get_args(Ground)


REST_SECONDS = 0.06
"""A mouse that is moved on within this time rests nowhere."""


class Pointed(Widget):
    """A widget of lines to which clicks, movements and the wheel come as cells of its content."""

    class HeadingClicked(Message):
        """The title of a panel was clicked."""

        def __init__(self, panel: Widget) -> None:
            super().__init__()
            self.panel = panel

        @property
        def control(self) -> Widget:
            """The panel of the title."""
            return self.panel

    _grounds: Mapping[int, Ground] = {}

    def has_heading(self, y: int) -> bool:
        """Return whether line ``y`` is the title."""
        raise NotImplementedError

    def forget_lines(self, lines: Iterable[int]) -> None:
        """Draw ``lines`` again, though they say the same."""
        raise NotImplementedError

    def clicked(self, x: int, y: int) -> None:
        """Do what a click on a cell does: on the title, post it."""
        del x
        if self.has_heading(y):
            self.post_message(self.HeadingClicked(self))

    def pointed(self, x: int, y: int) -> None:
        """Light up what is under the mouse, if anything is to be lit; -1 and -1 where it is elsewhere."""

    def wheeled(self, step: int) -> bool:
        """Scroll by ``step`` rows; return whether there is anything to scroll."""
        del step
        return False

    def grounds(self) -> Mapping[int, Ground]:
        """Return on which ground a line stands, where it stands on one."""
        return {}

    def lay_grounds(self) -> None:
        """Draw the lines again whose ground has changed, and no others."""
        before, self._grounds = self._grounds, self.grounds()
        if before != self._grounds:
            lines = before.keys() | self._grounds.keys()
            self.forget_lines(y for y in lines if before.get(y) != self._grounds.get(y))

    def on_ground(self, strip: Strip, y: int) -> Strip:
        """Return line ``y`` over its whole width on its ground, if it has one."""
        name = self._grounds.get(y)
        if name is None:
            return strip
        style = self.get_component_rich_style(f"line-panel--{name}")
        ground = Style(bgcolor=style.bgcolor, underline=style.underline or None)
        wide = strip.adjust_cell_length(self.content_size.width, style)
        return Strip([Segment(text, style + ground if style else ground) for text, style, _ in wide])

    def on_click(self, event: events.Click) -> None:
        """Take a click."""
        offset = event.get_content_offset(self)
        if offset is not None:
            self.clicked(offset.x, offset.y)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Follow the mouse."""
        offset = event.get_content_offset(self)
        if offset is not None:
            self.pointed(offset.x, offset.y)

    def on_leave(self) -> None:
        """Forget the mouse."""
        self.pointed(-1, -1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down; a panel with nothing to scroll leaves the wheel to what it stands in."""
        if self.wheeled(1):
            event.stop()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        if self.wheeled(-1):
            event.stop()


class PointedRows(Pointed):
    """Rows, of which the one under the mouse and the one under the cursor stand on a ground of their own."""

    hover_key: str | None = None
    """The key of the row that is lit because the mouse rests on it."""
    _under: str | None = None
    _rest: Timer | None = None

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor."""
        raise NotImplementedError

    def key_at(self, line: int) -> str | None:
        """Return the key of the row that is drawn on a line of the panel."""
        raise NotImplementedError

    def choose(self, key: str) -> None:
        """Do what a click on a row does."""
        raise NotImplementedError

    def grounds(self) -> dict[int, Ground]:
        """Return the lines of the two rows."""
        found: dict[int, Ground] = {}
        if self.cursor_key is None and self.hover_key is None:
            return found
        for line in range(self.content_size.height):
            key = self.key_at(line)
            if key is not None and key in {self.cursor_key, self.hover_key}:
                found[line] = "selected" if key == self.cursor_key else "hover"
        return found

    def clicked(self, x: int, y: int) -> None:
        """Choose the row under the mouse."""
        key = self.key_at(y)
        if key is None:
            super().clicked(x, y)
        else:
            self.choose(key)

    def pointed(self, x: int, y: int) -> None:
        """Light up the row under the mouse once it rests there: rows that it crosses cost nothing."""
        del x
        key = self.key_at(y)
        if key == self._under:
            return
        self._under = key
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_SECONDS, self._light)

    def _light(self) -> None:
        self._rest = None
        if self._under != self.hover_key:
            self.hover_key = self._under
            self.lay_grounds()
