"""Writes text in styles, naming of each only what differs from the one before (ECMA-48, 8.3.117: SGR)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from rich.color import Color, ColorSystem
from rich.console import COLOR_SYSTEMS
from rich.style import Style
from textual.strip import Strip

STYLES_KEPT = 512
RESET = "\x1b[0m"


class _Codes(NamedTuple):
    """The parameters of a style; empty for what it leaves to the terminal."""

    attributes: tuple[str, ...]
    foreground: tuple[str, ...]
    background: tuple[str, ...]


_PLAIN = _Codes((), (), ())


class Pen:
    """Remembers how the terminal writes now; ``color_system`` is Rich's name of one."""

    def __init__(self, color_system: str | None) -> None:
        self._color_system = COLOR_SYSTEMS.get(color_system or "", ColorSystem.TRUECOLOR)
        self._now = _PLAIN

    def write(self, text: str, style: Style | None) -> str:
        """Return ``text`` and what must stand before it."""
        if style is not None and style.link:
            return self.lift() + Strip.render_style(style, text, self._color_system)
        before, self._now = self._now, _PLAIN if style is None else _codes(style, self._color_system)
        return f"{_change(before, self._now)}{text}"

    def lift(self) -> str:
        """Return what leaves the terminal as it was at the start."""
        before, self._now = self._now, _PLAIN
        return _change(before, _PLAIN)


def _change(before: _Codes, after: _Codes) -> str:
    """Return the sequence that leads from one style to the next.

    Attributes and colours that end have no parameter of their own that all terminals know: all is set anew.
    """
    if before == after:
        return ""
    ends = (before.foreground and not after.foreground) or (before.background and not after.background)
    if ends or before.attributes != after.attributes:
        parameters = ("0", *after.attributes, *after.foreground, *after.background)
    else:
        pairs = zip(before[1:], after[1:], strict=True)
        parameters = tuple(code for old, new in pairs if old != new for code in new)
    return RESET if parameters == ("0",) else f"\x1b[{';'.join(parameters)}m"


@lru_cache(STYLES_KEPT)
def _codes(style: Style, color_system: ColorSystem) -> _Codes:
    foreground = _color(style.color, color_system, foreground=True)
    background = _color(style.bgcolor, color_system, foreground=False)
    ansi = Strip.render_ansi(style, color_system)
    named = tuple(ansi.split(";")) if ansi else ()
    return _Codes(named[: len(named) - len(foreground) - len(background)], foreground, background)


def _color(color: Color | None, color_system: ColorSystem, *, foreground: bool) -> tuple[str, ...]:
    return () if color is None else color.downgrade(color_system).get_ansi_codes(foreground)
