"""Starts the dashboard of a session in this terminal."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from gpumon.app.config.settings import Colors, Panels, Settings
from gpumon.app.session.chosen import keep, restore
from gpumon.app.session.session import Session
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.themes import theme_named
from gpumon.widgets.glyphs import ASCII, UNICODE

if TYPE_CHECKING:
    from gpumon.app.session.telling import MakeTeller


def run_dashboard(settings: Settings, session: Session) -> int:
    """Show the dashboard until the user leaves it, and return the exit code."""
    session.choices.hidden |= hidden_panels(settings.panels)
    glyphs = ASCII if settings.glyphs == "ascii" else UNICODE
    forget_exported_size()
    app = GpumonApp(
        session,
        glyphs,
        theme=theme_named(settings.theme),
        colors=chosen_colors(settings.colors),
        bell=settings.bell,
        teller=teller_for(settings, session),
    )
    before = restore(session)
    code = app.run(mouse=settings.mouse) or 0
    keep(session, before)
    return 1 if app.crashed else code


def teller_for(settings: Settings, session: Session) -> MakeTeller | None:
    """Return what makes who is told of alerts; from a screen in a tab nobody is: its feeder tells them."""
    if session.read_only and session.cadence is None:
        return None
    from gpumon.app.session.telling import is_told, teller  # noqa: PLC0415 - few have anybody told

    return partial(teller, settings, is_live=session.player is None) if is_told(settings) else None


def forget_exported_size() -> None:
    """Ask the terminal for its size: exported by a shell, it would outlast the first resize.

    In a browser there is no other size than the one that was handed on this way.
    """
    if os.environ.get("TEXTUAL_DRIVER"):
        return
    for variable in ("COLUMNS", "LINES"):
        os.environ.pop(variable, None)


def hidden_panels(panels: Panels) -> set[str]:
    """Return the names of the panels that are switched off."""
    return {name for name in panels.__struct_fields__ if not getattr(panels, name)}


def chosen_colors(colors: Colors) -> dict[str, str]:
    """Return the colours that the user has set, by the name that Textual's themes give them."""
    return {name: color for name, color in asdict(colors).items() if color is not None}
