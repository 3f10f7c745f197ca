"""The palette: what the keys do, models, GPUs, scenarios and themes, to be found by a few letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

from textual import events, on
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from gpumon.app.insight.wording import model_id
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.session.session import Session
from gpumon.app.ui.keys import GROUPS, PALETTE_KEYS, REPLAY_KEYS, bindings
from gpumon.app.ui.screens.base import Cursor, ListScreen, LiveScreen, Row
from gpumon.app.ui.screens.dashboard import DashboardScreen
from gpumon.app.ui.screens.footer import works_on
from gpumon.app.ui.textual_internals import Box, SteadyScreen
from gpumon.text.safe import visible
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.kit.rows import RowPanel
from gpumon.widgets.tables import ChoicePanel
from gpumon.widgets.views import ChoiceRow

PANEL = "choices"


class Offer(NamedTuple):
    """A line of the palette, and what it does."""

    row: ChoiceRow
    run: Callable[[], object]


def matching(rows: Sequence[ChoiceRow], words: Sequence[str]) -> list[ChoiceRow]:
    """Return the rows whose titles contain all ``words``; those first in which each begins a word."""
    found = [row for row in rows if all(word in row.title.casefold() for word in words)]
    return sorted(found, key=lambda row: not all(f" {word}" in f" {row.title.casefold()}" for word in words))


NOT_OFFERED = ("command_palette", "move", "scroll", "dismiss", "leave")
"""Actions that are nearer by their key."""
ORDER = [key.action for group in GROUPS for key in group]
"""Actions in the order in which the footer and the help name them."""
REPLAY_ACTIONS = frozenset(key.action for key in REPLAY_KEYS)


def offers(app: App[int], session: Session) -> dict[str, Offer]:
    """Return all that can be chosen, the most useful first: keys, models, GPUs, scenarios, themes."""
    named, others = _commands(app, session, named=True), _commands(app, session, named=False)
    found = (*named, *_rows(app, session), *_scenarios(app, session), *others, *_themes(app))
    return {offer.row.key: offer for offer in found}


def _commands(app: App[int], session: Session, *, named: bool) -> Iterator[Offer]:
    """Yield what the keys of the screen in front do: those that its footer names, or the others."""
    active = {one.binding.action: one for one in app.screen.active_bindings.values()}
    selected = app.screen.selected if isinstance(app.screen, LiveScreen) else None
    offered = [
        one
        for action, one in active.items()
        if action in ORDER
        and one.binding.show == named
        and action.partition("(")[0].rpartition(".")[2] not in NOT_OFFERED
        and works_on(session, selected, action)
        and (session.player is not None or action not in REPLAY_ACTIONS)
    ]
    for one in sorted(offered, key=lambda one: ORDER.index(one.binding.action)):
        binding = one.binding
        words = binding.description[:1].upper() + binding.description[1:]
        row = ChoiceRow(f"key {binding.action}", words, binding.key_display or "")
        yield Offer(row, partial(app.run_action, binding.action, one.node))


def _rows(app: App[int], session: Session) -> Iterator[Offer]:
    """Yield the pages of models and GPUs, by their names."""
    pictures = session.shown.pictures
    models = [(Row("models", model_id(one.key)), one.label, "model") for one in pictures.models()]
    gpus = [(Row("gpus", one.uuid), f"{one.label} {_name_of(one)}", "GPU") for one in pictures.gpus()]
    for row, words, kind in (*models, *gpus):
        yield Offer(ChoiceRow(f"{kind} {row.key}", words, kind), partial(_open_page, app, row))


def _name_of(gpu: GpuPicture) -> str:
    return visible(gpu.reading.name or "").removeprefix("NVIDIA ").removeprefix("GeForce ")


def _open_page(app: App[int], row: Row) -> None:
    """Open a page as from the dashboard, whatever page is open now."""
    while len(app.screen_stack) > 1 and not isinstance(app.screen, DashboardScreen):
        app.pop_screen()
    if isinstance(app.screen, ListScreen):
        app.screen.open_row(row)


def _scenarios(app: App[int], session: Session) -> Iterator[Offer]:
    """Yield the scenarios of the demonstration, where they can be changed."""
    demo = getattr(session, "demo", None)
    if demo is None:
        return
    from gpumon.app.demo.scenarios import list_scenarios  # noqa: PLC0415 - a live dashboard needs none

    scenarios = list_scenarios()
    now = scenarios.index(demo.scenario)
    for place, one in enumerate(scenarios):
        run = partial(app.run_action, f"scenario({place - now})")
        yield Offer(ChoiceRow(f"scenario {one.name}", f"Scenario {one.name}: {one.description}", "demo"), run)


def _themes(app: App[int]) -> Iterator[Offer]:
    for name in sorted(app.available_themes):
        note = "now" if name == app.theme else "theme"
        yield Offer(ChoiceRow(f"theme {name}", f"Theme {name}", note), partial(setattr, app, "theme", name))


class PaletteScreen(ModalScreen[str], SteadyScreen[str]):
    """Narrows ``rows`` while letters are typed; the result is the key of the chosen one.

    Ours and not Textual's, whose list is filled by tasks that outlive it: quick fingers end the program.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(PALETTE_KEYS)]

    def __init__(self, rows: Sequence[ChoiceRow], glyphs: Glyphs) -> None:
        super().__init__()
        self._rows = tuple(rows)
        self._glyphs = glyphs
        self._cursor = Cursor(PANEL)

    def compose(self) -> ComposeResult:
        """Put the box for the letters over the list."""
        words = f"a key, model, GPU or theme {self._glyphs.ellipsis}"
        panel = ChoicePanel(glyphs=self._glyphs, id=PANEL)
        panel.title = "Find"
        with Vertical():
            yield Box(words)
            yield panel

    def on_mount(self) -> None:
        """List everything."""
        self._list()

    def on_resize(self) -> None:
        """Fit the list to the new size."""
        self._list()

    @on(Input.Changed)
    def _list(self) -> None:
        """List what contains every word that has been typed, the cursor on the first of it."""
        if not self.composed:
            return
        words = self.query_one(Input).value.casefold().split()
        rows = matching(self._rows, words)
        panel = self.query_one(ChoicePanel)
        panel.styles.height = min(1 + max(1, len(rows)), max(1, self.size.height - 1))
        panel.show(rows, "nothing matches")
        self._cursor = Cursor(PANEL)
        self._cursor.place([Row(PANEL, row.key) for row in rows])
        panel.cursor_key = self._cursor.key_in(PANEL)

    @on(RowPanel.RowReached)
    def reach_row(self, message: RowPanel.RowReached) -> None:
        """Follow the wheel."""
        self._cursor.select(Row(PANEL, message.key))

    # Keys

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self._cursor.move(step)
        self.query_one(ChoicePanel).cursor_key = self._cursor.key_in(PANEL)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss()

    @on(Input.Submitted)
    def choose(self) -> None:
        """Close with the row under the cursor, where there is one."""
        if self._cursor.row is not None:
            self.dismiss(self._cursor.row.key)

    @on(RowPanel.RowSelected)
    def choose_clicked(self, message: RowPanel.RowSelected) -> None:
        """Close with the clicked row."""
        self.dismiss(message.key)

    def on_click(self, event: events.Click) -> None:
        """Close for a click beside the list."""
        if event.widget is self:
            self.dismiss()
