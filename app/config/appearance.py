"""What a theme and a colour may be. Textual knows, and is asked only where one is set."""

from __future__ import annotations

from gpumon.app.config.errors import did_you_mean

AUTO = "auto"
"""The theme that suits the terminal."""
OWN_THEME = "gpumon"


def color_problem(color: str) -> str | None:
    """Return what is wrong with a colour, ``None`` where it is one."""
    # Here, because most settings name no colour and Textual takes a while to import.
    from textual.color import Color, ColorParseError  # noqa: PLC0415

    try:
        Color.parse(color)
    except ColorParseError:
        return f'"{color}" is no colour'
    return None


def theme_problem(name: str) -> str | None:
    """Return what is wrong with the name of a theme, ``None`` where there is one of that name."""
    if name in {AUTO, OWN_THEME}:
        return None
    from textual.theme import BUILTIN_THEMES  # noqa: PLC0415

    known = sorted({AUTO, OWN_THEME, *BUILTIN_THEMES})
    if name in known:
        return None
    meant = did_you_mean(name, known) or f"; there are {', '.join(known)}"
    return f'no theme is called "{name}"{meant}'
