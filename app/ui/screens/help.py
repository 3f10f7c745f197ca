"""The help page: every key, what the marks mean, and where the figures come from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from gpumon.app.session.session import Session
from gpumon.app.ui.keys import (
    APP_KEYS,
    DASHBOARD_KEYS,
    DEMO_KEYS,
    FIT_PAGE_KEYS,
    FLEET_KEYS,
    HOST_KEYS,
    REPLAY_KEYS,
    TIME_KEYS,
    VIEW_KEYS,
    Key,
    listed,
)
from gpumon.app.ui.screens.base import Scroll
from gpumon.app.ui.textual_internals import SteadyScreen
from gpumon.app.views.band import watched_words
from gpumon.widgets.hints import ARROW_NAMES
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.tables import HelpSheet, Section
from gpumon.widgets.views import Fact

SECTIONS: tuple[tuple[str, tuple[tuple[Key, ...], ...]], ...] = (
    ("Dashboard", (DASHBOARD_KEYS,)),
    ("Back in time", (TIME_KEYS,)),
    ("Everywhere", (APP_KEYS,)),
    ("Page of a model or GPU", (VIEW_KEYS,)),
    ("Does it fit", (FIT_PAGE_KEYS,)),
    ("Replay and demo", (REPLAY_KEYS,)),
)
"""The keys that one wants first stand first."""
DEMO_SECTION = ("Demo", (DEMO_KEYS,))
HOSTS_SECTION = ("Several hosts", (FLEET_KEYS[:5], HOST_KEYS))

MOUSE_FACTS = (
    Fact("click", "opens rows, hides by titles"),
    Fact("", "charts and events: goes there"),
    Fact("wheel", "scrolls; Shift selects text"),
)


class HelpScreen(ModalScreen[None], SteadyScreen[None]):
    """Every key and mark; any of the closing keys leaves it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1,h,enter,space", "dismiss", "close"),
        Binding("down,j", "scroll(1)", "scroll down", show=False),
        Binding("up,k", "scroll(-1)", "scroll up", show=False),
        Binding("pagedown,ctrl+d", "scroll(10)", "page down", show=False),
        Binding("pageup,ctrl+u", "scroll(-10)", "page up", show=False),
        Binding("home,g", "scroll(-10000)", "to the top", show=False),
        Binding("end,G", "scroll(10000)", "to the bottom", show=False),
    ]

    def __init__(self, glyphs: Glyphs, session: Session, *, several: bool = False) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._watched = (*_gpumon(), *watched_words(session.monitor, session.interval_seconds))
        self._demo = session.demo is not None
        self._several = several

    def compose(self) -> ComposeResult:
        """List the keys first, then the marks, then what is watched."""
        sheet = HelpSheet(glyphs=self._glyphs)
        sheet.show(help_sections(self._glyphs, demo=self._demo, several=self._several), self._watched)
        with Scroll(self._glyphs):
            yield sheet

    def action_scroll(self, step: int) -> None:
        """Scroll by lines."""
        self.query_one(Scroll).scroll_relative(y=step, animate=False)


def _gpumon() -> Iterator[str]:
    """Name gpumon with its version, where it is installed and not run from its folder."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - takes a while

    with contextlib.suppress(PackageNotFoundError):
        yield f"gpumon {version('gpumon-llm')}"


def help_sections(glyphs: Glyphs, *, demo: bool = False, several: bool = False) -> list[Section]:
    """Return all lists of the help; the keys of a demonstration and of several hosts where there are such."""
    sections = (*SECTIONS, DEMO_SECTION) if demo else SECTIONS
    sections = (HOSTS_SECTION, *sections) if several else sections
    keys = [Section(title, _facts(listed(*groups), glyphs)) for title, groups in sections]
    return [*keys, Section("Mouse", MOUSE_FACTS), Section("Marks", mark_facts(glyphs))]


def _facts(lines: tuple[tuple[str, str], ...], glyphs: Glyphs) -> tuple[Fact, ...]:
    """Write the keys as they are printed on the keyboard; arrows by name where there are no arrows."""
    named = ((keys.translate(ARROW_NAMES) if glyphs.ascii_only else keys, words) for keys, words in lines)
    return tuple(Fact(keys, words) for keys, words in named)


def mark_facts(glyphs: Glyphs) -> tuple[Fact, ...]:
    """Explain the marks and the fills of the bars."""
    return (
        Fact(glyphs.mark("ok"), f"well   {glyphs.mark('watch')}  worth a look"),
        Fact(glyphs.mark("bad"), f"costs speed now   {glyphs.mark('unknown')}  not known"),
        Fact(glyphs.solid, f"model   {glyphs.ram}  its part in RAM"),
        Fact(glyphs.process, f"others   {glyphs.reserved}  set aside   {glyphs.free}  free"),
    )
