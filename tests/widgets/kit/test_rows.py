from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpumon.widgets.kit.rows import Window, window_of


def test_all_rows_and_the_title_are_in_view_where_they_fit() -> None:
    assert window_of([1] * 3, 4, None) == Window(0, 3, 0, titled=True)


def test_the_title_gives_its_line_to_the_last_row() -> None:
    assert window_of([1] * 3, 3, None) == Window(0, 3, 0, titled=False)


def test_rows_out_of_view_are_counted() -> None:
    assert window_of([1] * 15, 4, 0) == Window(0, 3, 12, titled=True)


def test_the_window_moves_only_as_far_as_the_cursor_needs() -> None:
    assert window_of([1] * 15, 4, cursor=5, first=4).first == 4
    assert window_of([1] * 15, 4, cursor=7, first=4).first == 5
    assert window_of([1] * 15, 4, cursor=2, first=4).first == 2


def test_a_row_of_two_lines_is_never_shown_by_half() -> None:
    assert window_of([2] * 5, 6, None).count == 2


def test_rows_of_different_heights_fill_what_there_is() -> None:
    assert window_of([1, 2, 1, 2], 5, None) == Window(0, 3, 1, titled=True)
    assert window_of([1, 2, 1, 2], 5, cursor=3) == Window(2, 2, 2, titled=True)


@given(
    heights=st.lists(st.integers(1, 3), min_size=1, max_size=50),
    height=st.integers(1, 60),
    cursor=st.integers(0, 49),
    first=st.integers(0, 80),
)
def test_the_cursor_is_always_in_view(heights: list[int], height: int, cursor: int, first: int) -> None:
    rows = len(heights)
    cursor = min(cursor, rows - 1)
    window = window_of(heights, height, cursor, first)
    assert window.first <= cursor < window.first + window.count
    assert 0 <= window.first <= rows - window.count
    assert window.count + window.hidden == rows
