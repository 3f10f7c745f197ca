"""Colour themes: ours, the user's own colours, and the one that suits the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from textual.app import App
from textual.theme import BUILTIN_THEMES, Theme

from gpumon.app.config.checks import AUTO, OWN_THEME

DARK = Theme(
    name=OWN_THEME,
    primary="#4FA3C7",
    secondary="#3FB39D",
    accent="#E8E6E3",
    success="#7FB36B",
    warning="#E0A23B",
    error="#E5484D",
    foreground="#D6D9DD",
    background="#101418",
    surface="#171C22",
    panel="#1F262E",
    dark=True,
)

CYCLE = ("gpumon", "textual-light", "nord", "gruvbox", "ansi-dark", "ansi-light")

OWN = "gpumon-own"
"""The chosen theme with the user's own colours in it."""


def theme_named(name: str) -> Theme | None:
    """Return the theme called ``name``; ``None`` for ``auto``, which is settled on the terminal."""
    return None if name == AUTO else (BUILTIN_THEMES | {DARK.name: DARK})[name]


def with_colors(theme: Theme, colors: Mapping[str, str]) -> Theme:
    """Return ``theme`` with the user's colours in place of its own."""
    own: dict[str, Any] = dict(colors)
    return replace(theme, name=OWN, **own) if colors else theme


def take_theme(app: App[int], wanted: Theme | None, colors: Mapping[str, str]) -> None:
    """Make our themes known to ``app`` and take the wanted one.

    A terminal of 16 colours or none gets its own palette: theme colours snapped to 16 lose the difference
    between warning and error.
    """
    poor = app.no_color or app.console.color_system in {None, "standard"}
    chosen = with_colors(wanted or (BUILTIN_THEMES["ansi-dark"] if poor else DARK), colors)
    app.register_theme(DARK)
    app.register_theme(chosen)
    app.theme = chosen.name


def next_theme(app: App[int]) -> str:
    """Return the theme after the current one."""
    cycle = [name for name in (OWN, *CYCLE) if name in app.available_themes]
    index = cycle.index(app.theme) if app.theme in cycle else -1
    return cycle[(index + 1) % len(cycle)]
