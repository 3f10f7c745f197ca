"""The figures of a detail page: label, value, and what each rests on."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from gpumon.widgets.fitting import line_width, padded, shorten, spread, text_line, wrap_words
from gpumon.widgets.glyphs import UNICODE, Glyphs
from gpumon.widgets.lines import Line, Span
from gpumon.widgets.panel import LinePanel, title_line
from gpumon.widgets.views import Fact

WRAP_LIMIT = 6
VALUE_LEAST_WIDTH = 12


def fact_lines(facts: Sequence[Fact], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw the facts in columns; values wrap between words, and origins go where they leave no room."""
    labels = max((line_width(_label(fact, glyphs)) for fact in facts), default=0)
    label_width = min(labels, max(4, width * 2 // 5))
    origin_width = max((line_width(_origin(fact, glyphs)) for fact in facts), default=0)
    room = width - label_width - 3
    if room - origin_width - 2 >= VALUE_LEAST_WIDTH * 2:
        room -= origin_width + 2
    else:
        origin_width = 0
    room = min(room, max((cell_len(glyphs.written(fact.value, limit=2000)) for fact in facts), default=0))
    lines: list[Line] = []
    for fact in facts:
        lines += _fact(fact, label_width, room, origin_width, glyphs)
    return [line for line in lines if line_width(line) <= width]


def _fact(fact: Fact, label_width: int, room: int, origin_width: int, glyphs: Glyphs) -> list[Line]:
    label = text_line(shorten(glyphs.written(fact.label), label_width, glyphs.ellipsis), "dim")
    start: Line = (Span(" "), *padded(label, label_width), Span("  "))
    values = wrap_words(glyphs.written(fact.value, limit=2000), max(1, room), WRAP_LIMIT, glyphs.ellipsis)
    first: Line = (*start, Span(values[0], fact.level or "plain"))
    if origin_width:
        origin = _origin(fact, glyphs)
        first = spread(first, origin, line_width(start) + room + 2 + line_width(origin))
    indent = Span(" " * line_width(start))
    return [first, *((indent, Span(value, fact.level or "plain")) for value in values[1:])]


def _label(fact: Fact, glyphs: Glyphs) -> Line:
    return text_line(glyphs.written(fact.label))


def _origin(fact: Fact, glyphs: Glyphs) -> Line:
    return text_line(glyphs.written(fact.origin), "dim")


class FactTable(LinePanel):
    """A titled list of facts."""

    def __init__(
        self,
        title: str = "",
        *,
        glyphs: Glyphs = UNICODE,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(glyphs=glyphs, id=id, classes=classes)
        self._title = title
        self._facts: tuple[Fact, ...] = ()

    def show(self, facts: Sequence[Fact]) -> None:
        """Draw ``facts``."""
        if (shown := tuple(facts)) != self._facts:
            self._facts = shown
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the title, if there is one, and the facts."""
        title = [title_line(self._title, "", width, self.glyphs)] if self._title else []
        return [*title, *fact_lines(self._facts, width, self.glyphs)][:height]
