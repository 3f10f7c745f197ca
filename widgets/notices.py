"""What is said in words: the verdict, problems of sources, and the keys that work here."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Part,
    Role,
    Span,
    join_parts,
    line_width,
    shorten,
    shorten_words,
    spread,
    text_line,
    wrap_words,
)
from gpumon.widgets.kit.panels import LinePanel, gutter, title_line
from gpumon.widgets.views import SourceRow, VerdictView


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


WRAP_LIMIT = 3
NAME_LIMIT = 26
"""Cells for ``Ollama at 127.0.0.1:11434``."""


def source_lines(rows: Sequence[SourceRow], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw each row's problem, then its hint beside it or, where that does not fit, below it."""
    name_width = min(
        NAME_LIMIT, max((line_width(_name(row, glyphs)) for row in rows), default=0), max(0, width // 3)
    )
    lines: list[Line] = []
    for row in rows:
        lines += _row_lines(row, width, name_width, glyphs)
    return lines


def brief_lines(rows: Sequence[SourceRow], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw each row's problem on one line, cut between words."""
    lines: list[Line] = []
    for row in rows:
        mark = (*gutter(row.level, False, glyphs), Span(" "))
        said = shorten_words(glyphs.written(f"{row.name}: {row.words}", 1000), width - 3, glyphs.ellipsis)
        lines.append((*mark, Span(said)) if width > 3 else mark[:width])
    return lines


def _row_lines(row: SourceRow, width: int, name_width: int, glyphs: Glyphs) -> list[Line]:
    name = shorten(glyphs.written(row.name), name_width, glyphs.ellipsis)
    blank = " " * (name_width - line_width(text_line(name)))
    head: Line = (*gutter(row.level, False, glyphs), Span(" "), Span(name, "title"), Span(f"{blank}  "))
    start = line_width(head)
    room = width - start
    if room < 8:
        return [line for line in [head[:-1]] if line_width(line) <= width]
    words, hint = glyphs.written(row.words, limit=1000), glyphs.written(row.hint, limit=1000)
    beside = (*head, Span(words), Span("  "), Span(hint, "dim"))
    if not hint or line_width(beside) <= width:
        return [beside] if hint else _wrapped(head, words, room, glyphs)
    below = wrap_words(hint, room, WRAP_LIMIT, glyphs.ellipsis)
    return [*_wrapped(head, words, room, glyphs), *((Span(" " * start), Span(part, "dim")) for part in below)]


def _wrapped(head: Line, words: str, room: int, glyphs: Glyphs) -> list[Line]:
    first, *rest = wrap_words(words, room, WRAP_LIMIT, glyphs.ellipsis)
    return [(*head, Span(first)), *((Span(" " * line_width(head)), Span(part)) for part in rest)]


def _name(row: SourceRow, glyphs: Glyphs) -> Line:
    return text_line(glyphs.written(row.name))


class SourcePanel(LinePanel):
    """The sources that do not deliver; without any it has no lines."""

    _rows: tuple[SourceRow, ...] = ()

    def show(self, rows: Sequence[SourceRow]) -> None:
        """Draw ``rows``."""
        if (shown := tuple(rows)) != self._rows:
            self._rows = shown
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the title and the problems; where they do not fit, a line for each of them."""
        if not self._rows:
            return []
        title = title_line("Sources", "", width, self.glyphs)
        lines = source_lines(self._rows, width, self.glyphs)
        if height is None or len(lines) < height:
            return [title, *lines]
        if len(lines) == height:
            return lines
        brief = brief_lines(self._rows, width, self.glyphs)
        return [title, *brief] if len(brief) < height else brief[:height]


Hint = tuple[str, str]
"""A key as it is printed on the keyboard, and what it does in a word."""


def hint_line(hints: Sequence[Hint], width: int, glyphs: Glyphs) -> Line:
    """Draw the hints that fit; the last ones are dropped first."""
    parts = [
        Part((Span(f" {glyphs.written(key)}", "title"), Span(f" {glyphs.written(label)}", "dim")), rank)
        for rank, (key, label) in enumerate(hints)
    ]
    return join_parts(parts, width)


class HintBar(LinePanel):
    """One line of key hints."""

    DEFAULT_CSS = "HintBar { height: 1; }"
    _hints: tuple[Hint, ...] = ()

    def show(self, hints: Sequence[Hint]) -> None:
        """Draw ``hints``, the most needed first."""
        if (shown := tuple(hints)) != self._hints:
            self._hints = shown
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the one line of hints."""
        return [hint_line(self._hints, width, self.glyphs)][:height]
