"""The first lines of a screen: how things are, filled where something is wrong; silent sources."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Part,
    Role,
    Span,
    join_parts,
    line_width,
    padded,
    plain_text,
    shorten,
    shorten_words,
    spread,
    text_line,
    wrap_words,
)
from gpumon.widgets.kit.panels import LinePanel, gutter, title_line
from gpumon.widgets.views import SourceRow, VerdictView

NARROW = 60
"""Below this width what it costs has a line of its own."""
LEAST_NAME = 8
MOST_LINES = 3
LONGEST_TYPED = 64
"""A longer line is copied, not typed."""


def most_lines(width: int) -> int:
    """Return how many lines the verdict may take: what it costs has one of its own in a narrow pane."""
    return MOST_LINES if width < NARROW else MOST_LINES - 1


def verdict_lines(view: VerdictView, width: int, glyphs: Glyphs, limit: int = 1) -> list[Line]:
    """Draw what is wrong, what it costs and the line to type on at most ``limit`` filled lines.

    Where all is well there is one line without a ground. The marks of ``view`` are seen at any width.
    """
    if limit < 1 or width < 1:
        return []
    band: Role | None = {"watch": "band_watch", "bad": "band_bad"}.get(view.level)  # type: ignore[assignment]
    if view.head and band:
        lines = _taken_apart(view, width, glyphs, limit)
    else:
        lines = _sentence(view, width, glyphs, limit)
    return [_filled(line, width, band, glyphs.ellipsis) for line in lines] if band else lines


def _filled(line: Line, width: int, role: Role, ellipsis: str) -> Line:
    text = plain_text(line)
    return (Span(plain_text(padded(text_line(shorten(text, width, ellipsis)), width)), role),)


def _sentence(view: VerdictView, width: int, glyphs: Glyphs, limit: int) -> list[Line]:
    """Draw the sentence as a whole, then facts and marks at its right."""
    marks = _marks(view, width, glyphs)
    room = width - 3 - (line_width(marks) + 2 if marks else 0)
    if room < 1:
        return [marks or text_line(glyphs.mark(view.level)[:width], view.level)]
    rows = _whole_clauses(glyphs.written(view.sentence, limit=1000), room, limit, glyphs.ellipsis)
    head: Line = (Span(f" {glyphs.mark(view.level)} ", view.level), Span(rows[0]))
    facts = [Part(text_line(glyphs.written(fact), "dim"), need) for need, fact in enumerate(view.facts)]
    said = join_parts(facts, width - line_width(head) - line_width(marks) - 6, (Span("   "),))
    first = (*head, Span("   "), *said) if said and len(rows) == 1 else head
    right = _right(view, width - line_width(first) - 2, glyphs)
    return [spread(first, right, width), *((Span("   "), Span(row)) for row in rows[1:])]


def _whole_clauses(sentence: str, room: int, limit: int, ellipsis: str) -> list[str]:
    """Wrap a sentence; clauses that do not fit are left out whole: half a command is of no use."""
    clauses = sentence.split("; ")
    rows = wrap_words(sentence, room, limit, ellipsis)
    while len(clauses) > 1 and rows[-1].endswith(ellipsis):
        clauses.pop()
        rows = wrap_words("; ".join(clauses), room, limit, ellipsis)
    return rows


def _taken_apart(view: VerdictView, width: int, glyphs: Glyphs, limit: int) -> list[Line]:
    """Draw head, name and facts on the first line, cause and line to type on the last."""
    marks = _marks(view, width, glyphs)
    head = f" {glyphs.mark(view.level)} {view.head}"
    room = width - len(head) - 2 - (line_width(marks) + 2 if marks else 0)
    facts = [glyphs.written(fact) for fact in view.facts]
    if width < NARROW and limit >= MOST_LINES:
        return _on_three_lines(view, head, facts, width, glyphs)
    name = _name(view, room, glyphs)
    left = room - line_width(text_line(name)) - 3
    said = _fitting(facts, left, glyphs)
    line = text_line("  ".join(filter(None, (head, f" {glyphs.dot} ".join(filter(None, (name, said)))))))
    top = spread(line, _right(view, width - line_width(line) - 2, glyphs), width)
    has_help = view.cause or view.remedy
    return [top, _help(view, width, glyphs)] if limit > 1 and has_help else [top]


def _on_three_lines(
    view: VerdictView, head: str, facts: Sequence[str], width: int, glyphs: Glyphs
) -> list[Line]:
    """Draw head, share and name, then what it costs, then the line to type."""
    share = next((word for fact in facts[:1] if (word := fact.partition(" ")[0]).endswith("%")), "")
    start = f"{head} {share}".rstrip()
    name = shorten(glyphs.written(view.subject), max(0, width - len(start) - 2), glyphs.ellipsis)
    whole = line_width(_marks(view, width, glyphs))
    right = _right(view, max(width // 2, min(whole, width - 4)), glyphs)
    said = _fitting(facts[1:] if share else facts, width - 4 - line_width(right), glyphs)
    top = text_line("  ".join(filter(None, (start, name))))
    if not view.subject and facts:
        rows = wrap_words(facts[0], width - 3, MOST_LINES - 1, glyphs.ellipsis)
        return [spread(top, right, width), *(text_line(f"   {row}") for row in rows)]
    lines = [top, spread(text_line(f"   {said}"), right, width)]
    return [*lines, _help(view, width, glyphs)] if view.cause or view.remedy else lines


def _name(view: VerdictView, room: int, glyphs: Glyphs) -> str:
    """Return the subject, shortened so that a fact has room beside it."""
    name, first = glyphs.written(view.subject), len(view.facts[0]) + 3 if view.facts else 0
    return shorten(name, max(min(LEAST_NAME, room), room - first), glyphs.ellipsis) if room > 0 else ""


def _fitting(facts: Sequence[str], width: int, glyphs: Glyphs) -> str:
    """Join the facts that fit, the first ones first.

    Of one that does not its first clause is taken, and of a first one as many words as fit.
    """
    dot, said = f" {glyphs.dot} ", ""
    for fact in filter(None, facts):
        ways = (f"{said}{dot}{way}" if said else way for way in (fact, fact.partition(", ")[0]))
        longer = next((way for way in ways if cell_len(way) <= width), None)
        if longer is None:
            break
        said = longer
    if said or not facts or width < LEAST_NAME:
        return said
    return shorten_words(facts[0], width, glyphs.ellipsis)


def _help(view: VerdictView, width: int, glyphs: Glyphs) -> Line:
    """Draw the line to type, why before it and keys behind it where there is room."""
    arrow = ">" if glyphs.ascii_only else "▸"
    typed = f"{arrow} {glyphs.written(view.remedy, 1000)}" if view.remedy else ""
    place, cause = glyphs.written(view.where, 1000), glyphs.written(view.cause, 1000)
    room = width - 4
    is_crowded = len(typed) > LONGEST_TYPED and len(typed) + len(cause) + 3 > room
    if len(typed) > room or is_crowded:  # nobody types it, a key copies it: what it is for comes before it
        key = sum(len(word) + 1 for word in view.keys[0]) if view.keys else 0
        kept = room - len(cause) - 4 - key if cause else room
        typed = shorten_words(typed, kept, glyphs.ellipsis) if kept >= 2 * LEAST_NAME else ""
    left = room - len(typed) - (3 if typed else 0)
    if len(cause) > left:
        cause = shorten_words(cause, left, glyphs.ellipsis) if not typed or left >= 3 * LEAST_NAME else ""
    words = "   ".join(filter(None, (cause, typed)))
    if typed and place and len(words) + len(place) + 1 <= room:
        words = f"{words} {place}"
    keys = [
        Part(text_line(glyphs.written(f"{key} {label}")), need) for need, (key, label) in enumerate(view.keys)
    ]
    line = text_line(f"   {words}")
    return spread(line, join_parts(keys, width - line_width(line) - 3), width - 1)


def _marks(view: VerdictView, width: int, glyphs: Glyphs) -> Line:
    marks = (glyphs.written(mark.replace("·", glyphs.dot)) for mark in view.marks)
    return join_parts([Part((Span(mark, "title"),)) for mark in marks], width)


def _right(view: VerdictView, room: int, glyphs: Glyphs) -> Line:
    """Join the marks, which always fit, and the facts at the right edge, the last ones first to stay."""
    marks = _marks(view, room, glyphs)
    parts = [Part((Span(glyphs.written(fact), "dim"),), -at) for at, fact in enumerate(view.right) if fact]
    facts = join_parts(
        parts, room - (line_width(marks) + 2 if marks else 0), (Span(f" {glyphs.dot} ", "dim"),)
    )
    return (*marks, Span("  "), *facts) if marks and facts else marks or facts


class VerdictLine(LinePanel):
    """The verdict on the first lines of the screen, as many as its height allows."""

    DEFAULT_CSS = "VerdictLine { height: 1; }"
    _view = VerdictView("unknown", "")

    def show(self, view: VerdictView) -> None:
        """Draw ``view``."""
        if view != self._view:
            self._view = view
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the verdict's lines."""
        whole = verdict_lines(self._view, width, self.glyphs, most_lines(width))
        if height is None or len(whole) <= height:
            return whole
        return verdict_lines(self._view, width, self.glyphs, height)


WRAP_LIMIT = 3
NAME_LIMIT = 26
"""Cells for ``Ollama at 127.0.0.1:11434``."""


def source_lines(rows: Sequence[SourceRow], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw each row's problem, then its hint beside it or, where that does not fit, below it."""
    widest = max((line_width(_source_name(row, glyphs)) for row in rows), default=0)
    name_width = min(NAME_LIMIT, widest, max(0, width // 3))
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


def _source_name(row: SourceRow, glyphs: Glyphs) -> Line:
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
