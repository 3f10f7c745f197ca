"""Notices: what there is to tell for a moment. They stand in the line of the hints, never over a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct
from textual.app import App
from textual.screen import Screen
from textual.timer import Timer

from gpumon.app.ui.screens.base import LiveScreen
from gpumon.widgets.hints import HintBar, notice_lines
from gpumon.widgets.kit.lines import Glyphs, Level, Line

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

NOTICE_SECONDS = 3.0
"""How long a notice stays; one that is longer than the line is told in parts, each as long."""

ERROR_SECONDS = 6.0
"""An error may come while the user looks elsewhere, and has to be read."""

LEVELS: dict[SeverityLevel, Level] = {"information": "ok", "warning": "watch", "error": "bad"}


class Notice(Struct, frozen=True):
    """What is to be told."""

    words: str
    level: Level

    @property
    def seconds(self) -> float:
        """How long each part of it stays."""
        return ERROR_SECONDS if self.level == "bad" else NOTICE_SECONDS


class Notices:
    """Shows the newest notice on the screen in front; under a dialogue it waits until that is closed."""

    def __init__(self, app: App[int], glyphs: Glyphs) -> None:
        self._app = app
        self._glyphs = glyphs
        self._waiting: Notice | None = None
        self._parts: list[Line] = []
        self._bar: HintBar | None = None
        self._timer: Timer | None = None

    def say(self, notice: Notice) -> None:
        """Show ``notice`` in place of any other, now or as soon as it can be seen."""
        self.clear()
        self._waiting = notice
        self.look()

    def look(self, _screen: Screen[Any] | None = None) -> None:
        """Show the notice that waits, if the screen in front has a line for it."""
        screen = self._app.screen_stack[-1] if self._app.screen_stack else None
        if self._waiting is None or not isinstance(screen, LiveScreen) or not screen.composed:
            return
        notice, self._waiting = self._waiting, None
        self._bar = screen.query_one("#hints", HintBar)
        self._parts = notice_lines(notice.words, notice.level, self._app.size.width, self._glyphs)
        self._show_part(notice.seconds)

    def clear(self) -> None:
        """Show the hints again."""
        if self._timer is not None:
            self._timer.stop()
        if self._bar is not None:
            self._bar.say(())
        self._waiting, self._parts, self._bar, self._timer = None, [], None, None

    def _show_part(self, seconds: float) -> None:
        if not self._parts or self._bar is None:
            self.clear()
            return
        self._bar.say(self._parts.pop(0))
        self._timer = self._app.set_timer(seconds, lambda: self._show_part(seconds))
