"""The help page: every key, what the marks mean, and where the figures come from."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from gpumon.app.ui.keys import (
    APP_KEYS,
    DASHBOARD_KEYS,
    DEMO_KEYS,
    FIT_LIST_KEYS,
    FIT_PAGE_KEYS,
    PAGE_KEYS,
    REPLAY_KEYS,
    Key,
)
from gpumon.app.ui.screens.base import Scroll
from gpumon.app.ui.textual_internals import SteadyScreen
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.tables import FactTable
from gpumon.widgets.views import Fact

SECTIONS: tuple[tuple[str, tuple[Key, ...]], ...] = (
    ("Everywhere", APP_KEYS),
    ("Dashboard", DASHBOARD_KEYS),
    ("Page of a GPU or model", PAGE_KEYS),
    ("Installed models", FIT_LIST_KEYS),
    ("Would it fit", FIT_PAGE_KEYS),
    ("Replay and demo", REPLAY_KEYS),
)
DEMO_SECTION = ("Demo", DEMO_KEYS)


ARROW_NAMES = str.maketrans({"↓": "Down", "↑": "Up"})


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

    def __init__(self, glyphs: Glyphs, *, demo: bool = False) -> None:
        super().__init__()
        self._glyphs = glyphs
        self._sections = (*SECTIONS, DEMO_SECTION) if demo else SECTIONS

    def compose(self) -> ComposeResult:
        """List the marks first, then the keys."""
        with Scroll(self._glyphs):
            for title in ("Marks", *(title for title, _ in self._sections)):
                yield FactTable(title, glyphs=self._glyphs)

    def on_mount(self) -> None:
        """Fill the tables; there are none where the program ends while this opens."""
        keys = [[Fact(key_words(key, self._glyphs), key.help) for key in keys] for _, keys in self._sections]
        for table, facts in zip(self.query(FactTable), (mark_facts(self._glyphs), *keys), strict=False):
            table.show(facts)

    def action_scroll(self, step: int) -> None:
        """Scroll by lines."""
        self.query_one(Scroll).scroll_relative(y=step, animate=False)


def key_words(key: Key, glyphs: Glyphs) -> str:
    """Write a key as it is printed on the keyboard; arrows by name where there are no arrows."""
    return key.shown.translate(ARROW_NAMES) if glyphs.ascii_only else key.shown


def mark_facts(glyphs: Glyphs) -> list[Fact]:
    """Explain the marks and the fills of the bars."""
    return [
        Fact(glyphs.mark("ok"), "all is well", level="ok"),
        Fact(glyphs.mark("watch"), "worth a look", level="watch"),
        Fact(glyphs.mark("bad"), "costs speed now", level="bad"),
        Fact(glyphs.mark("unknown"), "not known", level="unknown"),
        Fact(glyphs.solid * 3, "memory of models, or a model's part on the GPU"),
        Fact(glyphs.ram * 3, "a model's part in system RAM: the spill"),
        Fact(glyphs.process * 3, "memory of other processes"),
        Fact(glyphs.reserved * 3, "kept by the driver"),
        Fact(glyphs.free * 3, "free"),
    ]
