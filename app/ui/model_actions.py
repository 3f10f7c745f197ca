"""What the user can do about the selected model: unload it, or copy the command that helps it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen

from gpumon.app.insight.unloading import Unloading, unload_outcome, unloading_of, unloading_of_load
from gpumon.app.insight.wording import model_id
from gpumon.app.picture.load import LoadPicture
from gpumon.app.session.session import Session, Unload
from gpumon.app.state.records import ModelRecord
from gpumon.app.ui.keys import CONFIRM_KEYS, bindings, hints
from gpumon.app.ui.screens.base import Row
from gpumon.app.ui.screens.footer import unload_of
from gpumon.app.ui.textual_internals import SteadyScreen
from gpumon.app.views.actions import (
    asked_words,
    command_to_copy,
    copied_words,
    elsewhere_words,
    nothing_words,
    outcome_words,
    refused_words,
    stop_facts,
    unload_facts,
)
from gpumon.text.safe import visible
from gpumon.widgets.hints import HintBar
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.tables import FactTable
from gpumon.widgets.views import Fact


class ConfirmScreen(ModalScreen[bool], SteadyScreen[bool]):
    """Shows ``facts`` under the question; the result is ``True`` for yes."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(CONFIRM_KEYS)]

    def __init__(self, question: str, facts: Sequence[Fact], glyphs: Glyphs) -> None:
        super().__init__()
        self._question = question
        self._facts = tuple(facts)
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        """Put the keys under the facts."""
        facts, keys = FactTable(self._question, glyphs=self._glyphs), HintBar(glyphs=self._glyphs)
        facts.show(self._facts)
        keys.show(hints(CONFIRM_KEYS))
        with Vertical():
            yield facts
            yield keys

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        self.dismiss(answer)


GOOD_ENDS = frozenset({"unloaded", "unmeasured"})


class ModelActions:
    """Asks first, acts, watches the outcome, and reports it in one line."""

    def __init__(self, app: App[int], session: Session, glyphs: Glyphs) -> None:
        self._app = app
        self._session = session
        self._glyphs = glyphs
        self._under_way: list[Unloading] = []
        self._told_waiting: set[Unloading] = set()

    def unload(self, row: Row | None) -> None:
        """Ask whether to unload the model of ``row``, and do it if the answer is yes."""
        self._app.clear_notifications()
        model = self._model(row)
        picture = self._session.monitor.pictures.model(model.key) if model else None
        if model is None or picture is None:
            self._unload_load(row)
            return
        unload = self._session.unload.get(model.key.source) if model.kind.unloads else None
        if unload is None:
            self._say(self._cannot_words(model), "warning")
            return
        facts = unload_facts(picture, self._session.monitor.pictures.models())
        question = ConfirmScreen("Unload this model?", facts, self._glyphs)
        self._app.push_screen(question, partial(self._answered, row, unload))

    def _unload_load(self, row: Row | None) -> None:
        """Ask whether to unload a model that still loads."""
        load = self._load(row)
        unload = unload_of(self._session, load.model) if load is not None else None
        if load is None or load.model is None or unload is None:
            self._say(self._no_model_words(row), "warning")
            return
        question = ConfirmScreen("Unload this model?", stop_facts(load, load.model), self._glyphs)
        self._app.push_screen(question, partial(self._stop, load.id, unload))

    def _stop(self, load_id: str, unload: Unload, yes: bool | None) -> None:
        state, shown = self._session.monitor.state, self._session.monitor.pictures.load(load_id)
        load = next((one for one in state.loads.values() if shown and one.key.pid == shown.pid), None)
        if not yes:
            return
        if load is None or load.model is None:
            self._say("it no longer loads")
            return
        asked = unloading_of_load(load.model, load, state.now)
        self._app.run_worker(self._ask(asked, unload), name=f"unload {asked.name}")

    def _load(self, row: Row | None) -> LoadPicture | None:
        is_model = row is not None and row.panel == "models"
        return self._session.monitor.pictures.load(row.key) if row is not None and is_model else None

    def copy(self, row: Row | None, cure: int | None = None) -> None:
        """Copy the best command against what is wrong with the model of ``row``, and show it.

        ``cure`` is the number of another one that was chosen, from 0.
        """
        self._app.clear_notifications()
        model, pictures = self._model(row), self._session.monitor.pictures
        if model is None or (picture := pictures.closely(model.key)) is None:
            self._say(self._no_model_words(row), "warning")
            return
        found = picture.diagnosis
        chosen = found.remedies if cure is None else found.remedies[cure : cure + 1]
        remedy = command_to_copy(chosen)
        if remedy is None or remedy.command is None:
            self._say(nothing_words(found.verdict, visible(model.claim.name)))
            return
        self._app.copy_to_clipboard(remedy.command)
        self._say(copied_words(remedy, self._session.host))

    def look(self) -> None:
        """Report each unload under way that has ended, and how it ended."""
        for asked in list(self._under_way):
            outcome = unload_outcome(asked, self._session.monitor.state)
            if outcome is None or (outcome.kind == "waiting" and asked in self._told_waiting):
                continue
            if outcome.kind == "waiting":
                self._told_waiting.add(asked)
            else:
                self._under_way.remove(asked)
            self._say(outcome_words(asked, outcome), "information" if outcome.kind in GOOD_ENDS else "error")

    def _answered(self, row: Row | None, unload: Unload, yes: bool | None) -> None:
        model = self._model(row)
        if not yes:
            return
        if model is None:
            self._say("it is no longer loaded")
            return
        asked = unloading_of(model, self._session.monitor.state)
        self._app.run_worker(self._ask(asked, unload), name=f"unload {asked.name}")

    async def _ask(self, asked: Unloading, unload: Unload) -> None:
        self._under_way.append(asked)
        self._session.monitor.note_unload(asked.key)
        self._say(asked_words(asked))
        problem = await unload(asked.name)
        if problem is not None:
            self._session.monitor.note_unload(asked.key, is_asked=False)
        if problem is not None and asked in self._under_way:
            self._under_way.remove(asked)
            self._say(refused_words(asked, problem), "error")

    def _model(self, row: Row | None) -> ModelRecord | None:
        models = self._session.monitor.state.models.values()
        wanted = row.key if row is not None and row.panel == "models" else None
        return next((model for model in models if model_id(model.key) == wanted), None)

    def _no_model_words(self, row: Row | None) -> str:
        if row is not None and any(one.id == row.key for one in self._session.monitor.pictures.left()):
            return "it is no longer loaded"
        loading = row is not None and row.panel == "models"
        return "it is not loaded yet" if loading else "no model is selected"

    def _cannot_words(self, model: ModelRecord) -> str:
        if self._session.player is not None:
            return "nothing to unload: this is not live"
        if self._session.read_only:
            return "nothing is unloaded from here: this screen is to look at only"
        if self._session.host and model.kind.unloads:
            return elsewhere_words(self._session.host, model.kind.stop(model.key.source, model.claim.name))
        return f"nothing to unload: {model.kind.unload_words}"

    def _say(self, words: str, severity: SeverityLevel = "information") -> None:
        self._app.notify(words, severity=severity)
