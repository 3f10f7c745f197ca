"""The list of installed models: its columns stand still, and their names are always above them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.widgets import sample_views as views

from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.kit.lines import plain_text
from gpumon.widgets.tables import installed_lines

GOLDEN = Path(__file__).parent / "golden" / "installed.txt"
UNANSWERED = tuple(
    replace(row, needed_bytes=None, here=(), tokens_per_second=None, context_length=None)
    for row in views.INSTALLED
)


def drawn(width: int, rows: tuple[object, ...] = views.INSTALLED, *, ascii_only: bool = False) -> list[str]:
    glyphs = ASCII if ascii_only else UNICODE
    lines = installed_lines(rows, width, glyphs, "2")  # type: ignore[arg-type]
    return [plain_text(line).rstrip() for line in lines]


def test_the_list_looks_as_kept() -> None:
    pictures = [
        f"== {width} columns\n" + "\n".join(drawn(width)) + "\n" for width in (200, 120, 100, 80, 60, 40)
    ]
    picture = "\n".join([*pictures, "== ascii", *drawn(80, ascii_only=True), ""])
    if os.environ.get("GPUMON_UPDATE_GOLDEN"):
        GOLDEN.write_text(picture, encoding="utf-8")
    assert GOLDEN.read_text(encoding="utf-8") == picture


@pytest.mark.parametrize("width", [200, 120, 100, 80, 60, 40])
def test_no_column_moves_as_the_answers_come(width: int) -> None:
    assert drawn(width)[0] == drawn(width, UNANSWERED)[0]


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_name_answer_and_rate_are_there_at_every_width(width: int) -> None:
    row = next(line for line in drawn(width) if "phi4:14b" in line)
    assert "after unload" in row
    assert "~99" in row


def test_what_is_not_known_is_a_dash() -> None:
    assert drawn(120)[-1].split() == ["○", "strange:1b", "1.0", "GiB", "-", "-", "-", "-"]
