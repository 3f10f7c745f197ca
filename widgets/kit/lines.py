"""The drawing vocabulary: a line is a tuple of spans, a span is text with a role; the glyphs; how lines fit.

Parts are dropped whole, names are shortened, a figure is never cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace
from rich.cells import cell_len

Level = Literal["ok", "watch", "bad", "unknown"]
"""The only meanings that colour carries."""

Role = Literal[
    "plain",
    "dim",  # secondary text, and values that have grown old
    "title",
    "ok",
    "watch",
    "bad",
    "unknown",
    "model",  # VRAM held by a model
    "process",  # VRAM held by another process
    "reserved",  # VRAM kept by the driver
    "track",  # the empty part of a bar
    "ram",  # the part of a model in system RAM
    "cursor",  # the selected row's marker
    "model2",  # VRAM held by a model beside another one
    "planned",  # what a load has yet to take
    "planned_ram",  # what of it will be in RAM
    "rate",  # tokens a second
    "block",  # a name written on the bar of a model
    "block2",
    "block_process",
    "band_watch",  # the ground of what is said of trouble
    "band_bad",
]

FILLED: frozenset[Role] = frozenset({"block", "block2", "block_process", "band_watch", "band_bad"})
"""Roles with a ground of their own: their blanks are seen."""


class Span(NamedTuple):
    """A run of text drawn in one style."""

    text: str
    role: Role = "plain"


Line = tuple[Span, ...]


GAP: Line = (Span("  "),)
"""Stands between the parts of a line."""


class Part(NamedTuple):
    """A piece of a line that is shown whole or not at all; a lower ``need`` stays longer."""

    line: Line
    need: int = 0


def text_line(text: str, role: Role = "plain") -> Line:
    """Return a line of one span, or of none for an empty text."""
    return (Span(text, role),) if text else ()


def line_width(line: Line) -> int:
    """Return the width of ``line`` in terminal cells."""
    width = 0
    for text, _ in line:
        width += len(text) if text.isascii() else cell_len(text)
    return width


def plain_text(line: Line) -> str:
    """Return the characters of ``line`` without its roles."""
    return "".join(span.text for span in line)


def shorten(name: str, width: int, ellipsis: str = "…") -> str:
    """Return ``name`` in at most ``width`` cells: an ellipsis takes the place of its middle.

    Both ends of a model's name tell (family and quantization), so neither is lost.
    """
    if cell_len(name) <= width:
        return name
    room = width - cell_len(ellipsis)
    if room <= 0:
        return ellipsis if room == 0 else ""
    tail = room * 2 // 5
    return _head(name, room - tail) + ellipsis + _tail(name, tail)


def shorten_words(sentence: str, width: int, ellipsis: str = "…") -> str:
    """Return as many whole words of ``sentence`` as fit into ``width`` cells, then an ellipsis."""
    if cell_len(sentence) <= width:
        return sentence
    kept = ""
    for word in sentence.split(" "):
        longer = f"{kept} {word}" if kept else word
        if cell_len(longer) + cell_len(ellipsis) > width:
            break
        kept = longer
    return kept.rstrip(" ,;:") + ellipsis if kept else shorten(sentence, width, ellipsis)


def wrap_words(sentence: str, width: int, limit: int, ellipsis: str = "…") -> list[str]:
    """Break ``sentence`` between words into at most ``limit`` texts of ``width`` cells."""
    rows: list[str] = []
    rest = sentence.split(" ")
    while rest and len(rows) < limit - 1:
        taken = 1
        while taken < len(rest) and cell_len(" ".join(rest[: taken + 1])) <= width:
            taken += 1
        rows.append(shorten_words(" ".join(rest[:taken]), width, ellipsis))
        rest = rest[taken:]
    return [*rows, shorten_words(" ".join(rest), width, ellipsis)] if rest and limit > 0 else rows


def join_parts(parts: Sequence[Part], width: int, separator: Line = GAP) -> Line:
    """Join the parts that fit into ``width``, in their order; those of least need are dropped first."""
    gap = line_width(separator)
    widths = [line_width(part.line) + gap for part in parts]
    room = width + gap
    if sum(widths) <= room:
        return joined([part.line for part in parts], separator)
    kept: set[int] = set()
    for index in sorted(range(len(parts)), key=lambda index: parts[index].need):
        room -= widths[index]
        if room < 0:
            break
        kept.add(index)
    return joined([parts[index].line for index in sorted(kept)], separator)


def joined(lines: Iterable[Line], separator: Line = GAP) -> Line:
    """Join the lines that are not empty, with ``separator`` between them."""
    spans: list[Span] = []
    for line in lines:
        if line:
            spans += (*separator, *line) if spans else line
    return tuple(spans)


def spread(left: Line, right: Line, width: int) -> Line:
    """Put ``left`` and ``right`` at the two edges; ``right`` is left out where they would touch."""
    gap = width - line_width(left) - line_width(right)
    return (*left, Span(" " * gap), *right) if right and gap >= 1 else left


def padded(line: Line, width: int, align: str = "left") -> Line:
    """Pad ``line`` with blanks to ``width`` cells."""
    blank = Span(" " * (width - line_width(line)))
    if not blank.text:
        return line
    return (blank, *line) if align == "right" else (*line, blank)


def noted(line: Line, note: Line, width: int) -> Line:
    """Put ``note`` at the right edge; what of ``line`` would be in its way is left out by spans."""
    room = width - line_width(note) - 1
    spans = list(line)
    while note and spans and line_width(tuple(spans)) > room:
        spans.pop()
    return spread(tuple(spans), note, width)


def without_blanks(line: Line, cells: int) -> Line:
    """Return ``line`` without its first ``cells``, which are blank; nothing where they are not."""
    blank = line[0].text if line else ""
    return (Span(blank[cells:]), *line[1:]) if not blank.strip() and len(blank) >= cells else ()


def in_role(line: Line, role: Role) -> Line:
    """Return ``line`` drawn in one role, except for the cursor."""
    return tuple(span if span.role == "cursor" else Span(span.text, role) for span in line)


def _head(text: str, width: int) -> str:
    """Return the longest start of ``text`` that fits, never half of a wide character."""
    kept = text[:width]
    while cell_len(kept) > width:
        kept = kept[:-1]
    return kept


def _tail(text: str, width: int) -> str:
    """Return the longest end of ``text`` that fits, never half of a wide character."""
    kept = text[len(text) - width :]
    while cell_len(kept) > width:
        kept = kept[1:]
    return kept


def harmless(text: str, limit: int = 200) -> str:
    """Return at most ``limit`` characters of ``text``, a stand-in for each that is not printed.

    Control characters, escapes, marks that turn the direction of writing: none reaches the terminal.
    """
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return cut if cut.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in cut)


class Glyphs(Struct, frozen=True):
    """A set of one-cell characters. Each bar segment kind has its own fill, so a bar reads without colour."""

    partials: tuple[str, ...]
    """A solid bar's last cell, from the thinnest to full; the last one fills the other cells."""
    steps: tuple[str, ...]
    """Heights of a trend's cell, lowest first. The highest leaves a gap to the row above."""
    low: str
    """A solid cell that leaves a gap to the row above."""
    process: str
    reserved: str
    ram: str
    free: str
    planned: str
    limit: str
    """A line across a chart: what there is, or what could be."""
    divider: str
    """Last cell of a model's segment that would otherwise run into the next model's."""
    rule: str
    dot: str
    """Stands between words of equal rank."""
    ellipsis: str
    cursor: str
    degree: str
    dash: str
    ok: str
    watch: str
    bad: str
    unknown: str
    braille: bool
    """Whether the font has the braille patterns of a fine chart."""
    ascii_only: bool = False
    """Whether the terminal takes nothing but ASCII; then names are escaped as well."""
    safe: Callable[[str, int], str] = harmless
    """Makes text from outside harmless: takes it and the most characters that are wanted of it."""

    @property
    def solid(self) -> str:
        """The full cell of a solid bar."""
        return self.partials[-1]

    @property
    def lowered(self) -> Glyphs:
        """The same set with solid bars a little lower, for bars on neighbouring rows."""
        return replace(self, partials=(self.low,))

    def fill(self, kind: Role) -> str:
        """Return the character that fills a bar segment drawn in the role ``kind``."""
        fills: dict[Role, str] = {
            "process": self.process,
            "reserved": self.reserved,
            "ram": self.ram,
            "track": self.free,
            "planned": self.planned,
            "planned_ram": self.planned,
        }
        return fills.get(kind, self.solid)

    def written(self, text: str, limit: int = 200) -> str:
        """Return text from outside as it may be drawn: harmless, and ASCII where the terminal needs it."""
        shown = self.safe(text, limit)
        return shown.encode("ascii", "backslashreplace").decode() if self.ascii_only else shown

    def mark(self, level: Level) -> str:
        """Return the character that stands for ``level``: each has its own shape."""
        marks = {"ok": self.ok, "watch": self.watch, "bad": self.bad, "unknown": self.unknown}
        return marks[level]


UNICODE = Glyphs(
    partials=("▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"),
    steps=("▁", "▂", "▃", "▄", "▅", "▆", "▇"),
    low="▆",
    process="▓",
    reserved="░",
    ram="▒",
    free="─",
    planned="┄",
    limit="╌",
    divider="▉",
    rule="─",
    dot="·",
    ellipsis="…",
    cursor="▌",
    degree="°",
    dash="—",
    ok="●",
    watch="▲",
    bad="■",
    unknown="○",
    braille=True,
)

ASCII = Glyphs(
    partials=("#",),
    steps=("_", ".", "-", "=", "+", "*", "%", "#"),
    low="#",
    process="=",
    reserved=":",
    ram="~",
    free=".",
    planned=",",
    limit="-",
    divider="|",
    rule="-",
    dot="|",
    ellipsis="~",
    cursor=">",
    degree="",
    dash="-",
    ok="+",
    watch="!",
    bad="X",
    unknown="?",
    braille=False,
    ascii_only=True,
)
