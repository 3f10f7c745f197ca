"""Screens that can show another instant than now, and the keys that move them there."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.binding import BindingType

from gpumon.app.session.past import Travel
from gpumon.app.session.session import Session
from gpumon.app.ui.keys import TIME_KEYS, bindings
from gpumon.app.ui.screens.base import LiveScreen
from gpumon.widgets.kit.lines import Glyphs


class TimeScreen(LiveScreen):
    """A live screen that looks back; what it is moved to, every other such screen shows as well."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(TIME_KEYS)]

    def __init__(self, session: Session, glyphs: Glyphs, **rest: str) -> None:
        super().__init__(session, glyphs, **rest)
        self._is_arriving = False

    def is_refused(self) -> bool:
        """Refuse in a line what is of now while something else is shown; return whether it is."""
        past = self.session.past
        if past is None or not self.session.is_past:
            return False
        self.app.notify(f"not here: now is {past.ago_words} later; End goes there", severity="warning")
        return True

    def go_to(self, time: float) -> None:
        """Move to an instant."""
        self._travel(lambda travel: travel.seek(time))

    def leave_past(self) -> bool:
        """Go back to now; return whether something else was shown."""
        is_past = self.session.is_past
        if is_past:
            self._travel(lambda travel: travel.to_newest())
        return is_past

    def on_key(self, event: events.Key) -> None:
        """Go back to now at a key that does nothing else."""
        is_past = self.session.is_past and self.focused is None
        if is_past and event.key not in self.active_bindings:  # bound ones come here first
            self.leave_past()

    def _travel(self, move: Callable[[Travel], str]) -> None:
        """Move in time; keys that come quicker than the screen is drawn are drawn together."""
        travel = self.session.travel
        if travel is None:
            return
        if words := move(travel):
            self.app.notify(words)
        if self.session.player is None:
            self.session.choices.paused = False
        if not self._is_arriving:
            self._is_arriving = True
            self.call_later(self._arrive)

    def _arrive(self) -> None:
        self._is_arriving = False
        self.draw()

    # Keys

    def action_time(self, seconds: float) -> None:
        """Move so much in time."""
        self._travel(lambda travel: travel.seek_by(seconds))

    def action_event(self, step: int) -> None:
        """Move to the next event, or to the one before."""
        self._travel(lambda travel: travel.to_event(step))

    def action_oldest(self) -> None:
        """Move back as far as samples are kept."""
        self._travel(lambda travel: travel.to_oldest())

    def action_now(self) -> None:
        """Show what is known now, or the end of a recording."""
        self._travel(lambda travel: travel.to_newest())
