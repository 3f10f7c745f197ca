"""A Textual app with as many rows as eight GPUs take, and no data: what the framework alone costs."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static

ROWS = 8


class Bare(App[None]):
    def compose(self) -> ComposeResult:
        for number in range(ROWS):
            yield Static(f"row {number}")


if __name__ == "__main__":
    Bare().run()
