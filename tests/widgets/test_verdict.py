"""The first line of the screen."""

from __future__ import annotations

from gpumon.widgets.band import verdict_lines
from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.lines import plain_text
from gpumon.widgets.views import VerdictView

SPILL = VerdictView(
    "bad", "qwen:14b spills 5.5 GiB to RAM; its context is too large; try /set parameter num_ctx 6400"
)


def drawn(width: int, limit: int = 1) -> str:
    return " ".join(plain_text(line).strip() for line in verdict_lines(SPILL, width, UNICODE, limit))


def test_a_clause_that_does_not_fit_is_left_out_whole() -> None:
    assert drawn(80) == "■ qwen:14b spills 5.5 GiB to RAM; its context is too large"


def test_a_second_line_has_room_for_the_command() -> None:
    assert drawn(80, limit=2).endswith("num_ctx 6400")


def test_a_first_clause_that_does_not_fit_is_cut() -> None:
    assert drawn(20).endswith("…")
