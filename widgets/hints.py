"""The last line: keys that work here, each a button, and for a moment what there is to tell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from rich.style import Style
from textual.message import Message
from textual.strip import Strip

from gpumon.widgets.kit.lines import (
    Glyphs,
    Level,
    Line,
    Part,
    Role,
    Span,
    join_parts,
    joined,
    line_width,
    text_line,
    wrap_words,
)
from gpumon.widgets.kit.panels import LinePanel

REVERSED = Style(reverse=True)
NOTICE_ROWS = 6
"""A notice that does not fit into the line is told in at most so many parts, one after the other."""


ARROW_NAMES = str.maketrans({"↓": "Down", "↑": "Up", "→": "Right", "←": "Left"})
"""What is printed where there are no arrows."""


class Hint(NamedTuple):
    """A key as it is printed on the keyboard, what it does in a word, and the action that does it."""

    key: str
    label: str
    action: str = ""
    on: bool | None = None
    """Whether what it switches is on; ``None`` for what is no switch."""

    def line(self, glyphs: Glyphs) -> Line:
        """Draw the key before the label, or inside the word that begins with it."""
        key = self.key.translate(ARROW_NAMES) if glyphs.ascii_only else self.key
        key, label = glyphs.written(key), glyphs.written(self.label)
        bold: Role = "dim" if self.on is False else "title"
        role: Role = "plain" if self.on else "dim"
        if len(key) == 1 and label.startswith(key):
            return (Span(key, bold), Span(label[1:], role))
        return (Span(key, bold), *text_line(f" {label}", role))


class Place(NamedTuple):
    """The cells of a hint that can be clicked: the first, and the one after the last."""

    start: int
    end: int
    action: str


KEPT = 2
"""So many hints stay before any switch: what a demonstration says, and the key that explains all others."""


class HintsView(NamedTuple):
    """What the bar shows."""

    hints: tuple[Hint, ...] = ()
    """The most needed first; the last ones are dropped first, but switches before the first two."""
    switches: tuple[Hint, ...] = ()
    """Of panels, at the right, where there is room beside all hints; else those that are off."""
    spare: tuple[Hint, ...] = ()
    """Hints for which there may be room beside the switches."""


def hint_line(view: HintsView, width: int, glyphs: Glyphs) -> tuple[Line, tuple[Place, ...]]:
    """Draw the hints that fit, and say where each of them can be clicked."""
    room = max(0, width - 1)
    right = _fitting(view.switches, room - _width(view.hints, glyphs) - 2, glyphs)
    if len(right) < len(view.switches):
        right = _fitting([one for one in view.switches if one.on is False], room // 2, glyphs)
    if _width([*view.hints[:KEPT], *right], glyphs) > room:
        right = []
    taken = _width(right, glyphs) + 2 if right else 0
    left = _fitting((*view.hints, *view.spare), room - taken, glyphs)
    if not left and not right:
        return (), ()
    start = width - _width(right, glyphs)
    places = (*_places(left, 1, glyphs), *_places(right, start, glyphs))
    head = (Span(" "), *joined([one.line(glyphs) for one in left]))
    if not right:
        return head, places
    blank = Span(" " * (start - line_width(head)))
    return (*head, blank, *joined([one.line(glyphs) for one in right])), places


def _width(hints: Sequence[Hint], glyphs: Glyphs) -> int:
    return sum(line_width(one.line(glyphs)) for one in hints) + 2 * max(0, len(hints) - 1)


def _fitting(hints: Sequence[Hint], room: int, glyphs: Glyphs) -> list[Hint]:
    """Return the first hints that fit; one that is longer than all the room hides none of the others."""
    widths = [line_width(one.line(glyphs)) for one in hints]
    short = [(one, width) for one, width in zip(hints, widths, strict=True) if width <= room]
    ends = accumulate(width + 2 for _, width in short)
    return [one for (one, _), end in zip(short, ends, strict=True) if end - 2 <= room]


def _places(hints: Sequence[Hint], start: int, glyphs: Glyphs) -> list[Place]:
    places: list[Place] = []
    for one in hints:
        end = start + line_width(one.line(glyphs))
        if one.action:
            places.append(Place(start, end, one.action))
        start = end + 2
    return places


def notice_lines(words: str, level: Level, width: int, glyphs: Glyphs) -> list[Line]:
    """Draw a notice as lines that are shown one after the other; most have one."""
    mark = (Span(f" {glyphs.mark(level)} ", level),) if level in {"watch", "bad"} else (Span(" "),)
    room = max(1, width - line_width(mark))
    said = glyphs.written(" ".join(words.split()), limit=2000)
    rows = wrap_words(said, room, NOTICE_ROWS, glyphs.ellipsis)
    role: Role = level if level in {"watch", "bad"} else "title"
    return [join_parts([Part((*mark, Span(row, role)))], width) for row in rows]


class HintBar(LinePanel):
    """One line of hints, each of them a button; a notice takes its place for a while."""

    DEFAULT_CSS = "HintBar { height: 1; }"
    _view = HintsView()
    _places: tuple[Place, ...] = ()
    _lit: Place | None = None
    _notice: Line = ()

    class Pressed(Message):
        """A hint was clicked."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def show(
        self,
        hints: Sequence[tuple[str, str] | Hint],
        switches: Sequence[Hint] = (),
        spare: Sequence[Hint] = (),
    ) -> None:
        """Draw ``hints``, at the right the switches of panels, and between them the spare hints."""
        view = HintsView(tuple(Hint(*hint) for hint in hints), tuple(switches), tuple(spare))
        if view != self._view:
            self._view = view
            self.redraw()

    def say(self, line: Line) -> None:
        """Draw ``line`` in place of the hints; the hints again for an empty one."""
        if line != self._notice:
            self._notice = line
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the one line."""
        line, self._places = hint_line(self._view, width, self.glyphs)
        if self._notice:
            self._places = ()
        if self._lit not in self._places:
            self._lit = None
        return [self._notice or line][:height]

    def on_ground(self, strip: Strip, y: int) -> Strip:
        """Return the line with the hint under the mouse reversed."""
        if self._lit is None or y:
            return strip
        start, end, _ = self._lit
        pieces = strip.divide([start, end, strip.cell_length])
        return Strip.join([pieces[0], pieces[1].apply_style(REVERSED), *pieces[2:]])

    def clicked(self, x: int, y: int) -> None:
        """Press the hint under the mouse."""
        place = self._place_at(x, y)
        if place is not None:
            self.post_message(self.Pressed(place.action))

    def pointed(self, x: int, y: int) -> None:
        """Light up the hint under the mouse."""
        place = self._place_at(x, y)
        if place != self._lit:
            self._lit = place
            self.forget_lines([0])

    def _place_at(self, x: int, y: int) -> Place | None:
        return next((place for place in self._places if y == 0 and place.start <= x < place.end), None)
