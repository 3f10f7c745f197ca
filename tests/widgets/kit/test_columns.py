from __future__ import annotations

import re
from itertools import pairwise

import pytest
from tests.widgets import sample_views as views

from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.gpu_panel import gpu_lines
from gpumon.widgets.kit.columns import Column, Row, draw_row, fit, offset_of
from gpumon.widgets.kit.lines import plain_text, text_line
from gpumon.widgets.model_panel import model_lines

COLUMNS = (
    Column("name", (0, 30), widths=(6, 12)),
    Column("figure", (10, 20), align="right"),
    Column("bar", (40,), widths=(5,), grows_to=9),
)
ROWS: list[Row] = [
    {
        "name": (text_line("a-long-name"),),
        "figure": (text_line("7"), text_line("7 GiB")),
        "bar": lambda w: text_line("#" * w),
    },
    {"name": (text_line("b"),), "figure": (text_line("12"), text_line("12 GiB"))},
]


@pytest.mark.parametrize(
    ("width", "drawn"),
    [
        (5, ["", ""]),
        (6, ["a-l…me", "b"]),
        (10, ["a-l…me   7", "b       12"]),
        (14, ["a-l…me   7 GiB", "b       12 GiB"]),
        (19, ["a-long-name   7 GiB", "b            12 GiB"]),
        (26, ["a-long-name   7 GiB  #####", "b            12 GiB"]),
        (99, ["a-long-name   7 GiB  #########", "b            12 GiB"]),
    ],
)
def test_columns_appear_and_widen_in_order_of_need_and_stay_aligned(width: int, drawn: list[str]) -> None:
    fitted = fit(COLUMNS, ROWS, width)
    assert [plain_text(draw_row(row, fitted, "…")) for row in ROWS] == drawn


def test_a_wider_panel_never_shows_fewer_columns() -> None:
    shown = [{place.column.key for place in fit(COLUMNS, ROWS, width)} for width in range(60)]
    assert all(narrow <= wide for narrow, wide in pairwise(shown))


def test_a_column_that_no_row_fills_takes_no_room() -> None:
    fitted = fit(COLUMNS, [{"figure": (text_line("7"),)}], 80)
    assert [place.column.key for place in fitted] == ["figure"]


def test_the_offset_of_a_column_is_the_cell_it_starts_in() -> None:
    fitted = fit(COLUMNS, ROWS, 30)
    assert offset_of("bar", fitted) == plain_text(draw_row(ROWS[0], fitted, "…")).index("#")


@pytest.mark.parametrize("width", range(1, 251))
def test_no_figure_of_a_gpu_is_ever_cut(width: int) -> None:
    whole = {"0", "4090", "6.7/24.0", "42%", "61", "90", "212", "450", "38%"}
    drawn = _figures(plain_text(gpu_lines([views.BUSY_GPU], width, UNICODE)[0]))
    assert {word for word in drawn if not word.startswith(("qwe", "nomic"))} <= whole | {"5.2", "1.1"}


@pytest.mark.parametrize("width", range(11, 251))
def test_no_figure_of_a_model_is_ever_cut(width: int) -> None:
    whole = {
        "qwen3:32b",
        "Q4_K_M",
        "14.2+7.3",
        "34%",
        "4.8",
        "8.1k/32k",
    }
    assert _figures(plain_text(model_lines([views.SPILLED_MODEL], width, UNICODE)[0])) <= whole | {"qwen3…2b"}


def _figures(text: str) -> set[str]:
    return {word for word in re.split(r"\s+", text) if any(character.isdigit() for character in word)}
