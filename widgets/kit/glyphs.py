"""The characters that gauges, trends and rules are drawn with, one set per kind of terminal."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from gpumon.widgets.kit.lines import Level, Role


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
