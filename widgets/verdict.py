"""The first line: the worst thing that is true now."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.widgets.fitting import Part, join_parts, line_width, spread, text_line, wrap_words
from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.lines import Line, Role, Span
from gpumon.widgets.panel import LinePanel
from gpumon.widgets.views import VerdictView


def verdict_lines(view: VerdictView, width: int, glyphs: Glyphs, limit: int = 1) -> list[Line]:
    """Draw the mark, the sentence on at most ``limit`` lines, the marks, and the facts that still fit.

    The facts stand at the right of its last line, where there is most room.
    """
    if limit < 1:
        return []
    marks = join_parts([Part((Span(glyphs.written(mark), "title"),)) for mark in view.marks], width)
    room = width - 3 - (line_width(marks) + 2 if marks else 0)
    if room < 1:
        return [marks or text_line(glyphs.mark(view.level)[:width], view.level)]
    sentence = _whole_clauses(glyphs.written(view.sentence, limit=1000), room, limit, glyphs.ellipsis)
    role: Role = "plain" if view.level == "ok" else view.level
    head = (Span(f" {glyphs.mark(view.level)} ", view.level), Span(sentence[0], role))
    rows: list[Line] = [head, *((Span("   "), Span(row, role)) for row in sentence[1:])]
    if len(rows) > 1:
        facts = _facts(view, width - line_width(rows[-1]) - 2, glyphs)
        return [spread(head, marks, width), *rows[1:-1], spread(rows[-1], facts, width)]
    return [spread(head, _right_side(view, marks, width - line_width(head) - 2, glyphs), width)]


def _whole_clauses(sentence: str, room: int, limit: int, ellipsis: str) -> list[str]:
    """Wrap a sentence; clauses that do not fit are left out whole: half a command is of no use."""
    clauses = sentence.split("; ")
    rows = wrap_words(sentence, room, limit, ellipsis)
    while len(clauses) > 1 and rows[-1].endswith(ellipsis):
        clauses.pop()
        rows = wrap_words("; ".join(clauses), room, limit, ellipsis)
    return rows


def _right_side(view: VerdictView, marks: Line, width: int, glyphs: Glyphs) -> Line:
    """Join the marks and the facts that fit beside them."""
    facts = _facts(view, width - (line_width(marks) + 2 if marks else 0), glyphs)
    return (*marks, Span("  "), *facts) if marks and facts else marks or facts


def _facts(view: VerdictView, room: int, glyphs: Glyphs) -> Line:
    """Join as many facts as fit, the last ones first to stay."""
    dot: Line = (Span(f" {glyphs.dot} ", "dim"),)
    return join_parts(_ranked(view.right, glyphs), room, dot)


def _ranked(facts: Sequence[str], glyphs: Glyphs) -> list[Part]:
    return [
        Part((Span(glyphs.written(fact), "dim"),), -position) for position, fact in enumerate(facts) if fact
    ]


class VerdictLine(LinePanel):
    """The verdict on the first line of the screen; more lines where its height allows."""

    DEFAULT_CSS = "VerdictLine { height: 1; }"
    _view = VerdictView("unknown", "")

    def show(self, view: VerdictView) -> None:
        """Draw ``view``."""
        if view != self._view:
            self._view = view
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the verdict's lines."""
        return verdict_lines(self._view, width, self.glyphs, 2 if height is None else height)
