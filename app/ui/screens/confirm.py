"""A question before something is done: what would be done, and a yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from gpumon.app.ui.keys import CONFIRM_KEYS, bindings, hints
from gpumon.widgets.fact_table import FactTable
from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.hint_bar import HintBar
from gpumon.widgets.views import Fact


class ConfirmScreen(ModalScreen[bool]):
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
