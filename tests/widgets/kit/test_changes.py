"""Where two pictures of one line differ."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from gpumon.widgets.kit.lines import Line, Span
from gpumon.widgets.kit.updates import GAP_CELLS, changed_cells, changed_runs

TEXTS = st.text("ab 0█▇日é\u0301", max_size=6)
LINES = st.lists(st.builds(Span, TEXTS, st.sampled_from(["plain", "ok", "bad"])), max_size=5).map(tuple)


def test_the_same_line_has_no_changed_cells() -> None:
    line = (Span("util "), Span("41%", "ok"))
    assert changed_cells(line, line) == (0, 0)


def test_a_changed_figure_is_all_that_is_drawn() -> None:
    before = (Span("util "), Span("41%", "ok"), Span("  28 °C"))
    after = (Span("util "), Span("43%", "ok"), Span("  28 °C"))
    assert changed_cells(before, after) == (6, 7)


def test_a_changed_colour_is_a_change_of_its_span() -> None:
    assert changed_cells((Span("ab"), Span("cd", "ok")), (Span("ab"), Span("cd", "bad"))) == (2, 4)


def test_a_longer_line_changes_to_its_end() -> None:
    assert changed_cells((Span("abc"),), (Span("abcd"),)) == (3, 4)


def test_a_line_that_has_gone_is_cleared() -> None:
    assert changed_cells((Span("abc"),), ()) == (0, 3)


@given(LINES, LINES)
def test_cells_outside_the_range_are_the_same(before: Line, after: Line) -> None:
    start, end = changed_cells(before, after)
    old, new = cells(before), cells(after)
    assert old[:start] == new[:start]
    assert old[end:] == new[end:]


@given(LINES, LINES)
def test_a_range_lies_within_the_longer_line(before: Line, after: Line) -> None:
    start, end = changed_cells(before, after)
    assert 0 <= start <= end <= max(len(cells(before)), len(cells(after)))


def test_two_figures_far_apart_are_two_runs() -> None:
    between = Span(" of 450 W, fan ")
    assert changed_runs((Span("41"), between, Span("30")), (Span("42"), between, Span("35"))) == [
        (1, 2),
        (18, 19),
    ]


def test_figures_that_stand_close_are_one_run() -> None:
    assert changed_runs((Span("41"), Span("/450 "), Span("30")), (Span("42"), Span("/450 "), Span("31"))) == [
        (1, 9)
    ]


@given(LINES, LINES)
def test_cells_outside_the_runs_look_the_same(before: Line, after: Line) -> None:
    changed = {cell for start, end in changed_runs(before, after) for cell in range(start, end)}
    old, new = cells(before), cells(after)
    rest = set(range(max(len(old), len(new)))) - changed
    assert [looks(old, cell) for cell in rest] == [looks(new, cell) for cell in rest]


@given(LINES, LINES)
def test_runs_are_in_order_and_apart(before: Line, after: Line) -> None:
    runs = changed_runs(before, after)
    assert all(later[0] - earlier[1] >= GAP_CELLS for earlier, later in pairwise(runs))


def looks(line: list[tuple[str, str]], cell: int) -> tuple[str, str]:
    """Return what is seen of a cell: of a blank no colour."""
    text, role = line[cell] if cell < len(line) else (" ", "")
    return (text, "" if text == " " else role)


def cells(line: Line) -> list[tuple[str, str]]:
    """Return one entry a cell: the text that fills it and its role; marks go with the cell before them."""
    found: list[tuple[str, str]] = []
    for span in line:
        for character in span.text:
            width = cell_len(character)
            if width == 0 and found:
                found[-1] = (found[-1][0] + character, found[-1][1])
            found += [(character, span.role)] * width
    return found
