"""What a screen that shows live figures has in common."""

from __future__ import annotations

from textual.screen import Screen

from gpumon.app.session.session import Session
from gpumon.app.ui.cursor import Row
from gpumon.widgets.glyphs import Glyphs


class LiveScreen(Screen[None]):
    """A screen that the app asks to draw when there is something new."""

    AUTO_FOCUS = ""
    """Nothing has the focus, so that every key reaches the screen's bindings."""

    def __init__(self, session: Session, glyphs: Glyphs) -> None:
        super().__init__()
        self.session = session
        self.glyphs = glyphs

    @property
    def composed(self) -> bool:
        """Whether its widgets are there: not before the start, nor when the program ends during it."""
        return self.is_mounted and bool(self.children)

    @property
    def selected(self) -> Row | None:
        """The row that a key for one model or GPU acts on."""
        raise NotImplementedError

    def draw(self) -> None:
        """Build the views of what is known now and hand them to the widgets."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was in front."""
        self.draw()
