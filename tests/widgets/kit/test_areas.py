"""Charts that stand still: what their window shows, and what is drawn of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gpumon.widgets.kit.areas import (
    AreaView,
    Layer,
    Window,
    beside,
    chart_cells,
    chart_lines,
    window_at,
)
from gpumon.widgets.kit.lines import ASCII, UNICODE, Glyphs, line_width, plain_text
from gpumon.widgets.kit.updates import changed_runs

LENGTHS = (60.0, 120.0, 300.0)
WIDTH, HEIGHT = 24, 6
CELLS = chart_cells(WIDTH, 3)
SAMPLES = 2 * CELLS


def drawn(view: AreaView, glyphs: Glyphs = UNICODE, height: int = HEIGHT) -> list[str]:
    return [plain_text(line).rstrip() for line in chart_lines(view, WIDTH, height, glyphs)]


class TestWindow:
    def test_it_is_as_short_as_shows_all_that_there_is(self) -> None:
        assert window_at(1010.0, 1000.0, LENGTHS) == Window(990.0, 60.0)
        assert window_at(1055.0, 1000.0, LENGTHS) == Window(990.0, 120.0)
        assert window_at(1200.0, 1000.0, LENGTHS) == Window(975.0, 300.0)

    def test_the_longest_steps_on_by_a_fourth_of_itself(self) -> None:
        starts = {window_at(float(now), 0.0, LENGTHS).start for now in range(3000, 3300)}
        assert len(starts) == 300 / 75
        assert all(start % 75 == 0 for start in starts)

    @given(st.floats(0, 1e9), st.floats(0, 1e6))
    def test_the_newest_instant_is_always_in_it(self, first: float, since: float) -> None:
        window = window_at(first + since, first, LENGTHS)
        assert window.start <= first + since <= window.end


class TestAreas:
    def test_layers_stand_one_upon_the_other_in_fills_of_their_own(self) -> None:
        view = AreaView(
            "memory", "12 GiB", (Layer((8.0,) * SAMPLES, "model"), Layer((4.0,) * SAMPLES, "ram")), top=16.0
        )
        title, *rows, _axis = drawn(view)
        assert title.split() == ["memory", "12", "GiB"]
        assert [row[4:8] for row in rows] == ["", "▒▒▒▒", "⣿⣿⣿⣿", "⣿⣿⣿⣿"]

    def test_a_gap_stays_a_gap_and_a_small_value_is_seen(self) -> None:
        values = (*(0.01,) * 4, *(None,) * 4, *(10.0,) * (SAMPLES - 8))
        lowest = drawn(AreaView("x", layers=(Layer(values, "rate"),), top=10.0))[-2]
        assert lowest[4:9] == "⣀⣀  ⣿"

    def test_a_limit_is_a_dashed_line_where_nothing_stands_before_it(self) -> None:
        values = (*(10.0,) * (SAMPLES // 2), *(None,) * (SAMPLES // 2))
        top = drawn(AreaView("x", layers=(Layer(values, "rate"),), top=10.0, limit=10.0))[1]
        assert top == " 10┤" + "⣿" * (CELLS // 2) + "╌" * (CELLS // 2)

    def test_what_happened_stands_on_the_axis_before_times(self) -> None:
        view = AreaView("x", marks=((0.5, "reload"),), times=("10:00", "10:30", "11:00"))
        assert drawn(view)[-1] == "   └10:00─────▲reload───"
        assert "10:30" in drawn(replace(view, marks=()))[-1]

    def test_ascii_tells_layers_apart_by_their_characters(self) -> None:
        view = AreaView(
            "x", layers=(Layer((8.0,) * SAMPLES, "model"), Layer((8.0,) * SAMPLES, "ram")), top=16.0
        )
        rows = drawn(view, ASCII)
        assert "".join(rows).isascii()
        assert [row[4] for row in rows[1:-1]] == ["~", "~", "#", "#"]

    def test_a_second_more_changes_its_newest_cell_alone(self) -> None:
        before = AreaView("x", layers=(Layer((5.0,) * 20 + (None,) * (SAMPLES - 20), "rate"),), top=10.0)
        after = AreaView("x", layers=(Layer((5.0,) * 21 + (None,) * (SAMPLES - 21), "rate"),), top=10.0)
        pairs = zip(*(chart_lines(view, WIDTH, HEIGHT, UNICODE) for view in (before, after)), strict=True)
        cells = sum(end - start for old, new in pairs for start, end in changed_runs(old, new))
        assert cells == 2, "one column of the lower half"

    @given(
        st.lists(st.none() | st.floats(-10, 1e9), max_size=80),
        st.floats(0, 1e9),
        st.integers(1, 80),
        st.integers(0, 20),
        st.sampled_from([UNICODE, ASCII]),
    )
    def test_no_line_is_longer_than_its_chart(
        self, values: list[float | None], top: float, width: int, height: int, glyphs: Glyphs
    ) -> None:
        view = AreaView(
            "a title", "9.2 GiB", (Layer(tuple(values), "model"),), top, top / 2, ((0.3, "reload"),)
        )
        lines = chart_lines(view, width, height, glyphs)
        assert len(lines) <= height
        assert all(line_width(line) <= width for line in lines)


def test_charts_stand_side_by_side() -> None:
    one = chart_lines(AreaView("left"), 20, 5, UNICODE)
    both = beside([one, chart_lines(AreaView("right"), 20, 5, UNICODE)], 20, UNICODE)
    assert plain_text(both[0]).split() == ["left", "│", "right"]
    assert {line_width(line) for line in both} == {42}
