"""Widgets that draw lines, and redraw only those that changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import ClassVar, get_args

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip

from gpumon.widgets.kit.contrast import readable
from gpumon.widgets.kit.lines import (
    FILLED,
    UNICODE,
    Glyphs,
    Level,
    Line,
    Role,
    Span,
    line_width,
    shorten,
    text_line,
)
from gpumon.widgets.kit.mouse import GROUNDS, Pointed
from gpumon.widgets.kit.updates import changed_runs

ROLES: tuple[Role, ...] = get_args(Role)


def title_line(title: str, note: str, width: int, glyphs: Glyphs) -> Line:
    """Draw a rule with a title at its left and a note at its right: ``─ GPUs ────── +2 more ─``."""
    rule = glyphs.rule
    if width < 8:
        return text_line(rule * width, "track")
    left = (
        Span(f"{rule} ", "track"),
        Span(shorten(glyphs.written(title), width - 6, glyphs.ellipsis), "title"),
    )
    right = (Span(f" {glyphs.written(note)} ", "dim"), Span(rule, "track")) if note else ()
    if line_width(left) + line_width(right) + 3 > width:
        right = ()
    fill = width - line_width(left) - line_width(right) - 1
    return (*left, Span(f" {rule * fill}", "track"), *right)


def gutter(level: Level, selected: bool, glyphs: Glyphs) -> Line:
    """Draw the left edge of a row: the cursor's marker if selected, and the level's mark."""
    return (Span(glyphs.cursor if selected else " ", "cursor"), Span(glyphs.mark(level), level))


def _changed_regions(before: list[Line], after: list[Line]) -> Iterator[Region]:
    for y, (old, new) in enumerate(zip_longest(before, after, fillvalue=())):
        for start, end in changed_runs(old, new):
            yield Region(start, y, end - start, 1)


def _runs(line: Line) -> Iterator[Span]:
    """Yield the line in as few runs as look the same: the colour of a blank without a ground is not seen."""
    text, role = "", line[0].role if line else "plain"
    for span in line:
        if span.role != role and _differ(text, role, span):
            if text:
                yield Span(text, role)
            text, role = "", span.role
        elif not text.strip():
            role = span.role
        text += span.text
    if text:
        yield Span(text, role)


def _differ(text: str, role: Role, following: Span) -> bool:
    """Return whether what follows looks otherwise than ``text``."""
    is_on_ground = role in FILLED or following.role in FILLED
    return is_on_ground or bool(text.strip() and following.text.strip())


class LinePanel(Pointed):
    """Draws the lines of its ``lines_for``; a subclass keeps a view and turns it into lines.

    Each role is a component class, so that colours come from the theme.
    """

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line-panel--{name}" for name in (*ROLES, *GROUNDS)}
    DEFAULT_CSS = """
    LinePanel {
        height: auto;
        & > .line-panel--plain { color: $foreground; }
        & > .line-panel--dim { color: $text-muted; }
        & > .line-panel--title { color: $foreground; text-style: bold; }
        & > .line-panel--ok { color: $text-success; }
        & > .line-panel--watch { color: $text-warning; text-style: bold; }
        & > .line-panel--bad { color: $text-error; text-style: bold; }
        & > .line-panel--unknown { color: $text-muted; }
        & > .line-panel--model { color: $primary; }
        & > .line-panel--process { color: $foreground 60%; }
        & > .line-panel--reserved { color: $foreground 40%; }
        & > .line-panel--track { color: $foreground 25%; }
        & > .line-panel--ram { color: $warning; }
        & > .line-panel--cursor { color: $accent; text-style: bold; }
        & > .line-panel--model2 { color: $primary-lighten-2; }
        & > .line-panel--planned { color: $foreground 60%; }
        & > .line-panel--planned_ram { color: $warning; }
        & > .line-panel--rate { color: $secondary; }
        & > .line-panel--block { color: $primary; text-style: reverse; }
        & > .line-panel--block2 { color: $primary-lighten-2; text-style: reverse; }
        & > .line-panel--block_process { color: $foreground 60%; text-style: reverse; }
        & > .line-panel--band_watch { color: $warning; text-style: bold reverse; }
        & > .line-panel--band_bad { color: $error; text-style: bold reverse; }
        & > .line-panel--selected { background: $foreground 8%; }
        & > .line-panel--hover { background: $foreground 14%; }
        &:ansi > .line-panel--dim { text-style: dim; }
        &:ansi > .line-panel--unknown { text-style: dim; }
        &:ansi > .line-panel--process { text-style: dim; }
        &:ansi > .line-panel--reserved { text-style: dim; }
        &:ansi > .line-panel--track { text-style: dim; }
        &:ansi > .line-panel--planned { text-style: dim; }
        &:ansi > .line-panel--selected { background: ansi_default; }
        &:ansi > .line-panel--hover { background: ansi_default; text-style: underline; }
    }
    """

    def __init__(
        self,
        *,
        glyphs: Glyphs = UNICODE,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.glyphs = glyphs
        self._lines: list[Line] = []
        self._strips: list[Strip | None] = []
        self._role_styles: dict[Role, Style] = {}
        self._natural_height = 0

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the lines at ``width`` cells; at most ``height`` of them, all of them for ``None``."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw what the view now says: nothing if the lines are the same, else only the changed ones."""
        width, height = self.content_size
        if not width:
            return
        lines = self.lines_for(width, None if self.styles.auto_dimensions else height)
        if self.styles.auto_dimensions and len(lines) != self._natural_height:
            self._natural_height = len(lines)
            self.refresh(layout=True)
        self.show_lines(lines if len(lines) <= height else self.lines_for(width, height))

    def show_lines(self, lines: list[Line]) -> None:
        """Show ``lines``, and refresh only the regions that differ from those shown before."""
        previous, self._lines = self._lines, lines
        self._strips = [*self._strips, *[None] * len(lines)][: len(lines)]  # blank lines more differ nowhere
        regions = [*_changed_regions(previous, lines)]
        for region in regions:
            if region.y < len(lines):
                self._strips[region.y] = None
        if regions:
            self.refresh(*regions)
        self.lay_grounds()

    def render_line(self, y: int) -> Strip:
        """Return line ``y``, built once for each change."""
        if y >= len(self._lines):
            return Strip.blank(self.content_size.width, self._style("plain"))
        strip = self._strips[y]
        if strip is None:
            strip = self._strips[y] = self.on_ground(self._strip(self._lines[y]), y)
        return strip

    def has_heading(self, y: int) -> bool:
        """Return whether line ``y`` is a rule with the title."""
        return y == 0 and bool(self._lines) and self._lines[0][:1] == (Span(f"{self.glyphs.rule} ", "track"),)

    def forget_lines(self, lines: Iterable[int]) -> None:
        """Draw ``lines`` again, though they say the same."""
        for y in lines:
            if y < len(self._strips):
                self._strips[y] = None
            self.refresh(Region(0, y, self.content_size.width, 1))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """Return the number of lines at ``width``."""
        self._natural_height = len(self.lines_for(width, None))
        return self._natural_height

    def on_resize(self) -> None:
        """Lay the view out again for the new size."""
        self.redraw()

    def notify_style_update(self) -> None:
        """Drop the styles and strips made with the old theme."""
        self._role_styles.clear()
        self._strips = [None] * len(self._lines)
        super().notify_style_update()

    def _strip(self, line: Line) -> Strip:
        segments = [Segment(text, self._style(role)) for text, role in _runs(line)]
        return Strip(segments, line_width(line))

    def _style(self, role: Role) -> Style:
        style = self._role_styles.get(role)
        if style is None:
            themed = self.get_component_rich_style(f"line-panel--{role}")
            style = self._role_styles[role] = readable(themed, role)
        return style
