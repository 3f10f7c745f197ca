from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.widgets import sample_views as views

from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.gpu_panel import bar_parts, columns_for, gpu_lines, heading_line, legend
from gpumon.widgets.kit.lines import Line, plain_text
from gpumon.widgets.views import BarSegment, GpuRow

GIB = views.GIB


def test_a_lost_gpu_says_so_in_words() -> None:
    assert plain_text(_line(views.LOST_GPU)) == " ■ 3 RTX 3090  lost: needs a reset"


def test_unified_memory_is_labelled() -> None:
    for width in (40, 60, 80, 120):
        assert "unified" in plain_text(gpu_lines([views.UNIFIED_GPU], width, UNICODE)[0])


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_old_values_are_dimmed_and_their_age_is_told(width: int) -> None:
    line = gpu_lines([views.OLD_GPU], width, UNICODE)[0]
    assert "12s old" in plain_text(line)
    assert {span.role for span in line} <= {"dim", "cursor"}


def test_a_note_is_seen_on_a_line_of_its_own_even_in_a_narrow_panel() -> None:
    assert "power cap" in plain_text(gpu_lines([views.HOT_GPU], 60, UNICODE, 2)[1])


def test_names_stand_on_the_bar_where_it_is_long_enough() -> None:
    wide, narrow = (plain_text(gpu_lines([views.BUSY_GPU], width, UNICODE)[0]) for width in (200, 80))
    label = views.BUSY_GPU.segments[0].label
    assert label in wide
    assert label not in narrow
    assert label in plain_text(gpu_lines([views.BUSY_GPU], 80, UNICODE, 2)[1])


@pytest.mark.parametrize("width", [80, 120, 200])
def test_columns_stay_where_they_are_whatever_a_gpu_does(width: int) -> None:
    rows = [views.BUSY_GPU, replace(views.BUSY_GPU, utilization_percent=100.0, notes=("power cap",))]
    headings = [
        plain_text(heading_line(columns_for([row], width, UNICODE), "", width, UNICODE)) for row in rows
    ]
    assert headings[0] == headings[1]


def test_unknown_figures_are_dashes_never_zero() -> None:
    row = GpuRow(key="x", index=0, name="card", total_bytes=8 * GIB)
    text = plain_text(_line(row))
    assert "-/8.0" in text
    assert "0%" not in text


def test_all_other_processes_share_one_part_of_the_bar() -> None:
    segments = tuple(BarSegment(str(index), GIB, "process") for index in range(5))
    row = GpuRow(key="x", index=0, name="card", total_bytes=8 * GIB, used_bytes=5 * GIB, segments=segments)
    assert [part.size / GIB for part in bar_parts(row, 40)] == [5, 0, 0, 3]


def test_used_bytes_that_no_segment_explains_count_as_a_process() -> None:
    row = GpuRow(key="x", index=0, name="card", total_bytes=8 * GIB, used_bytes=3 * GIB)
    assert [(part.role, part.size / GIB) for part in bar_parts(row, 40)] == [
        ("process", 3),
        ("reserved", 0),
        ("planned", 0),
        ("track", 5),
    ]


def test_a_legend_shortens_names_before_it_counts_the_rest() -> None:
    assert plain_text(legend(views.HOT_GPU, 70, UNICODE)).count("█") == 2
    assert "+2 more" in plain_text(legend(views.HOT_GPU, 45, UNICODE))


def test_every_gpu_takes_one_line_where_there_is_no_room_for_more() -> None:
    assert len(gpu_lines(views.GPUS, 100, UNICODE, 1)) == len(views.GPUS)


def test_the_selected_gpu_bears_the_cursor() -> None:
    lines = gpu_lines([views.BUSY_GPU, views.HOT_GPU], 80, UNICODE, 1, "GPU-b")
    assert [plain_text(line)[0] for line in lines] == [" ", "▌"]


def test_markup_in_a_name_is_shown() -> None:
    assert "[red]x[/red]␛[31m" in plain_text(_line(replace(views.BUSY_GPU, name="[red]x[/red]\x1b[31m")))


def _line(row: GpuRow) -> Line:
    return gpu_lines([row], 200, UNICODE)[0]
