"""The hints of the footer: which keys do something now, going by what there is and what is selected."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from gpumon.app.ui.keys import (
    APP_KEYS,
    BACK_HINT,
    DASHBOARD_KEYS,
    DEMO_KEYS,
    PAST_HINTS,
    REPLAY_KEYS,
    SPEED_HINTS,
    hints,
)
from gpumon.app.views.page import play_hints
from gpumon.collectors.servers.registry import DEFAULT
from gpumon.widgets.hints import Hint
from gpumon.widgets.kit.lines import shorten

if TYPE_CHECKING:
    from gpumon.app.session.session import Choices, Session, Unload
    from gpumon.app.state.records import ModelKey
    from gpumon.app.ui.screens.base import Row
    from gpumon.app.views.dashboard import DashboardView

HELP, QUIT = hints(APP_KEYS[-2:])
KEYS = hints(DASHBOARD_KEYS, APP_KEYS[:1])
OF_NOW = frozenset({"app.unload", "app.copy", "cure(1)", "fit", "acknowledge", "pause"})
"""What is not to be done to a machine as it was."""
FILTER_CELLS = 20
"""Of a filter's text: however long it is, the keys behind it are seen."""


def works_on(session: Session, row: Row | None, action: str) -> bool:
    """Return whether ``action`` does something to what is selected, or needs nothing selected."""
    if session.is_past and action in OF_NOW:
        return False
    if action not in {"app.unload", "app.copy"}:
        return True
    pictures = session.shown.pictures
    key = pictures.key_of(row.key) if row is not None and row.panel == "models" else None
    picture = None if key is None else pictures.model(key)
    if picture is None:
        load = pictures.load(row.key) if row is not None and row.panel == "models" else None
        return action == "app.unload" and load is not None and unload_of(session, load.model) is not None
    if action == "app.copy":
        return any(remedy.command for remedy in picture.diagnosis.remedies)
    return picture.kind.unloads and session.unload.get(picture.key.source) is not None


def unload_of(session: Session, key: ModelKey | None) -> Unload | None:
    """Return how to unload a model that still loads; ``None`` where its server cannot be asked to."""
    source = session.shown.state.sources.get(key.source) if key is not None else None
    is_able = source is not None and (source.kind or DEFAULT).unloads
    return session.unload.get(source.name) if source is not None and is_able else None


def means(session: Session, row: Row | None) -> tuple[object, ...]:
    """Return what the hints go by besides what there is: choices, and what can be done to a row's model."""
    choices, pictures = session.choices, session.shown.pictures
    chosen = (choices.filter_text, choices.sort, choices.descending, frozenset(choices.hidden))
    key = pictures.key_of(row.key) if row and row.panel == "models" else None
    if key is None or (picture := pictures.model(key)) is None:
        return chosen
    return (*chosen, picture.diagnosis.remedies, picture.kind, session.unload.get(key.source))


def dashboard_hints(
    session: Session, view: DashboardView, row: Row | None, folded: Sequence[str]
) -> tuple[Hint, ...]:
    """Return what the dashboard's footer names, the most needed first; ``folded`` are panels without room."""
    choices = session.choices
    filtering = filter_hints(choices.filter_text, "clear")
    playing = tuple(Hint(*hint) for hint in play_hints(session.player))
    demo = hints(DEMO_KEYS) if session.demo else ()
    dropped = (Hint("folded:", ", ".join(folded)),) if folded else ()
    useless = _useless(view, row)
    keys = [key for key in (*KEYS, _order(choices)) if key.action not in useless]
    working = (key for key in keys if works_on(session, row, key.action))
    if session.is_past:
        return (PAST_HINTS[0], HELP, *PAST_HINTS[1:], *filtering, QUIT, *demo, *working, *dropped)
    return (HELP, *filtering, *playing, QUIT, *demo, *working, *dropped)


def filter_hints(text: str, action: str) -> tuple[Hint, ...]:
    """Return by what the rows are narrowed, and the key that ends it."""
    return (Hint("Esc", f"filter: {shorten(text, FILTER_CELLS)}", action),) if text else ()


def spare_hints(session: Session) -> tuple[Hint, ...]:
    """Return what is named where there is room to spare: the way back in time, the keys of a player."""
    if session.is_past:
        return ()
    back = (BACK_HINT,) if session.past is not None else ()
    return (*back, *hints(REPLAY_KEYS), *SPEED_HINTS) if session.player else back


def _order(choices: Choices) -> Hint:
    return Hint("s", f"sort by {choices.sort}{' reversed' if choices.descending else ''}", "sort(1)")


def _useless(view: DashboardView, row: Row | None) -> Collection[str]:
    """Return the actions for which there is nothing on the dashboard."""
    unread = any(event.ongoing and not event.acknowledged for event in view.events)
    useful = {
        "open": row is not None,
        "switch_panel(1)": sum(map(bool, (view.gpus, view.models, view.events))) > 1,
        "filter": len(view.models) > 1,
        "sort(1)": len(view.models) > 1,
        "acknowledge": unread,
    }
    return {action for action, is_useful in useful.items() if not is_useful}
